"""How well panels, labels and sub-captions were found: the field's measures, in plain loops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from figclip.schema import Box

ENOUGH_OVERLAP = 2 / 3
"""Of a true panel's area, which a found one must exceed (ImageCLEF 2015 and 2016)."""

ENOUGH_WORDS = 0.9
"""Of two texts' words, that must be the same."""


@dataclass(frozen=True)
class Counts:
    """Right, found and true things; those of several figures add up."""

    right: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.right + other.right, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        total = self.found + self.true
        return 2 * self.right / total if total else 1.0


def area(box: Box) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def overlap(one: Box, other: Box) -> int:
    """Pixels of both."""
    return area(
        (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    )


def matched_panels(found: Sequence[Box], true: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs `(found, true)`, one to one and as many as can be, that overlap enough.

    A pair fits if its overlap is more than `ENOUGH_OVERLAP` of the true panel's area. Among equal
    matchings the one with the tightest found panels is taken.
    """
    if not found or not true:
        return []
    common = np.array([[overlap(one, other) for other in true] for one in found], float)
    of_true = common / np.array([[max(1, area(box)) for box in true]])
    of_found = common / np.array([[max(1, area(box))] for box in found])
    fits = of_true * (of_true > ENOUGH_OVERLAP)
    rows, columns = linear_sum_assignment(-(fits + 1.0 * (fits > 0) + 1e-3 * of_found))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if fits[i, j] > 0]


def panel_score(found: Sequence[Box], true: Sequence[Box]) -> float:
    """Of a figure: right panels / the larger of the numbers of true and found ones."""
    return len(matched_panels(found, true)) / max(len(found), len(true), 1)


def word_overlap(one: str, other: str) -> float:
    """F1 of two texts' words, as bags."""
    a, b = _bag(one), _bag(other)
    common = sum(min(count, b.get(word, 0)) for word, count in a.items())
    total = sum(a.values()) + sum(b.values())
    return 2 * common / total if total else 1.0


def _bag(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in text.lower().split():
        word = word.strip(".,;:()[]")
        if word:
            counts[word] = counts.get(word, 0) + 1
    return counts


def caption_counts(found: Mapping[str, str], true: Mapping[str, str]) -> Counts:
    """Sub-captions, label → words; right are those of a true label with `ENOUGH_WORDS` of them."""
    right = sum(
        label in true and word_overlap(text, true[label]) >= ENOUGH_WORDS
        for label, text in found.items()
    )
    return Counts(right, len(found), len(true))


def label_counts(found: Sequence[str], true: Sequence[str]) -> Counts:
    """Labels of a figure as a set."""
    return Counts(len(set(found) & set(true)), len(set(found)), len(set(true)))
