"""Blobs of a picture that may be a letter standing alone: where panel labels hide.

A blob is ink against its neighbourhood, dark on pale or pale on dark. What has a letter close to
its left or right is part of a word; brackets are no letters, and are told apart by their shape.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

Gray = UInt8[np.ndarray, "height width"]

LONGEST_SIDE = 1_400
"""Of the picture that is searched, in pixels."""
MAX_ZOOM = 2.0
"""Labels of 7 pixels are usual in pictures of 600."""
NEIGHBOURHOOD = 51
"""Side of the square, in pixels of the searched picture, whose mean ink is compared with."""
CONTRAST = 28
"""Of 255 levels, between ink and the mean of its neighbourhood."""
STRONG = 60
"""Contrast at which blurred letters fall apart."""
PLAIN = 40
"""Of 255 levels, between black or white print and black or white."""
HEIGHTS = (7, 90)
"""Of a letter, in pixels of the searched picture."""
LETTER_GAP = 0.33
"""Between letters of a word, in heights of a letter; spaces between words are wider."""
BRACKET_GAP = 0.5
"""Between a letter and its bracket, which is looser about small letters."""
REACH = 1.5
"""How far neighbours are looked for, in heights of a letter."""
ROWS = (0.1, 0.3, 0.5, 0.7, 0.92)
"""Where a blob's height is crossed to look for neighbours; the last meets full stops."""
STEPS = 16
OFF_LINE = 0.3
"""Of a letter's height, that the feet of letters of a line may differ by (`p`, brackets)."""


@dataclass(frozen=True)
class Glyphs:
    """Blobs that may be letters, in the searched picture; one row each in all fields."""

    boxes: Int[np.ndarray, "num 4"]
    """Of the letter alone."""
    outer: Int[np.ndarray, "num 4"]
    """With its brackets and full stop."""
    brackets: Int[np.ndarray, "num"]
    """0 for none, 1 behind, 2 around."""
    gaps: Float[np.ndarray, "num 2"]
    """To the next blob of the size of text, left and right, in heights; at most `REACH`."""
    is_pale: Bool[np.ndarray, "num"]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: Int[np.ndarray, "some"]) -> "Glyphs":
        return Glyphs(*(field[rows] for field in vars(self).values()))

    def __add__(self, other: "Glyphs") -> "Glyphs":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Glyphs(*(np.concatenate(pair) for pair in pairs))


def searched(gray: Gray, longest_side: int = LONGEST_SIDE) -> Gray:
    """The picture at the size at which letters are looked for."""
    zoom = min(MAX_ZOOM, longest_side / max(gray.shape))
    size = (max(1, round(gray.shape[1] * zoom)), max(1, round(gray.shape[0] * zoom)))
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(gray, size, interpolation=how), np.uint8)


def find_glyphs(gray: Gray) -> Glyphs:
    """Letters that may stand alone, of both polarities; `gray` is as `searched` gives it."""
    mean = cv2.blur(gray, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    return _both(cv2.subtract(mean, gray) > CONTRAST, cv2.subtract(gray, mean) > CONTRAST)


def find_more_glyphs(gray: Gray) -> Glyphs:
    """What `find_glyphs` joins with its surroundings: letters in black or white on whatever ground,
    and small letters that blur into their brackets."""
    mean = cv2.blur(gray, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    plain = _both(gray < PLAIN, gray > 255 - PLAIN)
    return plain + _both(cv2.subtract(mean, gray) > STRONG, cv2.subtract(gray, mean) > STRONG)


def _both(dark: Bool[np.ndarray, "height width"], pale: Bool[np.ndarray, "height width"]) -> Glyphs:
    parts = [_alone(ink.view(np.uint8), is_pale) for ink, is_pale in ((dark, False), (pale, True))]
    return Glyphs(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))


def _alone(ink: UInt8[np.ndarray, "height width"], is_pale: bool) -> tuple[np.ndarray, ...]:
    """The fields of `Glyphs` for one polarity: no letter close by, but brackets or a full stop."""
    # Of the algorithms that give boxes too, the quickest.
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        ink, 8, cv2.CV_32S, cv2.CCL_GRANA
    )
    text, letter, bracket = _kinds(stats)
    ids = np.flatnonzero(letter)
    sides = [_side(labels, stats, ids, text, bracket, side) for side in (-1, 1)]
    before, behind = sides
    keep = (before.gaps >= LETTER_GAP) & (behind.gaps >= LETTER_GAP / 2)
    keep &= ~(before.is_bracket & ~behind.is_bracket)
    outer = np.concatenate(
        [
            np.minimum(*(side.boxes[:, :2] for side in sides)),
            np.maximum(*(side.boxes[:, 2:] for side in sides)),
        ],
        axis=1,
    )
    brackets = behind.is_bracket * (1 + before.is_bracket)
    gaps = np.stack([before.gaps, behind.gaps], 1)
    fields = (_boxes(stats[ids]), outer, brackets, gaps, np.full(len(ids), is_pale))
    return tuple(field[keep] for field in fields)


