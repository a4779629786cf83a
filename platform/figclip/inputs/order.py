"""The order of the samples: a pure function of seed, epoch and position over a list of row groups.

Every epoch permutes the row groups, cuts them into windows of a few groups, and permutes the rows
inside each window; the epoch's order is the windows one after another. Ranks read contiguous ranges
of it (`lanes`), so each row group is read once (or twice at a border), and a run that was stopped
goes on at the very sample where it stopped.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RowGroup:
    """A row group of a Parquet file: the smallest piece that is read at once."""

    file: str
    """Path inside the artifact."""
    index: int
    """Number of the group inside its file."""
    num_rows: int


@dataclass(frozen=True)
class WorkItem:
    """Rows `start` to `stop` of one window of one epoch, as that window orders them."""

    epoch: int
    window: int
    start: int
    stop: int
    position: int
    """Where row `start` stands in the epoch's order; with the epoch it names the sample."""


@dataclass(frozen=True)
class SampleOrder:
    row_groups: tuple[RowGroup, ...]
    seed: int | None
    """None keeps the rows as they lie, every epoch the same."""
    groups_per_window: int
    """Row groups whose rows are mixed: more mix better, and are held in memory together."""

    @cached_property
    def num_rows(self) -> int:
        return sum(group.num_rows for group in self.row_groups)

    def windows(self, epoch: int) -> list[tuple[RowGroup, ...]]:
        """The epoch's windows, in order; the last one may hold fewer groups."""
        groups = [self.row_groups[i] for i in self._permutation(len(self.row_groups), epoch, 0)]
        size = self.groups_per_window
        return [tuple(groups[i : i + size]) for i in range(0, len(groups), size)]

    def rows(self, item: WorkItem) -> NDArray[np.int64]:
        """The item's rows, as numbers into the rows of its window's groups laid end to end."""
        groups = self.windows(item.epoch)[item.window]
        num_rows = sum(group.num_rows for group in groups)
        return self._permutation(num_rows, item.epoch, 1 + item.window)[item.start : item.stop]

    def items(self, epoch: int, start: int, stop: int) -> Iterator[WorkItem]:
        """What yields the samples `start` to `stop` of the epoch's order, one item a window."""
        sizes = [sum(group.num_rows for group in window) for window in self.windows(epoch)]
        begins = [0, *accumulate(sizes)]
        position = start
        while position < stop:
            window = bisect_right(begins, position) - 1
            end = min(stop, begins[window + 1])
            first = begins[window]
            yield WorkItem(epoch, window, position - first, end - first, position)
            position = end

    def _permutation(self, size: int, *key: int) -> NDArray[np.int64]:
        """Of `size` things; the key tells one shuffle of a seed from another."""
        if self.seed is None:
            return np.arange(size)
        return np.random.default_rng([self.seed, *key]).permutation(size)
