"""Five panels that no straight cut divides: four around a fifth, or around nothing.

A A B        A B B
D E B   or   A E C
D C C        D D C
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from figclip.panels.layout.cuts import CROSSING, cheapest, costs
from figclip.panels.layout.sheet import SOLID, Sheet
from figclip.schema import Box

LINES = 4
"""Tried for each cut, from each half of the region and from all of it."""

WIDTH_MATTERS = 0.3
"""How much a wide gutter is worth more than a hairline."""

BESIDE, ABOUT = 0.06, 0.12
"""Of the region's sides: so far from a label its panel may begin or end, as is seen in a strip that
reaches so far beyond the label."""

MOST_LABELS = 8
"""Beside which cuts are looked for: wheels grow as the fourth power of their number."""

MOST_LOOKED_AT = 200
"""Wheels of each hand, the cheapest ones."""

NARROWEST = 0.08
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


def pinwheels(sheet: Sheet, region: Box, labels: Sequence[Box]) -> list[Pinwheel]:
    """Those with a label in each arm; cheap ones first."""
    xs, ys = (_pairs(sheet, region, labels, axis) for axis in (0, 1))
    if not len(xs) or not len(ys):
        return []
    found = []
    for is_mirrored in (False, True):
        cost = _costs(sheet, region, xs, ys, is_mirrored)
        for place in np.argsort(cost, axis=None)[:MOST_LOOKED_AT]:
            i, j = np.unravel_index(place, cost.shape)
            wheel = Pinwheel(
                region,
                (int(xs[i, 0]), int(xs[i, 1])),
                (int(ys[j, 0]), int(ys[j, 1])),
                is_mirrored,
                float(cost[i, j]),
            )
            if all(any(_holds(part, label) for label in labels) for part in wheel.parts[:4]):
                found.append(wheel)
    return sorted(found, key=lambda wheel: wheel.cost)


def _costs(
    sheet: Sheet,
    region: Box,
    xs: Int[np.ndarray, "across 2"],
    ys: Int[np.ndarray, "down 2"],
    is_mirrored: bool,
) -> Float[np.ndarray, "across down"]:
    """Of every wheel of a pair of vertical and a pair of horizontal cuts."""
    x0, y0, x3, y3 = region
    (x1, x2), (y1, y2) = xs.T[:, :, None], ys.T[:, None, :]
    if is_mirrored:
        upright, level = ((x1, y0, y2), (x2, y1, y3)), ((y1, x1, x3), (y2, x0, x2))
    else:
        upright, level = ((x2, y0, y2), (x1, y1, y3)), ((y1, x0, x2), (y2, x1, x3))
    return sum(
        CROSSING * np.sqrt((sums[line, high] - sums[line, low]) / (SOLID * (high - low)))
        for sums, cuts in zip(sheet.crossed, (upright, level), strict=True)
        for line, low, high in cuts
    )


def _pairs(
    sheet: Sheet, region: Box, labels: Sequence[Box], axis: int
) -> Int[np.ndarray, "pairs 2"]:
    """Places of two cuts of an axis, the first before the second."""
    other, side = 1 - axis, region[axis + 2] - region[axis]
    near, far = region[other], region[other + 2]
    margin = max(2, int(NARROWEST * side))
    lines: set[int] = set()
    for low, high in ((near, far), (near, (near + far) // 2), ((near + far) // 2, far)):
        lines.update(cheapest(_prices(sheet, region, axis, low, high), LINES, margin))
    reach, about = int(BESIDE * side), int(ABOUT * (far - near))
    for label in labels if len(labels) <= MOST_LABELS else ():
        low, high = max(near, label[other] - about), min(far, label[other + 2] + about)
        prices = _prices(sheet, region, axis, low, high)
        start, end = label[axis] - region[axis], label[axis + 2] - region[axis]
        for first, last in ((start - reach, start + 2), (end - 2, end + reach)):
            first, last = max(margin, first), min(side - margin, last)
            if first <= last:
                lines.add(first + int(np.argmin(prices[first : last + 1])))
    pairs = [(one, two) for one, two in combinations(sorted(lines), 2) if two - one >= margin]
    return region[axis] + np.array(pairs, np.int64).reshape(-1, 2)


def _prices(
    sheet: Sheet, region: Box, axis: int, low: int, high: int
) -> Float[np.ndarray, "lines"]:
    """Of cuts that go through a strip of the region, from `low` to `high` of the other axis."""
    x0, y0, x1, y1 = region
    strip = (x0, low, x1, high) if axis == 0 else (low, y0, high, y1)
    return costs(sheet, strip, axis, WIDTH_MATTERS)


def _holds(part: Box, label: Box) -> bool:
    x, y = (label[0] + label[2]) / 2, (label[1] + label[3]) / 2
    return part[0] <= x < part[2] and part[1] <= y < part[3]
