"""A window of the sample order, read: the rows that are mixed with one another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from figclip.inputs.corpora import Corpus, read_group
from figclip.inputs.order import Part, SampleOrder, WorkItem
from figclip.inputs.texts import COLUMNS

Pair = dict[str, Any]
"""Columns of a pair; `kind` says which texts its corpus shows."""


@dataclass(frozen=True)
class Window:
    table: pa.Table
    """Its parts laid end to end."""
    rows: NDArray[np.int64]
    """Numbers of the table's rows, in the order in which they are seen."""

    def pairs(self, start: int, stop: int) -> list[Pair]:
        """What stands at the places from `start` to `stop`; places go round."""
        places = np.arange(start, stop) % len(self.rows)
        return self.table.take(self.rows[places]).to_pylist()


def read_window(corpora: Sequence[Corpus], order: SampleOrder, epoch: int, number: int) -> Window:
    parts = order.window(epoch, number)
    tables = [_read(corpora[part.group.corpus], part) for part in parts]
    table = pa.concat_tables(tables, promote_options="default")
    return Window(table, order.window_rows(epoch, number))


def stand_ins(
    window: Window, place: int, *, corpora: Sequence[Corpus], order: SampleOrder, item: WorkItem
) -> Iterator[Pair]:
    """Who may take the place of a pair that gives nothing, the first who can, first.

    They begin half a window further on, for a batch that held the same pair twice would set it
    against itself; after the whole window the windows that follow are asked.
    """
    size = len(window.rows)
    for start in range(place + size // 2, place + size // 2 + size):
        yield from window.pairs(start, start + 1)
    for number in range(item.window + 1, item.window + order.num_windows):
        other = read_window(corpora, order, item.epoch, number % order.num_windows)
        for start in range(len(other.rows)):
            yield from other.pairs(start, start + 1)


def _read(corpus: Corpus, part: Part) -> pa.Table:
    columns = ["pair_id", "image", *COLUMNS[corpus.text]]
    table = read_group(corpus.pairs, part.group, columns).take(part.rows)
    return table.append_column("kind", pa.repeat(corpus.text, len(table)))
