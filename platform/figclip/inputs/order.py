"""The order of the samples: a pure function of seed, epoch and position over a list of row groups.

Every epoch permutes the row groups, cuts them into windows of a few groups, and permutes the rows
inside each window; the epoch's order is the windows one after another. Ranks read contiguous ranges
of it (`lanes`), so each row group is read once (or twice at a border), and a run that was stopped
goes on at the very sample where it stopped.

Row groups of several corpora are mixed by weights: of a group an epoch takes whole passes and a
slice that goes round, the same number of rows in every epoch.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise

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
    corpus: int = 0
    """Number of the corpus whose artifact holds the file."""
    passes: int = 1
    """How often an epoch takes all of its rows."""
    extra: int = 0
    """Rows that an epoch takes besides; where one epoch ends, the next goes on, round and round."""

    @property
    def taken(self) -> int:
        """Rows that every epoch takes."""
        return self.passes * self.num_rows + self.extra

    def parts(self, epoch: int) -> list["Part"]:
        """What the epoch takes of it: each pass is a part of its own, and so is the slice."""
        whole = [Part(self, 0, self.num_rows)] * self.passes
        start = epoch * self.extra % self.num_rows
        return [*whole, Part(self, start, self.extra)] if self.extra else whole


@dataclass(frozen=True)
class Part:
    """Rows of one row group: from `start` on, and from its first row again after its last."""

    group: RowGroup
    start: int
    num_rows: int

    @property
    def rows(self) -> NDArray[np.int64]:
        """Their numbers in the group."""
        return (self.start + np.arange(self.num_rows)) % self.group.num_rows


def weighted(groups: Sequence[RowGroup], weight: float) -> tuple[RowGroup, ...]:
    """The groups of one corpus, each row of which is to be seen `weight` times an epoch.

    An epoch takes `weight` times their rows, to the nearest row. The fraction is shared out among
    the groups by their sizes; each gives a row at least, so that consecutive epochs come round to
    every row, and the largest shares make up for it.
    """
    passes, fraction = divmod(weight, 1)
    ends = [*accumulate((group.num_rows for group in groups), initial=0)]
    shares = [math.floor(fraction * end + 0.5) for end in ends]
    extras = [max(1, stop - start) if fraction else 0 for start, stop in pairwise(shares)]
    while sum(extras) > shares[-1] and max(extras) > 1:
        extras[extras.index(max(extras))] -= 1
    return tuple(
        replace(group, passes=int(passes), extra=extra)
        for group, extra in zip(groups, extras, strict=True)
    )


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
        """Of an epoch."""
        return int(self._sizes.sum())

    @property
    def num_windows(self) -> int:
        return -(-len(self._owners) // self.groups_per_window)

    def window(self, epoch: int, number: int) -> tuple[Part, ...]:
        """What one window of the epoch mixes; the last one may hold fewer parts."""
        return tuple(self._part(epoch, part) for part in self._chosen(epoch, number).tolist())

    def rows(self, item: WorkItem) -> NDArray[np.int64]:
        """The item's rows, as numbers into the rows of its window's parts laid end to end."""
        return self.window_rows(item.epoch, item.window)[item.start : item.stop]

    def window_rows(self, epoch: int, number: int) -> NDArray[np.int64]:
        """All rows of a window in the epoch's order, numbered in the same way."""
        num_rows = int(self._sizes[self._chosen(epoch, number)].sum())
        return self._permutation(num_rows, epoch, 1 + number)

    def items(self, epoch: int, start: int, stop: int) -> Iterator[WorkItem]:
        """What yields the samples `start` to `stop` of the epoch's order, one item a window."""
        shuffled = self._sizes[self._permutation(len(self._sizes), epoch, 0)]
        firsts = np.arange(0, len(shuffled), self.groups_per_window)
        begins = [0, *np.add.reduceat(shuffled, firsts).cumsum().tolist()]
        position = start
        while position < stop:
            window = bisect_right(begins, position) - 1
            end = min(stop, begins[window + 1])
            first = begins[window]
            yield WorkItem(epoch, window, position - first, end - first, position)
            position = end

    @cached_property
    def _owners(self) -> NDArray[np.int64]:
        """Which group each part of an epoch is of; every epoch has as many parts of each."""
        counts = [group.passes + (group.extra > 0) for group in self.row_groups]
        return np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """Rows of each part: those of the whole group, but for a slice, which is its last part."""
        groups = np.array([(g.num_rows, g.extra) for g in self.row_groups]).reshape(-1, 2)
        sizes, extra = groups[self._owners].T
        is_last = np.append(np.diff(self._owners) > 0, True)[: len(sizes)]
        return np.where(is_last & (extra > 0), extra, sizes)

    def _chosen(self, epoch: int, number: int) -> NDArray[np.int64]:
        """The parts of a window."""
        first = number * self.groups_per_window
        shuffled = self._permutation(len(self._owners), epoch, 0)
        return shuffled[first : first + self.groups_per_window]

    def _part(self, epoch: int, part: int) -> Part:
        owner = self._owners[part]
        return self.row_groups[owner].parts(epoch)[part - np.searchsorted(self._owners, owner)]

    def _permutation(self, size: int, *key: int) -> NDArray[np.int64]:
        """Of `size` things; the key tells one shuffle of a seed from another."""
        if self.seed is None:
            return np.arange(size)
        return np.random.default_rng([self.seed, *key]).permutation(size)