def _kinds(stats: Int[np.ndarray, "all 5"]) -> tuple[Bool[np.ndarray, "all"], ...]:
    """By size and shape: what may be part of text, what a letter, and what a bracket."""
    _, _, width, height, area = stats.T
    text = (height >= 3) & (height <= HEIGHTS[1]) & (width <= 2 * HEIGHTS[1])
    text[0] = False  # the ground
    filled = area / np.maximum(1, width * height)
    shape = width / np.maximum(1, height)
    letter = text & (height >= HEIGHTS[0]) & (shape < 1.7) & (shape > 0.08) & (filled < 0.98)
    return text, letter, letter & (shape < 0.5) & (filled < 0.65)


@dataclass(frozen=True)
class _Side:
    """What is on one side of each letter."""

    boxes: Int[np.ndarray, "num 4"]
    """Of the letter, and of the bracket or full stop on this side."""
    gaps: Float[np.ndarray, "num"]
    """To the next text behind these, in heights."""
    is_bracket: Bool[np.ndarray, "num"]


def _side(
    labels: Int[np.ndarray, "height width"],
    stats: Int[np.ndarray, "all 5"],
    ids: Int[np.ndarray, "num"],
    text: Bool[np.ndarray, "all"],
    bracket: Bool[np.ndarray, "all"],
    side: int,
) -> _Side:
    other, gaps = _neighbours(labels, stats, text, ids, side)
    tall = stats[other, 3] / stats[ids, 3]
    hugs = (gaps < BRACKET_GAP) & bracket[other] & (tall > 1.05) & (tall < 2.2)
    stop = (
        (other > 0)
        & (gaps < LETTER_GAP)
        & (side > 0)
        & (tall < 0.35)
        & (stats[other, 2] < 0.4 * stats[ids, 3])
    )
    row = np.zeros(len(stats), int)
    row[ids] = np.arange(len(ids))
    beyond = np.where(hugs, gaps[row[other]] * tall, REACH)
    own, joined = _boxes(stats[ids]), _boxes(stats[other])
    outer = np.concatenate(
        [np.minimum(own[:, :2], joined[:, :2]), np.maximum(own[:, 2:], joined[:, 2:])], axis=1
    )
    skip = hugs | stop
    return _Side(np.where(skip[:, None], outer, own), np.where(skip, beyond, gaps), hugs)


def _neighbours(
    labels: Int[np.ndarray, "height width"],
    stats: Int[np.ndarray, "all 5"],
    text: Bool[np.ndarray, "all"],
    ids: Int[np.ndarray, "num"],
    side: int,
) -> tuple[Int[np.ndarray, "num"], Float[np.ndarray, "num"]]:
    """The next blob of text on a side (0 for none), and the gap to it in heights."""
    left, top, width, height, _ = stats[ids].T
    steps = np.linspace(0, REACH, STEPS + 1)[None, :, None]
    start = (left - 1 if side < 0 else left + width)[:, None, None]
    xs = (start + side * steps * height[:, None, None]).astype(int)
    ys = (top[:, None, None] + np.array(ROWS)[None, None, :] * height[:, None, None]).astype(int)
    inside = (xs >= 0) & (xs < labels.shape[1])
    met = labels[np.minimum(ys, labels.shape[0] - 1), np.clip(xs, 0, labels.shape[1] - 1)] * inside
    met = met * text[met]
    met = met * _in_line(stats, ids, met)
    # The first blob met from the letter outwards, whatever row meets it.
    flat = met.reshape(len(ids), len(ROWS) * (STEPS + 1))
    first = (flat > 0).argmax(1)
    other = flat[np.arange(len(ids)), first]
    edge = stats[other, 0] + (stats[other, 2] if side < 0 else 0)
    gap = (left - edge) if side < 0 else (edge - left - width)
    return other, np.where(other > 0, np.clip(gap / height, 0, REACH), REACH)


def _in_line(
    stats: Int[np.ndarray, "all 5"],
    ids: Int[np.ndarray, "num"],
    met: Int[np.ndarray, "num steps rows"],
) -> Bool[np.ndarray, "num steps rows"]:
    """Whether blobs share a base line or are low or tall beside each other, as text is."""
    top, height = (stats[ids, field][:, None, None] for field in (1, 3))
    lower = np.abs(stats[met, 1] + stats[met, 3] - top - height)
    share = stats[met, 3] / height
    return (lower < OFF_LINE * np.maximum(height, stats[met, 3])) & (share < 2.5)


def _boxes(stats: Int[np.ndarray, "num 5"]) -> Int[np.ndarray, "num 4"]:
    left, top, width, height = stats[:, :4].T
    return np.stack([left, top, left + width, top + height], 1)
