"""Panel labels in a picture: letters that stand alone, read by a recogniser of single words.

Full-frame text detection costs more than all the rest of a figure's way. So blobs are found and
ranked without a network, and only the few that look most like the caption's labels are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Int

from figclip.panels.labels.alphabet import DRAWN, likeness
from figclip.panels.labels.glyphs import LONGEST_SIDE, find_glyphs, find_more_glyphs, searched
from figclip.panels.labels.in_line import with_those_in_line
from figclip.panels.labels.label_boxes import (
    IN_LINE,
    SAME_SIZE,
    Candidate,
    convinces,
    font_sizes,
)
from figclip.panels.labels.nested import find_nested, is_nested
from figclip.panels.labels.reader import Picture, Reader, SparingReader, shared_reader
from figclip.panels.labels.search import MOST_READ, Search, Sight, sight_of
from figclip.panels.parts import Label

MOST_EXPECTED = 40
"""Labels that are looked for in one picture."""
DOUBTFUL = 0.75
"""Mean confidence of labels below which print of the other case is looked for."""
RUN = "ABCDEFGHIJKLMNOP"
"""What is looked for where the caption names nothing."""
STRIDE = 3
"""Letters by which such a run is continued."""
SURE = 0.65
"""Fit of the labels of such a run."""
QUICK_SIDE = 800
"""Of a picture whose caption names no labels: most have none, and a quick look must tell."""
TWIN_LIKE = 0.8
MOST_TWINS = 8


@dataclass(frozen=True)
class Sighted:
    """What was seen of a picture's labels."""

    labels: list[Label]
    """Those that convince, in the order and case in which they are expected."""
    hints: list[Label]
    """The same; where none convince, those that may be labels."""


def find_labels(
    image: Picture, expected: Sequence[str], *, reader: Reader | None = None
) -> list[Label]:
    """The labels of `see_labels` that convince."""
    return see_labels(image, expected, reader=reader).labels


def see_labels(image: Picture, expected: Sequence[str], *, reader: Reader | None = None) -> Sighted:
    """Labels that are printed in a picture, in the order and case of `expected`.

    `expected` are those that the caption names: letters and digits, alone or nested (`A1`, `Bii`).
    If there are none, a run A, B, ... is given where one is convincing. Any picture is taken, and
    `MOST_READ` bounds the time.
    """
    wanted = "".join(dict.fromkeys(text for text in expected if text in DRAWN))[:MOST_EXPECTED]
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    nested = [text for text in dict.fromkeys(expected) if is_nested(text)][:MOST_EXPECTED]
    page = searched(gray, LONGEST_SIDE if wanted or nested else QUICK_SIDE)
    glyphs = find_glyphs(page)
    reader = reader or shared_reader()
    if nested:
        found = find_nested(image, page, nested, reader)
        if wanted:
            found += _expected(sight_of(image, page, glyphs), wanted, reader).labels
        if found:
            found = sorted(found, key=lambda label: list(expected).index(label.text))
            return Sighted(found, found)
    if not wanted:
        glyphs = glyphs.take(np.flatnonzero(glyphs.gaps[:, 0] >= 1.0))
        run = _run(sight_of(image, page, glyphs), reader)
        return Sighted(run, run)
    return _expected(sight_of(image, page, glyphs), wanted, reader)


def _expected(sight: Sight, wanted: str, reader: Reader) -> Sighted:
    """Labels that the caption names; what is missing is looked for again, with other eyes."""
    reader = SparingReader(reader, MOST_READ)
    read: dict[int, Candidate] = {}
    likely = Search(sight, wanted, read).likely(reader)
    if len(likely) < len(wanted):
        sight = sight.with_more(find_more_glyphs(sight.page))
        likely = Search(sight, wanted, read).likely(reader)
        likely = with_those_in_line(sight.image, likely, wanted, reader)
    labels = likely if convinces(likely, wanted) else []
    if _sum(labels) < DOUBTFUL * len(wanted) and wanted != wanted.swapcase():
        # The caption says (A) where `a` is printed; sizes then betray the case.
        printed = Search(sight, wanted.swapcase(), read).labels(reader)
        other = [Label(each.text.swapcase(), each.box, each.confidence) for each in printed]
        labels = max(labels, other, key=_sum)
    return Sighted(labels, labels or likely)


def _sum(labels: Sequence[Label]) -> float:
    return sum(label.confidence for label in labels)


def _run(sight: Sight, reader: Reader) -> list[Label]:
    """A, B, ... without a gap, if the first two are as like as two labels of a figure are."""
    for letters in (RUN, RUN.lower()):
        read: dict[int, Candidate] = {}
        twins = _twins(sight, letters[:2])
        found = Search(sight, letters[:2], read, twins).labels(reader)
        run = _unbroken(found, letters)
        length = 0
        while len(run) >= max(2, length):
            length = len(run) + STRIDE
            longer = _unbroken(Search(sight, letters[:length], read).labels(reader), letters)
            run = max(run, longer, key=len)
        if len(run) >= 2:
            return run
    return []


def _unbroken(labels: Sequence[Label], letters: str) -> list[Label]:
    """The labels before the first that is missing or doubtful, and before a bar at the end, which
    may be anything."""
    sure = [label for label in labels if label.confidence > SURE]
    run = [label for label, letter in zip(sure, letters, strict=False) if label.text == letter]
    return run[:-1] if run and run[-1].text in "Il" else run


def _twins(sight: Sight, pair: str) -> Int[np.ndarray, "some"]:
    """Blobs that look like one of a pair of letters and stand alone, in line with one of the same
    size that looks like the other."""
    glyphs, like = sight.glyphs, likeness(sight.ink, pair)
    sizes = np.log(font_sizes(pair, glyphs.boxes[:, 3] - glyphs.boxes[:, 1]))
    one, other = (np.flatnonzero(column > TWIN_LIKE) for column in like.T)
    size = np.abs(sizes[one, 0][:, None] - sizes[other, 1][None]) < np.log(SAME_SIZE) / 2
    edges = glyphs.boxes[:, [0, 3]].astype(float)
    far = np.abs(edges[one][:, None] - edges[other][None]).min(2)
    height = (glyphs.boxes[one, 3] - glyphs.boxes[one, 1])[:, None]
    same = glyphs.brackets[one][:, None] == glyphs.brackets[other][None]
    pairs = size & (far < IN_LINE * height) & same & (one[:, None] != other[None])
    found = np.concatenate([one[pairs.any(1)], other[pairs.any(0)]])
    order = np.argsort(-like[found].max(1), kind="stable")
    return np.unique(found[order][:MOST_TWINS])
