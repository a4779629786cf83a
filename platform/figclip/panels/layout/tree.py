"""The best tree of straight cuts through a figure, for every number of panels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from figclip.panels.layout.cuts import Cut, Survey, candidates, sides
from figclip.panels.layout.order import Mark, ReadingOrder
from figclip.panels.layout.pinwheels import pinwheels
from figclip.panels.layout.sheet import Sheet, num_ink
from figclip.schema import Box

MISPLACED = 2.0
"""Cost of a label at the far end of its panel, seen from where labels stand in this figure."""

MOST_MISPLACED = 1.5
"""No label costs more: it may be a false one."""

UNALIGNED = 0.3
"""Cost of a panel without a label that begins in no row, or in no column, of labels."""

UNEQUAL = 0.2
"""Cost of a panel that is twice, or half, as large as the mean, where labels are missing."""

UNTIMELY = 0.4
"""Cost of a panel without a label where, in order of reading, none is missing."""

FAR = 0.05
"""Of the page: beyond, nothing is in line."""

SMALL = 1.5
"""Cost of a panel without any size."""

SMALLEST = 0.3
"""Of the mean panel's area; below, a panel is suspiciously small."""

TINY = 0.2
"""Of the mean panel's area; none of several in a region can be smaller on average."""

TRIED = (8, 5, 4, 3)
"""Cuts of a region, by depth."""

FREE = (6, 4, 3)
"""Of them, at most, for each axis, those that no label asks for, by depth."""

POOR = 0.15
"""Cost of a panel from which on pinwheels are tried."""

MOST_WHEELS = 8

MOST_REGIONS = 150
"""That are searched thoroughly; further ones are cut in the best way only."""


@dataclass(frozen=True)
class Tree:
    """A region, and how it is best cut into one panel, two, three ... (`costs[0]` is one)."""

    box: Box
    marks: tuple[Mark, ...]
    costs: np.ndarray
    choices: tuple[tuple[tuple["Tree", int], ...], ...] = ()
    """For each number of panels: the parts, and how many panels lie in each; none for one panel."""


