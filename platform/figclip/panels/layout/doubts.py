"""How labels are to be taken: what a figure's picture says where they are doubtful."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from figclip.panels.layout.cuts import Survey
from figclip.panels.layout.names import Reading, axes_of, place_of
from figclip.panels.layout.order import Mark, reading_order
from figclip.panels.layout.sheet import Sheet, trimmed
from figclip.panels.layout.tree import FAR, Search, Tree, leaves
from figclip.schema import Box

UNEXPECTED = 3.5
UNEXPECTED_PLACE = 0.8
"""Cost of every panel more, or fewer, than the caption says: by labels, and by places, which may
be parts of one picture."""

PLAINLY_CROWDED = 2.5
FALSE_LABEL = 1.5
"""Cost of every label but one in a panel: while all are taken for true, and in doubt."""

WELL_EXPLAINED = 0.4
"""Cost of a panel up to which nothing is doubted."""

WIDTH_MATTERS = 1.0
WIDTH_MATTERS_LITTLE = 0.3
"""How much a wide gutter is worth more than a hairline: without labels, and with them, as gutters
within a labelled panel may be wider than those between panels."""

TOP_LEFT = (0.03, 0.05)
BOTTOM_LEFT = (0.03, 0.95)


@dataclass(frozen=True)
class View:
    """One way to take the labels, and the panels that follow."""

    marks: tuple[Mark, ...]
    anchor: tuple[float, float]
    """Where labels stand in their panels, as parts of width and height: (0, 0) is top left."""
    prior: float
    """Cost of taking them so."""
    num_false: int = 0
    """Labels that may be none."""
    panels: tuple[Tree, ...] = ()
    cost: float = np.inf


def best_view(
    sheet: Sheet, readings: Sequence[Reading], expected: Sequence[str], num_panels: int
) -> View:
    """That which agrees best with the picture.

    The plain one is enough where it explains the picture well; only else labels may stand
    elsewhere in their panels than margins say, and at last one of them may be false.
    """
    survey = Survey(
        sheet,
        WIDTH_MATTERS_LITTLE if any(readings) else WIDTH_MATTERS,
        axes=axes_of(expected) or (0, 1),
    )
    unexpected = UNEXPECTED_PLACE if axes_of(expected) else UNEXPECTED
    best: View | None = None
    for view in _views(sheet, readings, expected, num_panels):
        seen = _seen(survey, view, num_panels, unexpected)
        if best is None or seen.cost < best.cost:
            best = seen
        if best.cost <= WELL_EXPLAINED * num_panels:
            return best
    assert best is not None  # there is a reading, if only an empty one
    if not best.marks:
        return best
    doubtful = View(best.marks, best.anchor, best.prior, num_false=1)
    return min(best, _seen(survey, doubtful, num_panels, unexpected), key=lambda view: view.cost)


def _views(
    sheet: Sheet, readings: Sequence[Reading], expected: Sequence[str], num_panels: int
) -> Iterator[View]:
    for reading in readings:
        marks = tuple(
            Mark(place_of(label.text, expected), _scaled(label.box, sheet), label)
            for label in reading
        )
        for anchor, prior in _anchors(sheet, marks, num_panels):
            yield View(marks, anchor, prior)


def _seen(survey: Survey, view: View, num_panels: int, unexpected: float) -> View:
    """The same with its panels: those of the best tree, near to that number."""
    size = (survey.sheet.width, survey.sheet.height)
    num_labels = len(view.marks)
    search = Search(
        survey,
        anchor=view.anchor,
        most=max(num_panels, num_labels),
        num_missing=max(0, num_panels - num_labels) + view.num_false,
        crowded=FALSE_LABEL if view.num_false else PLAINLY_CROWDED,
        marks=view.marks,
        order=reading_order(view.marks, size, FAR),
    )
    root = search.tree(survey.sheet.whole, view.marks)
    numbers = np.arange(1, len(root.costs) + 1)
    total = view.prior + root.costs + unexpected * np.abs(numbers - num_panels)
    best = int(np.argmin(total))
    panels = tuple(leaves(root, best + 1))
    return View(
        view.marks, view.anchor, view.prior, view.num_false, panels, cost=float(total[best])
    )


def _anchors(
    sheet: Sheet, marks: Sequence[Mark], num_panels: int
) -> list[tuple[tuple[float, float], float]]:
    """Where labels may stand in their panels, the likeliest first, and what doubt it costs.

    The top left is usual, the bottom left comes next. Margins say it well if no label is missing.
    """
    if not marks:
        return [(TOP_LEFT, 0.0)]
    margins = _margins(sheet, marks)
    if len(marks) >= num_panels:
        return [(margins, 0.0)]
    return [(margins, 0.3), (TOP_LEFT, 0.0), (BOTTOM_LEFT, 0.3)]


def _margins(sheet: Sheet, marks: Sequence[Mark]) -> tuple[float, float]:
    """Where labels stand in their panels, as parts of width and height.

    Margins tell: of labels at the top left, the first stand at the page's left and top margins,
    and the last far from the right and bottom ones.
    """
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
