"""A contact sheet of split figures: true panels, found panels, labels and sub-captions."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

NUM_COLUMNS = 5
MOST_LINES = 12
"""Of sub-captions below a figure."""
NUM_CHARACTERS = 62
"""Of a line."""


def draw_sheet(judged: Sequence[Any], path: Path) -> None:
    """Found panels in colours, true ones dashed in black; below, the words of each panel."""
    rows = -(-len(judged) // NUM_COLUMNS)
    sheet = Figure(figsize=(3.6 * NUM_COLUMNS, 4.4 * rows), layout="constrained")
    places = sheet.subplots(2 * rows, NUM_COLUMNS, squeeze=False, height_ratios=[3, 1.4] * rows)
    for axes in places.flat:
        axes.axis("off")
    for number, one in enumerate(judged):
        row, column = divmod(number, NUM_COLUMNS)
        _draw_panels(places[2 * row][column], one)
        _write_words(places[2 * row + 1][column], one)
    sheet.savefig(path, dpi=80)


def _draw_panels(axes: Axes, one: Any) -> None:
    axes.imshow(one.figure.image)
    axes.set_title(f"{one.figure.name}, {one.figure.layout}: {one.score:.2f}", fontsize=8)
    for panel in one.figure.panels:
        axes.add_patch(_frame(panel.box, "black", width=1.0, style="--"))
    for number, panel in enumerate(one.found.panels):
        axes.add_patch(_frame(panel.box, _colour(number), width=2.0))
        if panel.label_box:
            axes.add_patch(_frame(panel.label_box, _colour(number), width=1.2))


def _write_words(axes: Axes, one: Any) -> None:
    """A line for each panel, in its colour, then the notes."""
    lines: list[tuple[str, int | None]] = [
        (f"{panel.label or '–'}: {' | '.join(panel.caption) or 'no words of its own'}", number)
        for number, panel in enumerate(one.found.panels)
    ]
    lines += [(note, None) for note in one.found.notes]
    for row, (text, number) in enumerate(lines[:MOST_LINES]):
        axes.text(
            0.0,
            1 - row / MOST_LINES,
            textwrap.shorten(text.replace("$", r"\$"), NUM_CHARACTERS, placeholder=" …"),
            color="black" if number is None else _colour(number),
            fontsize=6.5,
            va="top",
            transform=axes.transAxes,
        )


def _colour(number: int) -> Any:
    return colormaps["tab10"](number % 10)


def _frame(box: Sequence[int], colour: Any, *, width: float, style: str = "-") -> Rectangle:
    x0, y0, x1, y1 = box
    size = (x1 - x0, y1 - y0)
    return Rectangle(
        (x0, y0), *size, fill=False, edgecolor=colour, linewidth=width, linestyle=style
    )
