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
"""Ratio of the sizes of two fonts that are not alike any more."""
_SAME_IN_BOTH_CASES = ("cC(", "pP", "uU", "vV", "wW", "xX")
LOOKALIKES = ("0oODQ", "1lIi|", "8B", "5sS", "2zZ", "6bG", "9gq", *_SAME_IN_BOTH_CASES)
"""Characters that are taken for one another when they stand alone."""
ENOUGH = 0.3
"""Fit of a candidate that is taken for a label while others are looked for."""
LIKELY = 0.5
"""Fit of what is given as a label."""
STRONG, HALF = 0.75, 0.6
"""Of the fit of labels, and of the mean fit of all that are expected."""
IN_LINE = 0.4
"""Of a letter's height, that edges in line may differ by."""
OUT_OF_LINE = 0.85


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
    """Height of a capital of the font of a blob, were it each of the wanted letters."""
    return heights[:, None] / np.array([_relative_height(each) for each in wanted])[None, :]


def _relative_height(character: str) -> float:
    return X_HEIGHT if character in LOW else 0.95 if character in HANGING else 1.0


def bare(text: str) -> str:
    """`(a)`, `a)`, `a.` → `a`."""
    return text.strip("()[].,:| ") or text.strip("()[].,: ")


def lookalikes(character: str) -> str:
    """The character and what it is taken for."""
    others = {other for group in LOOKALIKES if character in group for other in group}
    return "".join(sorted(others | {character}))


def agreement(text: str, label: str) -> float:
    """1 if a reading is the label, less if one is known to be taken for the other.

    A caption may write `(A)` where the picture has `a`, so the case alone forbids nothing.
    """
    text = bare(text)
    if text == label:
        return 1.0
    if len(text) == 1 and label in lookalikes(text):
        return 0.8 if text.isalpha() or label in "Il" else 0.6
    return 0.6 if text.lower() == label.lower() else 0.0


def choose_labels(candidates: Sequence[Candidate], expected: Sequence[str]) -> list[Label]:
    """`likely_labels`, or none where all in all nothing convinces."""
    found = likely_labels(candidates, expected)
    return found if convinces(found, expected) else []


def likely_labels(candidates: Sequence[Candidate], expected: Sequence[str]) -> list[Label]:
    """At most one box a label, in the order expected.

    Each candidate in turn sets the style (size, brackets); the style under which most labels are
    found wins, and among candidates of that style those that stand in line with other labels.
    A few weak ones of many expected are letters of the picture's own.
    """
    fits = label_fits(candidates, expected)
    return [
        Label(expected[column], candidates[row].word.box, float(fits[row, column]))
        for column, row in best_rows(fits).items()
        if fits[row, column] > LIKELY
    ]


def convinces(found: Sequence[Label], expected: Sequence[str]) -> bool:
    """Enough of all labels, or nearly all between the first and the last strong one: the others may
    be in another picture of the figure."""
    if sum(label.confidence for label in found) >= HALF * len(expected) > 0:
        return True
    strong = sorted(label.text for label in found if label.confidence > STRONG)
    if len(strong) < 2:
        return False
    first, last = strong[0], strong[-1]
    inside = sum(label.confidence for label in found if first <= label.text <= last)
    return inside >= STRONG * sum(first <= text <= last for text in expected)


def best_rows(fits: Float[np.ndarray, "candidates expected"]) -> dict[int, int]:
    """For each expected label that is found, by its place, the candidate's; no candidate twice."""
    chosen: dict[int, int] = {}
    for column in np.argsort(-fits.max(0, initial=0)):
        free = [row for row in np.argsort(-fits[:, column]) if row not in chosen.values()]
        if free and fits[free[0], column] > ENOUGH:
            chosen[int(column)] = int(free[0])
    return dict(sorted(chosen.items()))


def label_fits(
    candidates: Sequence[Candidate], expected: Sequence[str]
) -> Float[np.ndarray, "candidates expected"]:
    """How well each candidate is each label, in the style that suits the figure best; 0 to 1."""
    scores = np.array([[_fit(each, label) for label in expected] for each in candidates])
    if not scores.any():
        return np.zeros((len(candidates), len(expected)))
    heights = np.array([each.letter[3] - each.letter[1] for each in candidates])
    sizes = np.log(font_sizes("".join(expected), heights))
    brackets = np.array([each.brackets for each in candidates])
    best, chosen = 0.0, np.zeros_like(scores)
    for row, column in zip(*np.nonzero(scores > 0), strict=True):
        same = alike(sizes, sizes[row, column], heights[:, None])
        same = same * np.where(brackets == brackets[row], 1.0, 0.6)[:, None]
        total = float((scores * same).max(0).sum())
        if total > best:
            best, chosen = total, scores * same
    return chosen * _in_line(candidates, chosen)


def alike(
    sizes: Float[np.ndarray, "num wanted"], size: float, heights: Int[np.ndarray, "num 1"]
) -> Float[np.ndarray, "num wanted"]:
    """1 for fonts of one size, 0 for those that differ by `SAME_SIZE`; sizes are logarithms.

    A pixel more or less is forgiven, which is much of a small letter.
    """
    far = np.maximum(0.0, np.abs(sizes - size) - 1 / heights) / np.log(SAME_SIZE)
    return np.clip(1 - far, 0, 1)


def _in_line(
    candidates: Sequence[Candidate], fits: Float[np.ndarray, "candidates expected"]
) -> Float[np.ndarray, "candidates expected"]:
    """1 for what shares a left edge or a base line with the best candidate of another label, else
    `OUT_OF_LINE`."""
    edges = np.array([each.letter for each in candidates], float)[:, [0, 3]]
    heights = np.array([each.letter[3] - each.letter[1] for each in candidates])
    best = fits.argmax(0)
    near = np.abs(edges[:, None] - edges[best][None]) < IN_LINE * heights[:, None, None]
    helps = near.any(2) & (fits.max(0) > ENOUGH)[None]
    lines = helps.sum(1)[:, None] - helps  # no label is in line with itself
    return np.where(lines > 0, 1.0, OUT_OF_LINE)


def _fit(candidate: Candidate, label: str) -> float:
    """How well a candidate fits a label, by itself: 0 to 1."""
    left, right = (min(1.0, gap) for gap in candidate.gaps)
    alone = (0.4 + 0.6 * left) * (0.7 + 0.3 * right)
    return agreement(candidate.word.text, label) * candidate.word.confidence * alone
