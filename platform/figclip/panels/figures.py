"""A figure → its panels: straight cuts that agree with labels, caption and gutters."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from figclip.panels.cuts import Taste
from figclip.panels.parts import Label, PanelBox
from figclip.panels.sheet import Sheet, num_ink, read_sheet, trimmed
from figclip.panels.tree import Mark, Search, Tree, leaves
from figclip.schema import Box

MOST_PANELS = 40

UNEXPECTED = 2.0
"""Cost of every panel more, or fewer, than the labels say."""


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
    known = believed(labels, expected)
    marks = tuple(Mark(i, _scaled(label.box, sheet)) for i, label in enumerate(known))
    num_panels = min(MOST_PANELS, num_expected(known, expected))
    if num_panels < 2:
        return [PanelBox((0, 0, width, height), known[0] if known else None, 1.0)]
    found = search(sheet, marks, num_panels)
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


def believed(labels: Sequence[Label], expected: Sequence[str]) -> list[Label]:
    """Labels that name panels: those of the caption, if it has any; else those of a run."""
    if expected:
        names = {name.lower() for name in expected}
        kept = [label for label in labels if label.text.lower() in names]
    else:
        kept = list(labels)
        steps = sorted({label.text.lower() for label in kept})
        starts = {"a", "b", "1", "2", "i", "ii", "aa"}
        if len(steps) < 2 or steps[0] not in starts or _last(steps) > 1.6 * len(steps) + 0.5:
            return []
    best: dict[str, Label] = {}
    for label in kept:
        name = label.text.lower()
        if name not in best or label.confidence > best[name].confidence:
            best[name] = label
    return sorted(best.values(), key=lambda label: label.text)


def num_expected(known: Sequence[Label], expected: Sequence[str]) -> int:
    """Panels of the figure, as the caption says, or as the last letter found implies."""
    if expected:
        return len({name.lower() for name in expected})
    return max(len(known), _last([label.text for label in known]))


def _last(names: Sequence[str]) -> int:
    """Place in the alphabet of the last single letter."""
    return max(
        (
            ord(name.lower()) - ord("a") + 1
            for name in names
            if len(name) == 1 and name.isalpha() and name.isascii()
        ),
        default=0,
    )


def search(sheet: Sheet, marks: tuple[Mark, ...], num_panels: int) -> list[Tree]:
    """The panels of the best tree, near to that number."""
    taste = Taste(width_weight=0.3 if marks else 1.0, anchor=anchor_of(sheet, marks))
    hunt = Search(
        sheet,
        taste,
        most=max(num_panels, len(marks)),
        num_missing=max(0, num_panels - len(marks)),
        has_marks=bool(marks),
    )
    root = hunt.tree(sheet.whole, marks)
    numbers = np.arange(1, len(root.costs) + 1)
    total = root.costs + UNEXPECTED * np.abs(numbers - num_panels)
    return leaves(root, int(np.argmin(total)) + 1)


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
    x0, y0, x1, y1 = leaf.box
    box = (
        int(x0 / sheet.scale),
        int(y0 / sheet.scale),
        min(size[0], int(np.ceil(x1 / sheet.scale))),
        min(size[1], int(np.ceil(y1 / sheet.scale))),
    )
    return PanelBox(box, label, 1.0 if num_ink(sheet, leaf.box) else 0.0)