@dataclass
class Search:
    """One search through a sheet; remembers the regions it met."""

    survey: Survey
    anchor: tuple[float, float]
    """Where labels stand in their panels, as parts of width and height: (0, 0) is top left."""
    most: int
    """Panels, at most."""
    num_missing: int
    """Panels that may be without a label."""
    crowded: float
    """Cost of every label but one in a panel."""
    marks: tuple[Mark, ...]
    """All labels of the figure."""
    order: ReadingOrder | None
    """Of the labels, where they have one."""
    seen: dict[tuple[Box, int], Tree] = field(default_factory=dict)

    @property
    def sheet(self) -> Sheet:
        return self.survey.sheet

    def tree(self, region: Box, marks: tuple[Mark, ...], depth: int = 0) -> Tree:
        """The best ways to cut a region, which holds those labels."""
        box = _with(self.survey.trimmed(region), marks, region)
        key = (box, len(marks))
        if key not in self.seen:
            self.seen[key] = self._grow(box, marks, depth)
        return self.seen[key]

    def _grow(self, box: Box, marks: tuple[Mark, ...], depth: int) -> Tree:
        most = min(self.most, len(marks) + self.num_missing, max(len(marks), self._room(box)))
        best = np.full(max(1, most), np.inf)
        best[0] = self._leaf(box, marks)
        choices: list[tuple[tuple[Tree, int], ...]] = [()] * len(best)
        if most > 1 and depth < 30:
            for cut in self._cuts(box, marks, depth):
                first, second = sides(box, cut)
                parts = _parted(marks, cut)
                if not self._allowed(parts):
                    continue
                trees = (
                    self.tree(first, parts[0], depth + 1),
                    self.tree(second, parts[1], depth + 1),
                )
                _improve(best, choices, cut.cost, *trees)
        if self._may_turn(depth, best):
            self._turn(box, marks, depth, best, choices)
        return Tree(box, marks, best, tuple(choices))

    def _may_turn(self, depth: int, best: np.ndarray) -> bool:
        # Only labels tell a pinwheel from a page of text, and it is a figure's plan, not a part's.
        known = bool(self.marks) and not self.num_missing
        return known and depth == 0 and len(best) >= 4 and best[-1] > POOR * len(best)

    def _turn(
        self,
        box: Box,
        marks: tuple[Mark, ...],
        depth: int,
        best: np.ndarray,
        choices: list[tuple[tuple[Tree, int], ...]],
    ) -> None:
        """Improves on straight cuts with pinwheels, whose parts hold all their labels apart."""
        for wheel in pinwheels(self.sheet, box, [mark.box for mark in marks])[:MOST_WHEELS]:
            groups = [_inside(marks, part) for part in wheel.parts]
            trees = [
                self.tree(part, group, depth + 1)
                for part, group in zip(wheel.parts, groups, strict=True)
                if group or num_ink(self.sheet, part)
            ]
            numbers = [min(len(tree.costs), max(1, len(tree.marks))) for tree in trees]
            cost = wheel.cost + sum(
                tree.costs[number - 1] for tree, number in zip(trees, numbers, strict=True)
            )
            if groups[-1]:  # a labelled middle is small by nature
                cost -= self._smallness(trees[-1].box)
            place = sum(numbers) - 1
            if place < len(best) and cost < best[place]:
                best[place] = cost
                choices[place] = tuple(zip(trees, numbers, strict=True))

    def _cuts(self, box: Box, marks: tuple[Mark, ...], depth: int) -> list[Cut]:
        num_free = FREE[min(depth, len(FREE) - 1)] if self.num_missing else 0
        cuts = candidates(
            self.survey, box, [mark.box for mark in marks], num_free=num_free, anchor=self.anchor
        )
        tried = TRIED[min(depth, len(TRIED) - 1)] if len(self.seen) < MOST_REGIONS else 1
        return sorted(cuts, key=lambda cut: cut.cost)[:tried]

    def _allowed(self, parts: tuple[tuple[Mark, ...], tuple[Mark, ...]]) -> bool:
        return bool(self.num_missing) or (bool(parts[0]) and bool(parts[1]))

    def _leaf(self, box: Box, marks: tuple[Mark, ...]) -> float:
        cost = self._smallness(box)
        if marks:
            cost += min(self._misplaced(box, mark) for mark in marks)
            cost += self.crowded * (len(marks) - 1)
        elif self.marks:
            cost += self._out_of_line(box) + self._out_of_turn(box)
        return cost

    def _misplaced(self, box: Box, mark: Mark) -> float:
        """A label of a panel stands where those of the others do."""
        away = sum(
            abs((mark.centre[axis] - box[axis]) / max(1, box[axis + 2] - box[axis]) - wanted)
            for axis, wanted in enumerate(self.anchor)
        )
        return min(MOST_MISPLACED, MISPLACED * away)

    def _out_of_line(self, box: Box) -> float:
        """A panel whose label is missing still begins in a row and a column of labels."""
        cost = 0.0
        for axis, length in ((0, self.sheet.width), (1, self.sheet.height)):
            place = self._place(box)[axis]
            away = min(abs(place - mark.centre[axis]) for mark in self.marks)
            cost += UNALIGNED * min(1.0, away / (FAR * length))
        return cost

    def _out_of_turn(self, box: Box) -> float:
        """A panel whose label is missing follows one whose next label is missing."""
        if self.order is None:
            return 0.0
        following = self.order.follows(self._place(box), self.marks) + 1
        missing = set(range(self.most)) - {mark.index for mark in self.marks}
        return 0.0 if following in missing else UNTIMELY

    def _place(self, box: Box) -> tuple[float, float]:
        """Where the label of a panel would stand."""
        (x0, y0, x1, y1), (across, down) = box, self.anchor
        return x0 + across * (x1 - x0), y0 + down * (y1 - y0)

    def _room(self, box: Box) -> int:
        """How many panels may lie in a box at all."""
        mean = self.sheet.width * self.sheet.height / max(1, self.most)
        return 1 + int((box[2] - box[0]) * (box[3] - box[1]) / (TINY * mean))

    def _smallness(self, box: Box) -> float:
        mean = self.sheet.width * self.sheet.height / max(1, self.most)
        part = (box[2] - box[0]) * (box[3] - box[1]) / mean
        cost = SMALL * max(0.0, 1 - part / SMALLEST)
        if not self.marks or self.num_missing:
            cost += UNEQUAL * abs(float(np.log2(max(part, 1e-3))))
        return cost


def leaves(tree: Tree, num_panels: int) -> list[Tree]:
    """The panels of the best tree with that many."""
    parts = tree.choices[num_panels - 1]
    return [leaf for part, number in parts for leaf in leaves(part, number)] or [tree]


def _improve(
    best: np.ndarray,
    choices: list[tuple[tuple[Tree, int], ...]],
    cost: float,
    first: Tree,
    second: Tree,
) -> None:
    for i, one in enumerate(first.costs[: len(best) - 1]):
        others = second.costs[: len(best) - 1 - i]
        totals = cost + one + others
        for j in np.flatnonzero(totals < best[i + 1 : i + 1 + len(others)]):
            best[i + j + 1] = totals[j]
            choices[i + j + 1] = ((first, i + 1), (second, int(j) + 1))


def _parted(marks: tuple[Mark, ...], cut: Cut) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
    first = tuple(mark for mark in marks if mark.centre[cut.axis] < cut.at)
    return first, tuple(mark for mark in marks if mark.centre[cut.axis] >= cut.at)


def _inside(marks: tuple[Mark, ...], part: Box) -> tuple[Mark, ...]:
    x0, y0, x1, y1 = part
    return tuple(mark for mark in marks if x0 <= mark.centre[0] < x1 and y0 <= mark.centre[1] < y1)


def _with(box: Box, marks: Sequence[Mark], region: Box) -> Box:
    """The box, widened to hold its marks as far as they lie in the region."""
    for mark in marks:
        box = (
            min(box[0], max(region[0], mark.box[0])),
            min(box[1], max(region[1], mark.box[1])),
            max(box[2], min(region[2], mark.box[2])),
            max(box[3], min(region[3], mark.box[3])),
        )
    return box
