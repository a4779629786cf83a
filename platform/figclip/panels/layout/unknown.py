"""Panels of a figure of which neither labels nor names are known, where the border network is sure.

Most such figures are single ones, and tables, maps and schemes have borders of their own, so that
being sure is not enough: all parts must be photographs, or all of about one width and height. Where
neither is likely the network, which costs as much as all else, need not be asked.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from figclip.panels.layout.blocks import CLEAN, DENSE, same_size
from figclip.panels.layout.borders import cut_at_borders
from figclip.panels.layout.sheet import Sheet, line_costs, num_ink, trimmed
from figclip.panels.scores import area
from figclip.schema import Box

SURE = 0.5
"""Mean probability along a line from which it is a border."""

LIKE = 0.6
"""Smaller over larger width, and height, of parts that are not photographs.

With it none of the 23 annotated single figures is cut, nor of 37 of open articles, some of them the
same; the parts of the one that comes nearest have 0.51 of one another's width, and with 0.5 it is
cut."""

LEAST_INK = 0.3
"""Part of a page that is ink, if photographs may lie on it."""

MOST_EQUAL = 5
"""Parts of one size, in a row or a column, that are looked for."""

OFF_PLACE = 0.1
"""Of a part's size, by which its edges may be off; such parts are about as like as `LIKE` says."""


def is_worth_asking(sheet: Sheet) -> bool:
    """Whether borders may matter: where ink is dense, or clean lines part the page evenly.

    Of the 23 annotated single figures 7 are. Of what `seen_panels` gains in generated figures
    without labels 95 % is kept, in annotated ones whose labels are not told, all.
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


def seen_panels(sheet: Sheet, border: Float[ndarray, "2 rows columns"]) -> list[Box]:
    """Two panels or more, or none where the figure is to stay whole."""
    boxes = cut_at_borders(border, sheet.width, sheet.height, certain=SURE)
    parts = [trimmed(sheet, box) for box in boxes if num_ink(sheet, box)]
    of_one_kind = all(_is_photograph(sheet, box) for box in parts) or same_size(parts, LIKE)
    return parts if len(parts) > 1 and of_one_kind else []


def _is_photograph(sheet: Sheet, box: Box) -> bool:
    return num_ink(sheet, box) > DENSE * max(1, area(box))
