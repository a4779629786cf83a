"""The statistics of a corpus as figures: an overview like Fig. 1A of BiomedCLIP, and its panels."""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from figclip.statistics.distributions import caption_lengths, image_sizes
from figclip.statistics.shares import (
    article_types,
    duplicates,
    features,
    journals,
    licenses,
    objections,
    per_article,
    splits,
    years,
)
from figclip.statistics.style import DPI, GREY, STYLE
from figclip.statistics.summary import (
    Statistics,
)

WIDTH_IN, HEIGHT_IN = 7.2, 8.6
"""A page's width in two columns."""

OVERVIEW_PADS = {"w_pad": 0.09, "h_pad": 0.13, "wspace": 0.03, "hspace": 0.0}
"""Between the panels: inches, and shares of a panel."""


@dataclass(frozen=True)
class Panel:
    """A figure of its own, and a part of the overview."""

    name: str
    """Of the file, without its suffix."""
    title: str
    draw: Callable[[Axes, Statistics, str], None]
    """On empty axes; the text says in what captions are measured."""
    size: tuple[float, float] = (3.5, 2.6)
    """Inches, where it stands alone."""


def plots(totals: Statistics, *, unit: str) -> dict[str, bytes]:
    """File name → PNG: `overview.png`, and a file for every panel of it."""
    drawn = {"overview.png": overview(totals, unit=unit)}
    for panel in PANELS:
        drawn[f"{panel.name}.png"] = single(panel, totals, unit=unit)
    return drawn


def overview(totals: Statistics, *, unit: str) -> bytes:
    """All panels, lettered as in a paper."""
    with _figure(WIDTH_IN, HEIGHT_IN, **OVERVIEW_PADS) as figure:
        rows: Any = figure.subfigures(len(ROWS), 1, height_ratios=[height for height, _ in ROWS])
        panels = iter(PANELS)
        placed = []
        for row, (_, widths) in zip(rows, ROWS, strict=True):
            for axes in row.subplots(1, len(widths), width_ratios=widths):
                _draw(next(panels), axes, totals, unit)
                placed.append((axes, axes.set_title(" ")))
        figure.draw_without_rendering()
        for letter, panel, (axes, title) in zip("abcdefghijk", PANELS, placed, strict=True):
            _put_title(axes, title, letter, panel.title)
        return _png(figure)


def single(panel: Panel, totals: Statistics, *, unit: str) -> bytes:
    with _figure(*panel.size) as figure:
        axes = figure.add_subplot()
        _draw(panel, axes, totals, unit)
        title = axes.set_title(" ")
        figure.draw_without_rendering()
        _put_title(axes, title, "", panel.title)
        return _png(figure)


@contextmanager
def _figure(width: float, height: float, **pads: Any) -> Iterator[Figure]:
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # Signs that the font lacks, in names of journals, are drawn as boxes: nothing to mend.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield Figure(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(**pads))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw(panel: Panel, axes: Axes, totals: Statistics, unit: str) -> None:
    panel.draw(axes, totals, unit)
    if not axes.has_data():
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=GREY)


def _put_title(axes: Axes, title: Text, letter: str, words: str) -> None:
    """Over the left end of all that the panel holds; the blank `title` has kept room for it."""
    box = axes.get_tightbbox()
    left = box.x0 if box else 0.0
    place: dict[str, Any] = {
        "xycoords": "figure pixels",
        "textcoords": "offset points",
        "annotation_clip": False,
    }
    level = title.get_window_extent().y0
    for text, right, size in ((letter, 0, 9.5), (words, 12 if letter else 0, 7.5)):
        note = axes.annotate(
            text, (left, level), xytext=(right, 0), fontweight="bold", fontsize=size, **place
        )
        note.set_in_layout(False)


PANELS = (
    Panel("image_sizes", "Image sizes", image_sizes, (3.6, 3.7)),
    Panel("caption_lengths", "Caption lengths", caption_lengths, (4.8, 3.0)),
    Panel("years", "Years of publication", years),
    Panel("per_article", "Figures and pairs per article", per_article),
    Panel("licenses", "Licences (pairs)", licenses),
    Panel("article_types", "Article types (pairs)", article_types),
    Panel("journals", "Journals (pairs)", journals, (4.2, 2.6)),
    Panel("features", "Pairs with …", features),
    Panel("objections", "What became no pair", objections, (4.8, 2.6)),
    Panel("splits", "Splits", splits),
    Panel("duplicates", "Duplicates", duplicates),
)
ROWS = (
    (2.75, (1.0, 1.35)),
    (1.65, (1.0, 1.0, 1.0)),
    (1.7, (1.0, 1.0, 1.0)),
    (2.0, (1.5, 0.8, 1.0)),
)
"""Of the overview: relative heights, and relative widths of the panels in each."""
