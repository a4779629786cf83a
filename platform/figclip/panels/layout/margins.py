"""Panels on a page that is not white: a photograph's own ground looks like the gutter beside it."""

from collections.abc import Sequence

from figclip.panels.layout.sheet import Sheet
from figclip.schema import Box

ABREAST = 2
"""Pixels by which neighbours may overlap and still stand side by side."""


def with_margins(sheet: Sheet, boxes: Sequence[Box]) -> list[Box]:
    """The panels as they are where paper is white; else out to the middles of the gaps.

    Boxes are trimmed of all that has the colour of the page's frame. Of a CT on black, that takes
    away half of the picture.
    """
    grown = list(boxes)
    if sheet.is_white:
        return grown
    for axis, length in ((0, sheet.width), (1, sheet.height)):
        grown = [_widened(box, grown, axis, length) for box in grown]
    return grown


def _widened(box: Box, others: Sequence[Box], axis: int, length: int) -> Box:
    """Along one axis: to the middle of the way to the next panel, or to the page's end."""
    across = 1 - axis
    beside = [
        other
        for other in others
        if min(other[across + 2], box[across + 2]) > max(other[across], box[across])
    ]
    start, end = box[axis], box[axis + 2]
    before = [other[axis + 2] for other in beside if other[axis + 2] <= start + ABREAST]
    after = [other[axis] for other in beside if other[axis] >= end - ABREAST]
    low = min(start, (max(before) + start) // 2 if before else 0)
    high = max(end, -(-(min(after) + end) // 2) if after else length)
    x0, y0, x1, y1 = box
    return (low, y0, high, y1) if axis == 0 else (x0, low, x1, high)
