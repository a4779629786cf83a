"""A contact sheet of split figures: true panels, found panels, labels and sub-captions."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

COLOURS = plt.get_cmap("tab10").colors
NUM_COLUMNS = 5
MOST_LINES = 9
"""Of sub-captions below a figure."""


def draw_sheet(judged: Sequence[Any], path: Path) -> None:
    """Found panels in colours, true ones dashed in black; below, the words of each panel."""
    rows = -(-len(judged) // NUM_COLUMNS)
    figure, axes = plt.subplots(
        rows, NUM_COLUMNS, figsize=(4.2 * NUM_COLUMNS, 5.2 * rows), squeeze=False
    )
    for place in axes.flat:
        place.axis("off")
    for place, one in zip(axes.flat, judged, strict=False):
        _draw(place, one)
    figure.tight_layout(pad=0.6)
    figure.savefig(path, dpi=70)
    plt.close(figure)


def _draw(axes: Axes, one: Any) -> None:
    axes.imshow(one.figure.image)
    axes.set_title(f"{one.figure.name}, {one.figure.layout}: {one.score:.2f}", fontsize=8)
    for panel in one.figure.panels:
        axes.add_patch(_frame(panel.box, "black", width=1.0, dashed=True))
    lines = []
    for number, panel in enumerate(one.found.panels):
        colour = COLOURS[number % len(COLOURS)]
        axes.add_patch(_frame(panel.box, colour, width=2.2))
        if panel.label_box:
            axes.add_patch(_frame(panel.label_box, colour, width=1.4))
        words = " | ".join(panel.caption) or "(no words of its own)"
        lines.append((f"{panel.label or '–'}: {words}", colour))
    lines += [(note, "black") for note in one.found.notes]
    for number, (text, colour) in enumerate(lines[:MOST_LINES]):
        shown = textwrap.shorten(text.replace("$", r"\$"), 74, placeholder=" …")
        axes.text(
            0, -0.03 - 0.045 * number, shown, color=colour, fontsize=6.5, va="top",
            transform=axes.transAxes,
        )  # fmt: skip


def _frame(box: Sequence[int], colour: Any, *, width: float, dashed: bool = False) -> Rectangle:
    x0, y0, x1, y1 = box
    style = "--" if dashed else "-"
    return Rectangle(
        (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=width, linestyle=style
    )
