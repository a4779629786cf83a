"""Panels of a figure of which neither labels nor names are known, where the border network is sure.

Most such figures are single ones, and tables, maps and schemes have borders of their own, so that
being sure is not enough: all parts must be photographs, or all of about one width and height, or
there must be no border of which the network is half sure. Where none of this is likely the network,
which costs as much as all else, need not be asked.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from figclip.panels.layout.blocks import CLEAN, DENSE, same_size
from figclip.panels.layout.borders import cut_at_borders
from figclip.panels.layout.sheet import Sheet, line_costs, num_ink, trimmed
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

PLAIN, HALF_SURE = 0.85, 0.5
"""Mean probabilities along the borders of a plain division, and along any line within its parts.

Borders that are parts of one picture, a map's or a table's, come with others not as sure. Of the 23
annotated single figures, and 34 more of open articles, none is divided so above 0.77."""

NOT_UNLIKE = 0.4
"""Smaller over larger width, and height, of the parts of a plain division."""

LEAST_INK = 0.3
"""Part of a page that is ink, if photographs may lie on it."""

MOST_EQUAL = 5
"""Parts of one size, in a row or a column, that are looked for."""

OFF_PLACE = 0.1
"""Of a part's size, by which its edges may be off; such parts are about as like as `LIKE` says."""


def is_worth_asking(sheet: Sheet) -> bool:
    """Whether borders may matter: where ink is dense, or clean lines part the page evenly.

    Of the 23 annotated single figures 7 are. Of what `seen_panels` gains in generated figures
    without labels 98 % is kept, in annotated ones whose labels are not told, all.
    """
    page = trimmed(sheet, sheet.whole)
    if num_ink(sheet, page) > LEAST_INK * area(page):
        return True
    return any(_is_even(line_costs(sheet, page, axis) <= CLEAN) for axis in (0, 1))


def _is_even(is_clean: Bool[ndarray, "lines"]) -> bool:
    """Whether there is a clean line near to every border of two equal parts, or three, ..."""
    places = np.flatnonzero(is_clean) / max(1, len(is_clean))
    return any(
        all(
            np.any(np.abs(places - border / number) <= OFF_PLACE / number)
            for border in range(1, number)
        )
        for number in range(2, MOST_EQUAL + 1)
    )


def plain_panels(sheet: Sheet, border: Float[ndarray, "2 rows columns"]) -> list[Box]:
    """Two panels or more, where the same borders are seen however sure one wants to be."""
    parts = _parts(sheet, border, PLAIN)
    is_plain = len(parts) > 1 and parts == _parts(sheet, border, HALF_SURE)
    return parts if is_plain and same_size(parts, NOT_UNLIKE) else []


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
