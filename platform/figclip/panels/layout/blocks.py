"""Panels of a figure of which nothing is known: only where blocks that repeat stand clear.

Charts, diagrams, tables and trees have gutters of their own, so that gutters alone prove nothing.
Photographs and framed plots of like size, side by side, do.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.ndimage import median_filter

from figclip.panels.layout.sheet import Sheet, line_costs, num_ink, trimmed
from figclip.panels.scores import area, overlap
from figclip.schema import Box

CLEAR_GUTTER = 0.012
"""Of the page's longer side, at least."""

CLEAN = 0.002
"""Part of a gutter's lines that may be crossed."""

HARDLY_CROSSED = 0.04
"""Part of a line that may be crossed where a neighbour has a gutter."""

LEAST_SIDE = 0.12
"""Of the page's, of a block whose gutters count for its neighbours."""

LEAST_AREA = 0.03
"""Of the page, of a block that can be a panel."""

ALIKE = 0.5
"""Smaller over larger side of blocks that are of one kind."""

LEAST_COVER = 0.4
"""Of the page, that the blocks must cover together."""

DENSE = 0.75
"""Part of a photograph's pixels that is ink."""

AXIS = 0.6
"""Part of a plot's side over which its axis runs."""

SHARP = 0.12
"""By how much a seam between photographs is cheaper to cut than the lines about it."""

MOST_EQUAL = 6
"""Photographs of one width, stitched in a row."""

SMALLEST_SIDE = 60
"""Of a stitched photograph, in pixels of the working scale."""


def clear_panels(sheet: Sheet) -> list[Box]:
    """Two panels or more, or none where the figure is to stay whole."""
    whole = trimmed(sheet, sheet.whole)
    least = max(3, round(CLEAR_GUTTER * max(sheet.width, sheet.height)))
    leaves = _in_line(sheet, list(_leaves(sheet, whole, least=least)))
    blocks = [leaf for leaf in leaves if _is_block(sheet, leaf, area(whole))]
    blocks = [part for block in blocks for part in _stitched(sheet, block)]
    if len(blocks) < 2 or not same_size(blocks, ALIKE):
        return []
    if sum(map(area, blocks)) < LEAST_COVER * area(whole):
        return []
    return _with_their_words(blocks, [leaf for leaf in leaves if leaf not in blocks])


def _leaves(sheet: Sheet, region: Box, *, least: int, depth: int = 0) -> Iterator[Box]:
    """What no clear gutter of that width crosses."""
    box = trimmed(sheet, region)
    gutters = [gutter for axis in (0, 1) for gutter in _gutters(sheet, box, axis, least)]
    if not gutters or depth > 12:
        yield box
        return
    _, axis, at = max(gutters)
    x0, y0, x1, y1 = box
    first, second = (
        ((x0, y0, at, y1), (at, y0, x1, y1)) if axis == 0 else ((x0, y0, x1, at), (x0, at, x1, y1))
    )
    yield from _leaves(sheet, first, least=least, depth=depth + 1)
    yield from _leaves(sheet, second, least=least, depth=depth + 1)


def _in_line(sheet: Sheet, leaves: list[Box]) -> list[Box]:
    """The same, cut also where gutters of their neighbours go on, though a title may cross them."""
    for axis in (0, 1):
        bounds = sorted({leaf[axis] for leaf in leaves if _large(sheet, leaf)})
        leaves = [part for leaf in leaves for part in _cut_at(sheet, leaf, axis, bounds)]
    return leaves


def _cut_at(sheet: Sheet, leaf: Box, axis: int, bounds: Sequence[int]) -> list[Box]:
    least = LEAST_SIDE * (sheet.width, sheet.height)[axis]
    reach = round(CLEAR_GUTTER * max(sheet.width, sheet.height))
    for at in bounds:
        if leaf[axis] + least < at < leaf[axis + 2] - least:
            costs = line_costs(sheet, leaf, axis)
            low = max(0, at - leaf[axis] - 2 * reach)
            line = low + int(np.argmin(costs[low : at - leaf[axis] + 1]))
            if costs[line] <= HARDLY_CROSSED:
                first = _slice(leaf, axis, 0, line)
                rest = _slice(leaf, axis, line, len(costs))
                return [
                    trimmed(sheet, first),
                    *_cut_at(sheet, trimmed(sheet, rest), axis, bounds),
                ]
    return [leaf]


