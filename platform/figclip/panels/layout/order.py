"""In which order a figure's labels are read: row by row, or column by column."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from figclip.panels.parts import Label
from figclip.schema import Box

Point = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A label at the working scale."""

    index: int
    """Its place among all labels of the figure, missing ones included."""
    box: Box
    label: Label
    """As it was given."""

    @property
    def centre(self) -> Point:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class ReadingOrder:
    """Lines of labels, and the way along them."""

    axis: int
    """1: lines are rows, one below the other; 0: columns, side by side."""
    lines: tuple[float, ...]
    """Where they lie on that axis."""
    reach: float
    """A point nearer than that is of a line."""

    def rank(self, point: Point) -> tuple[float, float]:
        """Points in order of rank are in order of reading."""
        place = point[self.axis]
        near = min(range(len(self.lines)), key=lambda i: abs(self.lines[i] - place))
        if abs(self.lines[near] - place) > self.reach:
            return sum(line < place for line in self.lines) - 0.5, point[1 - self.axis]
        return float(near), point[1 - self.axis]

    def follows(self, point: Point, marks: Sequence[Mark]) -> int:
        """Index of the last label that is read before a point; -1 if none is."""
        rank = self.rank(point)
        before = [mark for mark in marks if self.rank(mark.centre) < rank]
        return max(before, key=lambda mark: self.rank(mark.centre)).index if before else -1


def reading_order(
    marks: Sequence[Mark], size: tuple[int, int], reach: float
) -> ReadingOrder | None:
    """The order in which the labels run on; None where they do so neither way.

    `size` is the page's, and `reach` a part of it.
    """
    if not marks:
        return None
    orders = [
        ReadingOrder(axis, _lines(marks, axis, reach * size[axis]), reach * size[axis])
        for axis in (1, 0)
    ]
    best = min(orders, key=lambda order: _num_steps_back(marks, order))
    return None if _num_steps_back(marks, best) else best


def _lines(marks: Sequence[Mark], axis: int, reach: float) -> tuple[float, ...]:
    lines: list[list[float]] = []
    for place in sorted(mark.centre[axis] for mark in marks):
        if lines and place - lines[-1][-1] <= reach:
            lines[-1].append(place)
        else:
            lines.append([place])
    return tuple(sum(line) / len(line) for line in lines)


def _num_steps_back(marks: Sequence[Mark], order: ReadingOrder) -> int:
    read = sorted(marks, key=lambda mark: order.rank(mark.centre))
    return sum(two.index < one.index for one, two in pairwise(read))
