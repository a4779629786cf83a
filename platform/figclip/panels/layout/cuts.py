"""Where a region may be cut in two, and what a cut there costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from figclip.panels.layout.sheet import Sheet, line_borders, line_costs, trimmed
from figclip.schema import Box

CROSSING = 2.0
"""Cost of a cut all through solid ink; it grows with the root of the part that is ink."""

WIDE_GUTTER = 0.03
"""Of the page's longer side: a gutter as wide as this cannot gain by being wider."""

HARDLY = 0.004
"""Part of a line of a gutter that may be crossed."""

VALLEY = 0.15
"""Lines that are dearer than their best neighbour by no more are of one valley."""

TOWARDS_LABEL = 2.0
"""Cost of a cut at the far end of the stretch between two labels, over the region's length."""

KNOWN_BORDER = 1.0
"""What lies between a certain border and a certain interior."""

NARROWEST = 0.02
"""Of the page's shorter side, of a region that a cut may leave."""


@dataclass(frozen=True)
class Cut:
    """A straight cut through a region."""

    axis: int
    """0: vertical, at an x; 1: horizontal, at a y."""
    at: int
    cost: float


@dataclass
class Survey:
    """A sheet, and what its regions were found to be; several searches share it."""

    sheet: Sheet
    width_weight: float
    """How much a wide gutter is worth more than a hairline."""
    axes: tuple[int, ...] = (0, 1)
    """Of the cuts that may be made."""
    boxes: dict[Box, Box] = field(default_factory=dict)
    prices: dict[tuple[Box, int], Float[np.ndarray, "lines"]] = field(default_factory=dict)
    valleys: dict[tuple[Box, int, int], list[int]] = field(default_factory=dict)

    def trimmed(self, region: Box) -> Box:
        """The region without the paper at its margins."""
        if region not in self.boxes:
            self.boxes[region] = trimmed(self.sheet, region)
        return self.boxes[region]

    def price(self, box: Box, axis: int) -> Float[np.ndarray, "lines"]:
        """Of a cut at every line of a box."""
        if (box, axis) not in self.prices:
            self.prices[box, axis] = costs(self.sheet, box, axis, self.width_weight)
        return self.prices[box, axis]

    def best(self, box: Box, axis: int, number: int, margin: int) -> list[int]:
        """The cheapest lines of a box."""
        key = (box, axis, number)
        if key not in self.valleys:
            self.valleys[key] = cheapest(self.price(box, axis), number, margin)
        return self.valleys[key]


def sides(region: Box, cut: Cut) -> tuple[Box, Box]:
    """Left and right, or top and bottom."""
    x0, y0, x1, y1 = region
    if cut.axis == 0:
        return (x0, y0, cut.at, y1), (cut.at, y0, x1, y1)
    return (x0, y0, x1, cut.at), (x0, cut.at, x1, y1)


def costs(sheet: Sheet, region: Box, axis: int, width_weight: float) -> Float[np.ndarray, "lines"]:
    """Of cuts at every line of a region: what they cross, less what their gutter's width earns."""
    mean = line_costs(sheet, region, axis)
    price = CROSSING * np.sqrt(mean)
    wide = WIDE_GUTTER * max(sheet.width, sheet.height)
    price += width_weight * (1 - np.minimum(1, _gutter_widths(mean) / wide))
    border = line_borders(sheet, region, axis)
    if border is not None:
        price += KNOWN_BORDER * (0.5 - border)
    return price


def _gutter_widths(mean: np.ndarray) -> np.ndarray:
    """Of every line: over how many lines its stretch of (almost) nothing to cross goes."""
    free = mean <= HARDLY
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(np.int8)))
    widths = np.zeros(len(mean))
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        # The middle of a gutter is its best line.
        ramp = np.minimum(np.arange(1, end - start + 1), np.arange(end - start, 0, -1))
        widths[start:end] = (end - start) * (0.9 + 0.1 * ramp / ramp.max())
    return widths


def candidates(
    survey: Survey,
    region: Box,
    labels: Sequence[Box],
    *,
    num_free: int,
    anchor: tuple[float, float],
) -> list[Cut]:
    """The best cut between each two labels that follow one another, and the `num_free` best.

    `anchor` is where labels stand in their panels, as parts of width and height: (0, 0) is top
    left.
    """
    found: dict[tuple[int, int], Cut] = {}
    margin = max(2, int(NARROWEST * min(survey.sheet.width, survey.sheet.height)))
    for axis in survey.axes:
        start, end = region[axis], region[axis + 2]
        price = survey.price(region, axis)
        free = survey.best(region, axis, num_free, margin) if num_free else []
        for at in [*_between(price, start, labels, axis, anchor[axis]), *free]:
            if margin <= at < end - start - margin:
                cut = Cut(axis, start + at, float(price[at]))
                found[axis, cut.at] = cut
    return list(found.values())


def _between(
    price: np.ndarray, start: int, labels: Sequence[Box], axis: int, anchor: float
) -> list[int]:
    """In each stretch between labels, the line that is cheap and near to where a panel begins."""
    chosen = []
    spans = sorted((box[axis] - start, box[axis + 2] - start) for box in labels)
    reach = 0
    for span, following in pairwise(spans):
        reach = max(reach, span[1])
        low, high = max(1, reach), min(len(price) - 1, following[0] + 1)
        if high - low < 2:
            continue
        lines = np.arange(low, high)
        away = (1 - anchor) * (high - lines) + anchor * (lines - low)
        tilted = price[low:high] + TOWARDS_LABEL * abs(1 - 2 * anchor) * away / len(price)
        chosen += [low + int(np.argmin(tilted)), low + int(np.argmin(price[low:high]))]
    return chosen


def cheapest(price: Float[np.ndarray, "lines"], number: int, margin: int) -> list[int]:
    """The best lines that do not share a valley, best first, none within a margin of the ends."""
    left = price.copy()
    left[:margin] = left[-margin:] = np.inf
    chosen = []
    for _ in range(number):
        at = int(np.argmin(left)) if len(left) else 0
        if not len(left) or not np.isfinite(left[at]):
            break
        chosen.append(at)
        low, high = at, at + 1
        while low > 0 and left[low - 1] <= left[at] + VALLEY:
            low -= 1
        while high < len(left) and left[high] <= left[at] + VALLEY:
            high += 1
        left[max(0, low - margin) : high + margin] = np.inf
    return chosen
