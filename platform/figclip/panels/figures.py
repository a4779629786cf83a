"""A figure → its panels: straight cuts that agree with labels, caption and gutters."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from figclip.panels.blocks import clear_panels
from figclip.panels.cuts import Taste
from figclip.panels.names import Reading, num_named, readings_of
from figclip.panels.parts import Label, PanelBox
from figclip.panels.sheet import Sheet, num_ink, read_sheet, trimmed
from figclip.panels.tree import Mark, Search, Tree, leaves
from figclip.schema import Box

MOST_PANELS = 40

UNEXPECTED = 3.5
"""Cost of every panel more, or fewer, than the labels say."""

PLAINLY_CROWDED = 2.5
FALSE_LABEL = 1.5
"""Cost of every label but one in a panel: while all are taken for true, and in doubt."""

WELL_EXPLAINED = 0.4
"""Cost of a panel up to which nothing is doubted."""

TOP_LEFT = (0.03, 0.05)
BOTTOM_LEFT = (0.03, 0.95)


def split_figure(
    image: UInt8[np.ndarray, "height width 3"],
    *,
    labels: Sequence[Label] = (),
    expected: Sequence[str] = (),
    border: Float[np.ndarray, "rows columns"] | None = None,
) -> list[PanelBox]:
    """The panels of a figure in reading order; one, if it is not compound.

    `labels` were read in the picture, `expected` are those of its caption in order; either may be
    missing. `border` may hold the probability of a border between panels, over the whole picture
    on a grid of any size. Never fails: what cannot be read is one panel.
    """
    height, width = image.shape[:2]
    sheet = read_sheet(image, border=border)
    readings = readings_of(labels, expected)
    num_panels = min(MOST_PANELS, num_named(readings[0], expected))
    if num_panels < 2:
        clear = [] if expected or readings[0] else clear_panels(sheet)
        whole = [] if clear else [PanelBox((0, 0, width, height), None, 1.0)]
        return whole + in_reading_order(
            [PanelBox(_full_scale(box, sheet, (width, height)), None, 0.5) for box in clear]
        )
    known, found = search(sheet, readings, num_panels)
    panels = [_panel(leaf, known, sheet, (width, height)) for leaf in found]
    return in_reading_order(panels)


def in_reading_order(panels: Sequence[PanelBox]) -> list[PanelBox]:
    """Row by row; a row holds the panels that begin above the middle of its first one."""
    rows: list[list[PanelBox]] = []
    for panel in sorted(panels, key=lambda panel: (panel.box[1], panel.box[0])):
        first = rows[-1][0].box if rows else (0, 0, 0, 0)
        if rows and panel.box[1] < (first[1] + first[3]) / 2:
            rows[-1].append(panel)
        else:
            rows.append([panel])
    return [panel for row in rows for panel in sorted(row, key=lambda panel: panel.box[0])]


def search(
    sheet: Sheet, readings: Sequence[Reading], num_panels: int
) -> tuple[Reading, list[Tree]]:
    """The reading of the labels, and its panels, that agree best with the picture.

    The plain reading is enough where it explains the picture well; only else labels may stand
    elsewhere in their panels than margins say, and at last one of them may be false.
    """
    doubts = [
        (prior, reading, _marks(reading, sheet), anchor)
        for reading in readings
        for anchor, prior in anchors_of(sheet, _marks(reading, sheet), num_panels)
    ]
    best: tuple[float, list[Tree]] = (np.inf, [])
    taken = doubts[0]
    for doubt in doubts:
        cost, panels = _search(sheet, doubt[2], num_panels, doubt[3], 0)
        if cost + doubt[0] < best[0]:
            best, taken = (cost + doubt[0], panels), doubt
        if best[0] <= WELL_EXPLAINED * num_panels:
            return taken[1], best[1]
    if taken[2]:
        cost, panels = _search(sheet, taken[2], num_panels, taken[3], 1)
        if cost + taken[0] < best[0]:
            best = (cost, panels)
    return taken[1], best[1]


def _marks(reading: Reading, sheet: Sheet) -> tuple[Mark, ...]:
    return tuple(Mark(i, _scaled(label.box, sheet)) for i, label in enumerate(reading))


def _search(
    sheet: Sheet,
    marks: tuple[Mark, ...],
    num_panels: int,
    anchor: tuple[float, float],
    num_false: int,
) -> tuple[float, list[Tree]]:
    """Cost and panels of the best tree, near to that number."""
    hunt = Search(
        sheet,
        Taste(width_weight=0.3 if marks else 1.0, anchor=anchor),
        most=max(num_panels, len(marks)),
        num_missing=max(0, num_panels - len(marks)) + num_false,
        crowded=PLAINLY_CROWDED if not num_false else FALSE_LABEL,
        marks=marks,
    )
    root = hunt.tree(sheet.whole, marks)
    numbers = np.arange(1, len(root.costs) + 1)
    total = root.costs + UNEXPECTED * np.abs(numbers - num_panels)
    number = int(np.argmin(total)) + 1
    return float(total[number - 1]), leaves(root, number)


def anchors_of(
    sheet: Sheet, marks: Sequence[Mark], num_panels: int
) -> list[tuple[tuple[float, float], float]]:
    """Where labels may stand in their panels, the likeliest first, and what doubt it costs.

    The top left is usual, the bottom left comes next. Margins say it well if no label is missing.
    """
    if not marks:
        return [(TOP_LEFT, 0.0)]
    margins = anchor_of(sheet, marks)
    if len(marks) >= num_panels:
        return [(margins, 0.0)]
    return [(margins, 0.3), (TOP_LEFT, 0.0), (BOTTOM_LEFT, 0.3)]


def anchor_of(sheet: Sheet, marks: Sequence[Mark]) -> tuple[float, float]:
    """Where labels stand in their panels, as parts of width and height.

    Margins tell: of labels at the top left, the first stand at the page's left and top margins,
    and the last far from the right and bottom ones.
    """
    if not marks:
        return (0.0, 0.0)
    box = trimmed(sheet, sheet.whole)
    parts = []
    for axis in (0, 1):
        centres = [mark.centre[axis] for mark in marks]
        before, after = min(centres) - box[axis], box[axis + 2] - max(centres)
        parts.append(float(np.clip(before / max(1e-9, before + after), 0, 1)))
    return parts[0], parts[1]


def _scaled(box: Box, sheet: Sheet) -> Box:
    x0, y0, x1, y1 = (round(value * sheet.scale) for value in box)
    x0, y0 = min(max(0, x0), sheet.width - 1), min(max(0, y0), sheet.height - 1)
    return x0, y0, min(max(x0 + 1, x1), sheet.width), min(max(y0 + 1, y1), sheet.height)


def _panel(leaf: Tree, known: Sequence[Label], sheet: Sheet, size: tuple[int, int]) -> PanelBox:
    label = max(
        (known[mark.index] for mark in leaf.marks), key=lambda one: one.confidence, default=None
    )
    confidence = 1.0 if num_ink(sheet, leaf.box) else 0.0
    return PanelBox(_full_scale(leaf.box, sheet, size), label, confidence)


def _full_scale(box: Box, sheet: Sheet, size: tuple[int, int]) -> Box:
    x0, y0, x1, y1 = box
    return (
        int(x0 / sheet.scale),
        int(y0 / sheet.scale),
        min(size[0], int(np.ceil(x1 / sheet.scale))),
        min(size[1], int(np.ceil(y1 / sheet.scale))),
    )
