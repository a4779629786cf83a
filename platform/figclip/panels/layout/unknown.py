"""Panels of a figure of which neither labels nor names are known, where the border network is sure.

Most such figures are single ones, and tables, maps and schemes have borders of their own, so that
being sure is not enough: all parts must be photographs, or all of about one width and height.
"""

from jaxtyping import Float
from numpy import ndarray

from figclip.panels.layout.blocks import DENSE, same_size
from figclip.panels.layout.borders import cut_at_borders
from figclip.panels.layout.sheet import Sheet, num_ink, trimmed
from figclip.panels.scores import area
from figclip.schema import Box

SURE_OF_PHOTOGRAPHS = 0.5
"""Mean probability along a line between photographs from which it is a border."""

SURE = 0.75
"""The same between other parts of one size.

With it and `LIKE` none of the 23 annotated single figures is cut; the parts of the one that comes
nearest have 0.41 of one another's size, 0.61 from 0.8 on."""

LIKE = 0.65
"""Smaller over larger width, and height, of such parts."""


def seen_panels(sheet: Sheet, border: Float[ndarray, "2 rows columns"]) -> list[Box]:
    """Two panels or more, or none where the figure is to stay whole."""
    photographs = _parts(sheet, border, SURE_OF_PHOTOGRAPHS)
    if len(photographs) > 1 and all(_is_photograph(sheet, box) for box in photographs):
        return photographs
    parts = _parts(sheet, border, SURE)
    return parts if len(parts) > 1 and same_size(parts, LIKE) else []


def _parts(sheet: Sheet, border: Float[ndarray, "2 rows columns"], certain: float) -> list[Box]:
    boxes = cut_at_borders(border, sheet.width, sheet.height, certain=certain)
    return [trimmed(sheet, box) for box in boxes if num_ink(sheet, box)]


def _is_photograph(sheet: Sheet, box: Box) -> bool:
    return num_ink(sheet, box) > DENSE * max(1, area(box))
