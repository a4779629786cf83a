"""Plots of a report in two looks, on white and on dark."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from figclip.statistics.style import BLUE, GREEN, ORANGE, PURPLE, STYLE

DPI = 200


@dataclass(frozen=True)
class Theme:
    name: str
    ink: str
    quiet: str
    paper: str
    colours: tuple[str, ...]

    @property
    def style(self) -> Any:
        inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
        papers = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
        sizes: dict[str, Any] = {"font.size": 9, "axes.labelsize": 9, "axes.titlesize": 10}
        sizes |= {"xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "legend.fontsize": 8.5}
        return STYLE | sizes | dict.fromkeys(inked, self.ink) | dict.fromkeys(papers, self.paper)


LIGHT = Theme(
    "light", "#21211f", "#8a877f", "#ffffff", (BLUE, ORANGE, GREEN, PURPLE, "#8a6d00", "#555555")
)
DARK = Theme(
    "dark", "#e8e6e0", "#8f8c84", "#1d1e21",
    ("#56b4e9", "#ff9a4d", "#2fcf9f", "#e39cc4", "#f0e442", "#bbbbbb"),
)  # fmt: skip
"""Lighter ones of the same palette, for a dark page."""


@contextmanager
def drawing(theme: Theme, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches in the look of the reports."""
    with matplotlib.rc_context(theme.style):
        yield Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def png_of(figure: Figure) -> bytes:
    """The same bytes for the same drawing."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
