"""Five panels that no straight cut divides: four around a fifth, or around nothing.

A A B        A B B
D E B   or   A E C
D C C        D D C
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from figclip.panels.cuts import CROSSING
from figclip.panels.sheet import Sheet, line_costs
from figclip.schema import Box

STARTS = ((0.25, 0.6), (0.35, 0.65), (0.4, 0.75))
"""Where the two cuts of an axis are looked for first, as parts of the region."""

ROUNDS = 3
"""In which each of the four cuts is moved to its best place."""

NARROWEST = 0.1
"""Of the region's side: no arm is narrower."""


@dataclass(frozen=True)
class Pinwheel:
    """Two vertical and two horizontal cuts, none through the whole region."""

    region: Box
    xs: tuple[int, int]
    ys: tuple[int, int]
    is_mirrored: bool
    """The panel at the top left is tall, not wide."""
    cost: float
    """Of all four cuts, as of four straight ones."""

    @property
    def parts(self) -> tuple[Box, Box, Box, Box, Box]:
        """A, B, C, D and E of the drawing above."""
        (x0, y0, x3, y3), (x1, x2), (y1, y2) = self.region, self.xs, self.ys
        middle = (x1, y1, x2, y2)
        if self.is_mirrored:
            return (
                (x0, y0, x1, y2),
                (x1, y0, x3, y1),
                (x2, y1, x3, y3),
                (x0, y2, x2, y3),
                middle,
            )
        return (x0, y0, x2, y1), (x2, y0, x3, y2), (x1, y2, x3, y3), (x0, y1, x1, y3), middle


def pinwheels(sheet: Sheet, region: Box) -> Iterator[Pinwheel]:
    """The best ones of both hands, from several starts; cheap ones first."""
    x0, y0, x1, y1 = region
    found: dict[tuple[object, ...], Pinwheel] = {}
    for across, down, is_mirrored in product(STARTS, STARTS, (False, True)):
        xs = [x0 + part * (x1 - x0) for part in across]
        ys = [y0 + part * (y1 - y0) for part in down]
        wheel = _settled(sheet, region, xs, ys, is_mirrored)
        found[wheel.xs, wheel.ys, is_mirrored] = wheel
    yield from sorted(found.values(), key=lambda wheel: wheel.cost)


def _settled(
    sheet: Sheet, region: Box, xs: list[float], ys: list[float], is_mirrored: bool
) -> Pinwheel:
    cuts = [[int(x) for x in xs], [int(y) for y in ys]]
    total = 0.0
    for _ in range(ROUNDS):
        total = 0.0
        for axis, which in product((0, 1), (0, 1)):
            cost, cuts[axis][which] = _best(sheet, region, cuts, axis, which, is_mirrored)
            total += cost
    return Pinwheel(region, (cuts[0][0], cuts[0][1]), (cuts[1][0], cuts[1][1]), is_mirrored, total)


def _best(
    sheet: Sheet, region: Box, cuts: list[list[int]], axis: int, which: int, is_mirrored: bool
) -> tuple[float, int]:
    """Cost and place of the best line for one cut, while the other three stay."""
    other = 1 - axis
    # A vertical cut of a wheel that is not mirrored goes from the first row's cut to the foot
    # (left one), or from the head to the second row's cut (right one); horizontal ones mirrored.
    from_head = (which == 1) != (axis == 1) != is_mirrored
    near, far = region[other], region[other + 2]
    low, high = (near, cuts[other][1]) if from_head else (cuts[other][0], far)
    margin = max(2, int(NARROWEST * (region[axis + 2] - region[axis])))
    if which == 0:
        start, end = region[axis] + margin, cuts[axis][1] - margin
    else:
        start, end = cuts[axis][0] + margin, region[axis + 2] - margin
    if end <= start or high <= low:
        return CROSSING, cuts[axis][which]
    strip = (start, low, end, high) if axis == 0 else (low, start, high, end)
    costs = line_costs(sheet, strip, axis)
    cheapest = np.flatnonzero(costs <= costs.min() + 1e-9)
    line = int(cheapest[len(cheapest) // 2])
    return CROSSING * float(np.sqrt(costs[line])), start + line
