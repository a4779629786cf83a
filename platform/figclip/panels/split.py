"""A figure with its caption and mentions → its panels, each with its own words: the whole way.

What is wrong in the real annotated figures, the worst first (`python -m jobs.benchmark panels
--folder DIR` draws them as `worst.png`; four of 74 have a wrong panel):

* A caption that is another figure's and names one label more than the picture has (630b67f5c81d),
  or one less (7af880451998): the panels become as many as the caption says. Nothing in the picture
  can tell.
* Nine photographs of one kind, stitched on one pale ground without a label or a line between them
  (aa762d9ad5f1): those of a row have the same ground, and few are told apart.
* A caption without labels, and a slanted last one in the picture that is not read (11b467e312ca):
  the run ends before it, so its panel joins its neighbour.

Of a figure of which nothing is known, neither labels nor names, only photographs and parts of one
size are told apart (`layout.unknown`); panels of unlike plots and drawings stay whole: most such
figures are single ones, and a cut too many spoils both halves. Of generated figures, made to lack
labels as often as real ones of their arrangement do, these lose the most; then come pinwheels of
plots, whose white bands are as clean as their gutters; and those whose letters touch what is drawn,
or stand in pairs on rough photographs, where another letter is taken for one of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from figclip.jats.references import figure_references
from figclip.panels.labels.matching import match_labels
from figclip.panels.labels.ocr import Sighted, see_labels
from figclip.panels.layout.borders import border_map, cut_at_borders
from figclip.panels.layout.figures import in_reading_order, split_figure
from figclip.panels.layout.names import fold
from figclip.panels.parts import PanelBox
from figclip.panels.words.captions import shared, split_caption, sub_captions
from figclip.panels.words.citances import split_mention
from figclip.schema import Box

Picture = UInt8[np.ndarray, "height width 3"]

MOST_PRINTED = 5
"""Characters of a label that can stand in a picture; longer ones say where a panel is."""

ROWS = ({"top", "upper"}, {"middle", "center", "centre", "central"}, {"bottom", "lower"})
SIDES = ({"left"}, {"middle", "center", "centre"}, {"right"})

UNSEEN = 0.7
"""Least confidence in panels of which no label was seen.

Set on real annotated figures, compound ones whose labels were withheld and single ones with
captions that name labels which they lack: a lower bound cuts more of the latter.
"""
TRUST = 1.2
"""How much labels that were seen speak for those that were not: where a part s of all was seen, the
least confidence is `UNSEEN` (1 - s) ** `TRUST`."""

SEEN_BY_NETWORK = 0.6
"""Confidence in panels that only the network's borders divide."""

BY_ORDER = 0.5
"""How sure a name is that a panel has by its place alone."""


@dataclass(frozen=True)
class SplitPanel:
    """A panel with the words that speak of it."""

    label: str
    """As the caption writes it, else as it is printed; empty where neither names it."""
    box: Box
    label_box: Box | None
    caption: tuple[str, ...]
    """Exact substrings of the figure's caption, in order; empty where none speaks of it alone."""
    mentions: tuple[str, ...]
    """Exact substrings of the figure's mentions."""
    confidence: float
    """0 to 1."""


@dataclass(frozen=True)
class SplitFigure:
    """All panels of a figure; what could not be told is said in `notes`."""

    panels: tuple[SplitPanel, ...]
    """At least one."""
    shared: tuple[str, ...]
    """Substrings of the caption that speak of no single panel."""
    notes: tuple[str, ...]
    """Each begins with a word to count by."""


def split_pair(
    image: Picture, caption: str, mentions: Sequence[str] = (), *, figure: str = ""
) -> SplitFigure:
    """The panels of a figure, their sub-captions and what mentions say of them.

    `figure` is the figure's own label, for example `Figure 1`; without it a mention is taken to
    speak of the figure that the mentions name most often. Nothing is lost: a figure that cannot be
    divided comes out as one panel, and words whose panel was not found are shared.
    """
    spans = split_caption(caption)
    pieces = sub_captions(caption, spans)
    expected = [name for name in pieces if len(name) <= MOST_PRINTED]
    sighted = see_labels(image, expected)
    boxes = _divided(image, sighted, expected)
    if not any(panel.label for panel in boxes):
        boxes = match_labels([panel.box for panel in boxes], sighted.labels)
    if len(boxes) == 1:
        why = [f"labels_not_found: {', '.join(pieces)}"] if len(pieces) > 1 else []
        return _whole(boxes[0], caption, mentions, why)
    names, notes = _names(boxes, list(pieces))
    said = _said(mentions, figure, [name for name in names if name])
    panels = tuple(
        SplitPanel(
            label=name,
            box=panel.box,
            label_box=panel.label.box if panel.label else None,
            caption=tuple(pieces.get(name, ())),
            mentions=tuple(said.get(name, ())),
            confidence=panel.confidence if panel.label else panel.confidence * BY_ORDER,
        )
        for panel, name in zip(boxes, names, strict=True)
    )
    lost = [name for name in pieces if name not in names]
    kept = {piece for panel in panels for piece in panel.caption}
    unplaced = {piece: None for name in lost for piece in pieces[name] if piece not in kept}
    notes += [f"no_panel: for {name} of the caption" for name in lost]
    return SplitFigure(panels, (*shared(caption, spans), *unplaced), tuple(notes))