def _large(sheet: Sheet, box: Box) -> bool:
    return all(
        box[i + 2] - box[i] > LEAST_SIDE * side
        for i, side in enumerate((sheet.width, sheet.height))
    )


def _gutters(sheet: Sheet, box: Box, axis: int, least: int) -> Iterator[tuple[int, int, int]]:
    """Width, axis and middle of each clear gutter."""
    free = np.concatenate([[False], line_costs(sheet, box, axis) <= CLEAN, [False]])
    bounds = np.flatnonzero(free[1:] != free[:-1])
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        inside = start > 0 and end < len(free) - 2
        if inside and end - start >= least:
            yield int(end - start), axis, box[axis] + int(start + end) // 2


def _is_block(sheet: Sheet, box: Box, page: int) -> bool:
    """A photograph, or a plot with two axes."""
    if area(box) < LEAST_AREA * page:
        return False
    dense = num_ink(sheet, box) / max(1, area(box)) > DENSE
    return dense or all(_has_axis(sheet, box, axis) for axis in (0, 1))


def _has_axis(sheet: Sheet, box: Box, axis: int) -> bool:
    """A straight line of ink, but not a broad band of it."""
    x0, y0, x1, y1 = box
    if axis == 0:
        ink = (sheet.ink[1][x0:x1, y1] - sheet.ink[1][x0:x1, y0]) / max(1, y1 - y0)
    else:
        ink = (sheet.ink[0][y0:y1, x1] - sheet.ink[0][y0:y1, x0]) / max(1, x1 - x0)
    return bool(np.any(ink >= AXIS))


def _stitched(sheet: Sheet, box: Box) -> list[Box]:
    """A row or a column of photographs of one size, cut at their seams; else the box."""
    if num_ink(sheet, box) < DENSE * area(box):
        return [box]
    parts = list(_leaves(sheet, box, least=1))
    if len(parts) > 1 and all(_large(sheet, part) for part in parts):
        return [leaf for part in parts for leaf in _stitched(sheet, part)]
    for axis in (0, 1):
        sharp = _sharpness(line_costs(sheet, box, axis))
        for number in range(min(MOST_EQUAL, len(sharp) // SMALLEST_SIDE), 1, -1):
            seams = [_seam(sharp, part / number) for part in range(1, number)]
            if all(sharp[seam] >= SHARP for seam in seams):
                edges = [0, *seams, len(sharp)]
                parts = [_slice(box, axis, low, high) for low, high in pairwise(edges)]
                return [leaf for part in parts for leaf in _stitched(sheet, part)]
    return [box]


def _sharpness(costs: Float[np.ndarray, "lines"]) -> Float[np.ndarray, "lines"]:
    return median_filter(costs, 15, mode="nearest") - costs


def _seam(sharp: np.ndarray, part: float) -> int:
    """The sharpest line near to a part of the way."""
    reach = max(2, round(0.012 * len(sharp)))
    low = max(0, round(part * len(sharp)) - reach)
    return low + int(np.argmax(sharp[low : low + 2 * reach + 1]))


def _slice(box: Box, axis: int, low: int, high: int) -> Box:
    x0, y0, x1, y1 = box
    return (x0 + low, y0, x0 + high, y1) if axis == 0 else (x0, y0 + low, x1, y0 + high)


def same_size(blocks: Sequence[Box], share: float) -> bool:
    """Whether the smallest width is that share of the largest, and the smallest height."""
    widths = [box[2] - box[0] for box in blocks]
    heights = [box[3] - box[1] for box in blocks]
    return all(min(sides) >= share * max(sides) for sides in (widths, heights))


def _with_their_words(blocks: Sequence[Box], others: Sequence[Box]) -> list[Box]:
    """Blocks, each with the text that stands nearest to it."""
    grown = list(blocks)
    for other in others:
        nearest = min(range(len(blocks)), key=lambda i: _gap(blocks[i], other))
        union = _union(grown[nearest], other)
        if not any(i != nearest and overlap(union, block) for i, block in enumerate(blocks)):
            grown[nearest] = union
    return grown


def _gap(one: Box, other: Box) -> float:
    across, down = (max(one[i] - other[i + 2], other[i] - one[i + 2], 0) for i in (0, 1))
    return math.hypot(across, down)


def _union(one: Box, other: Box) -> Box:
    return (
        min(one[0], other[0]),
        min(one[1], other[1]),
        max(one[2], other[2]),
        max(one[3], other[3]),
    )
