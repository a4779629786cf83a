"""From words that were read to panel labels: one for each that is expected, all of one style."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from figclip.panels.parts import Label, Word
from figclip.schema import Box

LOW = frozenset("acemnorsuvwxz")
"""Letters without ascender: their height in fonts' capitals is `X_HEIGHT`."""
HANGING = frozenset("gpqy")
X_HEIGHT = 0.74
SAME_SIZE = 1.22
"""Largest ratio of the sizes of two labels of a figure."""
LOOKALIKES = ("0oODQ", "1lIi|", "8B", "5S", "2Z", "6bG", "9gq", "cC(", "vV", "wW", "xX", "zZ", "uU")
"""Characters that a recogniser confuses when they stand alone."""
RUN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Candidate:
    """A word that may be a label."""

    word: Word
    """As read, with brackets; the box is of all that is printed."""
    letter: Box
    """Of the letter alone."""
    gaps: tuple[float, float]
    """To the next text left and right, in heights of the letter."""
    brackets: int
    """0 for none, 1 behind, 2 around."""
    is_pale: bool


def font_sizes(wanted: str, heights: Int[np.ndarray, "num"]) -> Float[np.ndarray, "num wanted"]:
    """Height of a capital of the same font, were a blob of that height each of the wanted letters."""
    return heights[:, None] / np.array([_relative_height(each) for each in wanted])[None, :]


def _relative_height(character: str) -> float:
    return X_HEIGHT if character in LOW else 0.95 if character in HANGING else 1.0


def bare(text: str) -> str:
    """`(a)`, `a)`, `a.` → `a`."""
    return text.strip("()[].,:| ") or text.strip("()[].,: ")


def agreement(text: str, label: str) -> float:
    """1 if a reading is the label in any case, less if one is known to be taken for the other."""
    text = bare(text)
    if text.lower() == label.lower():
        return 1.0
    if len(text) == 1 and any(text in each and label in each for each in LOOKALIKES):
        return 0.8
    return 0.0


def choose_labels(candidates: Sequence[Candidate], expected: Sequence[str]) -> list[Label]:
    """At most one box a label, in the order expected; none where nothing convinces.

    Each candidate in turn sets the style (size, brackets); the style under which most labels are
    found wins. With nothing expected, a run from A on is.
    """
    if not candidates:
        return []
    if expected:
        return _best_set(candidates, expected)
    runs = [_run(_best_set(candidates, letters)) for letters in (RUN, RUN.lower())]
    return max(runs, key=lambda run: sum(label.confidence for label in run))


def _run(labels: Sequence[Label]) -> list[Label]:
    """Those from A on without a gap, if two at least."""
    letters = {label.text: label for label in labels}
    run: list[Label] = []
    for each in RUN if not labels or labels[0].text.isupper() else RUN.lower():
        if each not in letters:
            break
        run.append(letters[each])
    return run if len(run) >= 2 else []


def _best_set(candidates: Sequence[Candidate], expected: Sequence[str]) -> list[Label]:
    scores = np.array([[_fit(each, label) for label in expected] for each in candidates])
    heights = np.array([each.letter[3] - each.letter[1] for each in candidates])
    sizes = np.log(font_sizes("".join(expected), heights))
    brackets = np.array([each.brackets for each in candidates])
    best, chosen = 0.0, np.zeros_like(scores)
    for row, column in zip(*np.nonzero(scores > 0), strict=True):
        far = np.abs(sizes - sizes[row, column]) / np.log(SAME_SIZE)
        same = np.clip(1.5 - far, 0, 1) * np.where(brackets == brackets[row], 1.0, 0.6)[:, None]
        fits = scores * same
        total = fits.max(0).sum()
        if total > best:
            best, chosen = total, fits
    rows = chosen.argmax(0)
    return [
        Label(label, candidates[row].word.box, float(min(1.0, chosen[row, column])))
        for column, (label, row) in enumerate(zip(expected, rows, strict=True))
        if chosen[row, column] > 0.3
    ]


def _fit(candidate: Candidate, label: str) -> float:
    """How well a candidate fits a label, by itself: 0 to 1."""
    alone = min(1.0, sum(min(gap, 1.0) for gap in candidate.gaps) / 2 + 0.3)
    return agreement(candidate.word.text, label) * candidate.word.confidence * alone