def _divided(image: Picture, sighted: Sighted, expected: Sequence[str]) -> list[PanelBox]:
    """Panels by labels and caption, as long as the picture bears out what only the caption says.

    Borders that a network sees are asked for where labels are missing: they tell little besides.
    """
    found = sighted.labels
    if len(found) >= len(expected):
        return split_figure(image, labels=found, expected=expected)
    border = border_map(image)
    boxes = split_figure(image, labels=sighted.hints, expected=expected, border=border)
    seen = sum(label.confidence for label in sighted.hints) / len(expected)
    if min(panel.confidence for panel in boxes) < UNSEEN * (1 - seen) ** TRUST:
        boxes = split_figure(image, labels=found)
    if len(boxes) > 1 or found:
        return boxes
    height, width = image.shape[:2]
    cut = cut_at_borders(border, width, height)
    return in_reading_order([PanelBox(box, None, SEEN_BY_NETWORK) for box in cut])


def whole_figure(
    size: tuple[int, int], caption: str, mentions: Sequence[str], reason: str
) -> SplitFigure:
    """A figure of `(width, height)` as its own only panel."""
    return _whole(PanelBox((0, 0, *size), None, 1.0), caption, mentions, [reason])


def _whole(
    panel: PanelBox, caption: str, mentions: Sequence[str], notes: Sequence[str]
) -> SplitFigure:
    words = (caption,) if caption else ()
    one = SplitPanel("", panel.box, None, words, tuple(mentions), panel.confidence)
    return SplitFigure((one,), (), tuple(notes))


def _names(boxes: Sequence[PanelBox], expected: Sequence[str]) -> tuple[list[str], list[str]]:
    """A name for every panel, empty where there is none, and notes on how it was had.

    Names are the caption's where it has one that differs in case only. Panels that are left
    without take the caption's names that are left, in reading order, if both are as many.
    """
    written = {fold(name): name for name in expected}
    printed = [panel.label.text if panel.label else "" for panel in boxes]
    names = [written.get(fold(name), name) for name in printed]
    notes = [
        f"not_in_caption: {name}" for name in names if name and expected and name not in expected
    ]
    bare = [place for place, name in enumerate(names) if not name]
    left = sorted((name for name in expected if name not in names), key=_place)
    if bare and len(bare) == len(left):
        for place, name in zip(bare, left, strict=True):
            names[place] = name
        notes.append(f"by_order: {', '.join(left)}")
    elif bare:
        notes.append(f"unlabelled: {len(bare)} of {len(boxes)} panels")
    return names, notes


def _place(name: str) -> tuple[int, int]:
    """Where a panel called `top left` stands among others; all letters stand at one place."""
    words = name.split() if len(name) > MOST_PRINTED else []
    row = next((n for n, row in enumerate(ROWS) for word in words if word in row), 0)
    return row, next((n for n, side in enumerate(SIDES) for word in words if word in side), 0)


def _said(mentions: Sequence[str], figure: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Name → what mentions say of that panel; one that names none of them speaks of all."""
    figure = figure or _commonest(mentions)
    said: dict[str, list[str]] = {name: [] for name in names}
    for text in mentions:
        spans = split_mention(text, "", figure, names)
        for name in names:
            own = spans.get(name, ()) if spans else [(0, len(text))]
            said[name] += [text[start:end] for start, end in own]
    return said


def _commonest(mentions: Sequence[str]) -> str:
    """The figure that the mentions name most often, the first of equals; empty without any."""
    named = Counter(
        f"{reference.kind.capitalize()} {reference.figure}"
        for text in mentions
        for reference in figure_references(text)
    )
    return named.most_common(1)[0][0] if named else ""
