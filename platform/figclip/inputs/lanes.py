"""Which samples a rank reads, and which batch each goes to, alike on any number of ranks.

An epoch's order is cut into a fixed number of lanes, equally long but for a row, and every step
takes the same number of rows of each. A rank owns some neighbouring lanes. So the samples of a step
do not depend on how many ranks there are, and a run may go on with fewer or more of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from figclip.inputs.order import SampleOrder, WorkItem


@dataclass(frozen=True)
class Share:
    """The part of one rank; `num_ranks` divides `num_lanes`."""

    rank: int
    num_ranks: int
    num_lanes: int

    @property
    def lanes(self) -> range:
        """The lanes that the rank owns."""
        own = self.num_lanes // self.num_ranks
        return range(self.rank * own, (self.rank + 1) * own)

    def full_range(self, num_rows: int) -> tuple[int, int]:
        """Of rows in their order: none is left out, the ranks' lengths differ by one at most."""
        return part(self.rank, self.num_ranks, num_rows)


def part(number: int, of: int, num_rows: int) -> tuple[int, int]:
    """Start and stop of the part `number` of `num_rows` rows cut in `of` parts."""
    return number * num_rows // of, (number + 1) * num_rows // of


@dataclass(frozen=True)
class Piece:
    """A work item and where its rows go, in the batches that a rank numbers from 0."""

    item: WorkItem
    batch: int
    """That the first row of its lane goes to."""
    num_before: int
    """Rows of the lane before the item's first."""
    width: int
    """Rows that the lane gives to every batch."""
    place: int
    """In each batch, of the first of them."""
    order: int = 0
    """Number of the order that the item is of."""

    @property
    def first_batch(self) -> int:
        return self.batch + self.num_before // self.width

    def slots(self, start: int, num_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The batch, and the place in it, of `num_rows` rows of the item from row `start` on."""
        rows = self.num_before + start + np.arange(num_rows)
        return self.batch + rows // self.width, self.place + rows % self.width


@dataclass(frozen=True)
class Span:
    """Consecutive batches of a rank: batch i takes the i-th `width` rows of each of its lanes."""

    epoch: int
    lanes: tuple[tuple[int, int], ...]
    """From where to where in the epoch's order; equally long."""
    width: int
    order: int = 0
    """Number of the order that the lanes are of."""

    @property
    def sizes(self) -> list[int]:
        """Rows of each batch; the last is smaller where the lanes end within it."""
        start, stop = self.lanes[0]
        ends = [*range(start, stop, self.width), stop]
        return [len(self.lanes) * (end - begin) for begin, end in pairwise(ends)]

    def pieces(self, order: SampleOrder, batch: int) -> list[Piece]:
        """What yields the span's rows, those first that are needed first.

        `batch` is the number of its first batch among all of the rank's.
        """
        found = [
            Piece(item, batch, item.position - start, self.width, i * self.width, self.order)
            for i, (start, stop) in enumerate(self.lanes)
            for item in order.items(self.epoch, start, stop)
        ]
        return sorted(found, key=lambda piece: (piece.first_batch, piece.place))


def training_span(
    share: Share, *, epoch: int, num_rows: int, batch_size: int, num_steps: int, steps_done: int
) -> Span:
    """This rank's part of an epoch of `num_steps` whole batches, `steps_done` of which are done.

    `batch_size` is that of all ranks, a multiple of the number of lanes. Fewer rows than a batch
    are left out of an epoch, some at the end of each lane.
    """
    width = batch_size // share.num_lanes
    starts = [part(lane, share.num_lanes, num_rows)[0] for lane in share.lanes]
    lanes = tuple((at + steps_done * width, at + num_steps * width) for at in starts)
    return Span(epoch, lanes, width)


def whole_span(share: Share, *, num_rows: int, batch_size: int, order: int) -> Span:
    """This rank's part of all rows, each once, in batches of `batch_size` rows of its own."""
    return Span(0, (share.full_range(num_rows),), batch_size, order)


def bundles(spans: Iterable[Span], orders: tuple[SampleOrder, ...]) -> Iterator[tuple[Piece, ...]]:
    """The spans' pieces, a few at a time: in each bundle one for every lane, as a rule.

    Whoever reads the pieces of a bundle side by side has the rows in about the order of the
    batches, and reads each window of a lane once.
    """
    spans = list(spans)
    begins = accumulate((len(span.sizes) for span in spans), initial=0)
    for span, batch in zip(spans, begins, strict=False):
        pieces, size = span.pieces(orders[span.order], batch), len(span.lanes)
        yield from (tuple(pieces[i : i + size]) for i in range(0, len(pieces), size))
