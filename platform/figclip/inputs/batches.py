"""Batches for a training rank: Ray Data reads, decodes and tokenizes ahead, in the exact order."""

import heapq
import logging
import pickle
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import ray.data
from ray.data._internal.execution.execution_callback import ExecutionCallback

from figclip.inputs.lanes import Piece, Span, bundles
from figclip.inputs.reader import Batch, Columns, Reader, batch_of

BLOCK_BYTES = 4 * 2**20
"""A reading task hands on its rows in blocks of about this size, so that the first come early."""

PAUSE_S = 0.02


class Paced(ExecutionCallback):
    """Lets the control loop of Ray Data rest between its rounds.

    While every task waits for its output to be consumed, the loop of Ray 2.60 goes round without a
    pause; in the process of a training rank it then takes CPU, and the interpreter's lock, from the
    model.
    """

    def on_execution_step(self, executor: object) -> None:
        time.sleep(PAUSE_S)


def quieten_ray_data() -> None:
    """Keep from the log what says nothing to the reader of a training run.

    Ray Data 2.60 divides the CPUs that training leaves among the ranks' pipelines in whole numbers
    (`amount // len(type_eligible)` in its autoscaling coordinator). With fewer of them than ranks
    each is told that it has none, and warns after a minute that it "may hang forever"; it does not,
    for a pipeline with nothing under way may always start one task.
    """
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    for told_in_vain in ("execution.resource_manager", "progress"):
        logging.getLogger(f"ray.data._internal.{told_in_vain}").setLevel(logging.ERROR)


def read_batches(
    readers: Sequence[Reader], spans: Sequence[Span], *, cpus_per_read: float, max_reads: int
) -> Iterator[Batch]:
    """The batches of the spans, one after another; a span's `order` is the number of its reader.

    One pipeline serves all of them, so the next epoch, and the validation before it, are read while
    one epoch ends. `max_reads` tasks of `cpus_per_read` CPUs read ahead; they wait where the object
    store holds enough.
    """
    orders = tuple(reader.order for reader in readers)
    rows = [{"pieces": pickle.dumps(bundle)} for bundle in bundles(spans, orders)]
    if not rows:
        return
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        partial(_read_bundles, readers=readers),
        batch_size=None,
        num_cpus=cpus_per_read,
        compute=ray.data.TaskPoolStrategy(size=max_reads),
    )
    dataset.context.execution_options.preserve_order = True
    dataset.context.target_max_block_size = BLOCK_BYTES
    dataset.context.enable_progress_bars = False
    dataset.context.custom_execution_callback_classes = [Paced]
    blocks = dataset.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=2)
    sizes = [size for span in spans for size in span.sizes]
    for columns in assembled(blocks, sizes):
        yield batch_of(columns)


def _read_bundles(rows: Columns, readers: Sequence[Reader]) -> Iterator[Columns]:
    for pickled in rows["pieces"]:
        yield from read_bundle(readers, pickle.loads(pickled))


def read_bundle(readers: Sequence[Reader], bundle: Iterable[Piece]) -> Iterator[Columns]:
    """The rows of all pieces, those of earlier batches first; `batch` and `place` say whose."""
    streams = [_placed(readers[piece.order], piece) for piece in bundle]
    return heapq.merge(*streams, key=lambda columns: columns["batch"][0])


def _placed(reader: Reader, piece: Piece) -> Iterator[Columns]:
    start = 0
    for columns in reader(piece.item):
        num_rows = len(columns["pixels"])
        batch, place = piece.slots(start, num_rows)
        yield columns | {"batch": batch, "place": place}
        start += num_rows


def assembled(blocks: Iterable[Columns], sizes: Sequence[int]) -> Iterator[Columns]:
    """Whole batches in their order, from rows that say by `batch` and `place` where they go.

    Batch i has `sizes[i]` rows. Those that are begun are held until they are whole; that is few,
    for rows come in about the right order.
    """
    stream, begun = iter(blocks), dict[int, Columns]()
    num_placed = Counter[int]()
    for number, size in enumerate(sizes):
        while num_placed[number] < size:
            rows = dict(next(stream))
            batch, place = rows.pop("batch"), rows.pop("place")
            for run in _runs(batch, place):
                at = int(batch[run.start])
                if at not in begun:
                    begun[at] = {
                        name: np.empty((sizes[at], *column.shape[1:]), column.dtype)
                        for name, column in rows.items()
                    }
                first, length = int(place[run.start]), run.stop - run.start
                for name, column in rows.items():
                    begun[at][name][first : first + length] = column[run]
                num_placed[at] += length
        yield begun.pop(number)


def _runs(batch: np.ndarray, place: np.ndarray) -> list[slice]:
    """The rows cut where they do not go to the next place of one batch."""
    cuts = np.flatnonzero((np.diff(batch) != 0) | (np.diff(place) != 1)) + 1
    edges = [0, *cuts.tolist(), len(batch)]
    return [slice(a, b) for a, b in pairwise(edges)]
