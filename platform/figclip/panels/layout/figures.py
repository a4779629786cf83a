"""A figure → its panels: straight cuts that agree with labels, caption and gutters."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from figclip.panels.layout.blocks import clear_panels
from figclip.panels.layout.borders import border_map
from figclip.panels.layout.doubts import best_view
from figclip.panels.layout.margins import with_margins
from figclip.panels.layout.names import num_named, readings_of
from figclip.panels.layout.sheet import Sheet, num_ink, read_sheet
from figclip.panels.layout.tree import Tree
from figclip.panels.layout.unknown import is_worth_asking, seen_panels
from figclip.panels.parts import Label, PanelBox
from figclip.schema import Box

MOST_PANELS = 40
"""Labels of a caption that are looked for; no figure has as many panels."""

SMALLEST_SIDE = 16
"""Pixels; a smaller picture has no panels."""

CLEAR = 0.5
"""Confidence in panels that no label names."""


def split_figure(
    image: UInt8[np.ndarray, "height width 3"],
    *,
    labels: Sequence[Label] = (),
    expected: Sequence[str] = (),
    border: Float[np.ndarray, "2 rows columns"] | None = None,
) -> list[PanelBox]:
    """The panels of a figure in reading order; one, if it is not compound.

    `labels` were read in the picture, `expected` are those of its caption in order; either may be
    missing. `border` may hold the probabilities of a vertical and of a horizontal border between
    panels, over the whole picture on a grid of any size; cuts are drawn to where they are high.
    Where nothing is known they are looked up here, if they may matter. Never fails: what cannot be
    read is one panel.
    """
    height, width = image.shape[:2]
    whole = (0, 0, width, height)
    if min(height, width) < SMALLEST_SIDE:
        return [PanelBox(whole, None, 1.0)]
    sheet = read_sheet(image, border=border)
    if not num_ink(sheet, sheet.whole):
        return [PanelBox(whole, None, 1.0)]
    expected = list(dict.fromkeys(expected))[:MOST_PANELS]
    readings = readings_of(labels, expected)
    num_panels = num_named(readings[0], expected)
    if num_panels > 1:
        view = best_view(sheet, readings, expected, num_panels)
        sure = math.exp(-max(0.0, view.cost) / len(view.panels))
        boxes = with_margins(sheet, [leaf.box for leaf in view.panels])
        return in_reading_order(
            [
                _panel(leaf, _full_scale(box, sheet, (width, height)), sheet, sure)
                for leaf, box in zip(view.panels, boxes, strict=True)
            ]
        )
    clear = [] if expected or readings[0] else _unknown(image, sheet)
    if not clear:
        return [PanelBox(whole, next(iter(readings[0]), None), 1.0)]
    boxes = [_full_scale(box, sheet, (width, height)) for box in with_margins(sheet, clear)]
    return in_reading_order([PanelBox(box, None, CLEAR) for box in boxes])


def _unknown(image: UInt8[np.ndarray, "height width 3"], sheet: Sheet) -> list[Box]:
    """Panels of which nothing is known; none where the figure is to stay whole."""
    clear = clear_panels(sheet)
    if not clear and not is_worth_asking(sheet):
        return []
    return seen_panels(sheet, border_map(image)) or clear


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


def _panel(leaf: Tree, box: Box, sheet: Sheet, sure: float) -> PanelBox:
    labels = [mark.label for mark in leaf.marks]
    label = max(labels, key=lambda label: label.confidence, default=None)
    return PanelBox(box, label, sure if num_ink(sheet, leaf.box) else 0.0)


def _full_scale(box: Box, sheet: Sheet, size: tuple[int, int]) -> Box:
    x0, y0, x1, y1 = box
    return (
        int(x0 / sheet.scale),
        int(y0 / sheet.scale),
        min(size[0], int(np.ceil(x1 / sheet.scale))),
        min(size[1], int(np.ceil(y1 / sheet.scale))),
    )
