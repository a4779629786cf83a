"""Labels of several signs, `A1` or `Bii`, in a picture: short words that stand alone.

They are looked for only where the caption names them: any picture has short words.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from figclip.panels.labels.glyphs import (
    BRACKET_GAP,
    CONTRAST,
    HEIGHTS,
    NEIGHBOURHOOD,
    OFF_LINE,
    Gray,
)
from figclip.panels.labels.label_boxes import HALF, LIKELY, alike, bare, best_rows, lookalikes
from figclip.panels.labels.reader import Picture, Reader, crop_of
from figclip.panels.parts import Label
from figclip.schema import Box

NESTED = re.compile(r"[A-Za-z](?:\d{1,2}|[ivx]{1,4})")
LONGEST_NAME = 5
"""Signs of a label: `Aviii`."""
MOST_LETTERS = 1_500
"""Of each polarity, the tallest, that may be of a word."""
MOST_WORDS = 60
"""That are read in one picture: most of the time goes into them."""
WORD_GAP = 1.0
"""To the next text, in heights; labels stand alone."""
WIDEST = 4.0
"""Width over height of a label in brackets."""

Words = Int[np.ndarray, "num 4"]


def is_nested(name: str) -> bool:
    """`A1`, `Bii`: a letter, and a number of either kind."""
    return len(name) <= LONGEST_NAME and NESTED.fullmatch(name) is not None


def find_nested(image: Picture, page: Gray, wanted: Sequence[str], reader: Reader) -> list[Label]:
    """Labels of the names wanted, all in print of one height; none where most are missing.

    `page` is the grey picture as it is searched, boxes are in pixels of the picture.
    """
    words = np.concatenate([_words(ink) for ink in _inks(page)])[:MOST_WORDS]
    if not wanted or not len(words):
        return []
    height, width = image.shape[:2]
    zoom = np.array([page.shape[1] / width, page.shape[0] / height] * 2)
    ends = np.ceil(words / zoom).astype(int)
    starts = np.floor(words / zoom).astype(int)
    boxes: list[Box] = [
        (int(low[0]), int(low[1]), min(width, int(high[2])), min(height, int(high[3])))
        for low, high in zip(starts, ends, strict=True)
    ]
    read = reader.read([crop_of(image, box) for box in boxes])
    scores = np.array(
        [[likeness_of(text, name) * sure for name in wanted] for text, sure in read], float
    )
    fits = _of_one_height(scores, words[:, 3] - words[:, 1])
    found = [
        Label(wanted[column], boxes[row], float(fits[row, column]))
        for column, row in best_rows(fits).items()
        if fits[row, column] > LIKELY
    ]
    return found if sum(each.confidence for each in found) >= HALF * len(wanted) else []


def likeness_of(text: str, name: str) -> float:
    """1 where a reading is the name, less where its signs are taken for others: `Ail` for `Aii`."""
    text = "".join(sign for sign in bare(text) if sign.isalnum())
    if text == name:
        return 1.0
    is_like = len(text) == len(name) and all(
        sign in lookalikes(other) for sign, other in zip(text, name, strict=True)
    )
    return 0.8 if is_like else 0.0


def _of_one_height(
    scores: Float[np.ndarray, "words names"], heights: Int[np.ndarray, "words"]
) -> Float[np.ndarray, "words names"]:
    """The scores of words as high as most of the labels."""
    sizes = np.log(heights)[:, None]
    best = max(
        (scores * alike(sizes, float(size), heights[:, None]) for size in np.unique(sizes)),
        key=lambda fits: float(fits.max(0).sum()),
    )
    return np.asarray(best)


def _inks(gray: Gray) -> tuple[UInt8[np.ndarray, "height width"], ...]:
    """Dark print, and pale print."""
    mean = cv2.blur(gray, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    masks: tuple[Bool[np.ndarray, "height width"], ...] = (
        np.asarray(cv2.subtract(mean, gray) > CONTRAST),
        np.asarray(cv2.subtract(gray, mean) > CONTRAST),
    )
    return tuple(mask.view(np.uint8) for mask in masks)


def _words(ink: UInt8[np.ndarray, "height width"]) -> Words:
    """Boxes of two to seven letters beside one another, with nothing else in their line nearby."""
    stats = cv2.connectedComponentsWithStats(ink, connectivity=8)[2][1:]
    left, top, width, height = stats[:, :4].T
    is_letter = (height >= HEIGHTS[0]) & (height <= HEIGHTS[1]) & (width <= 1.7 * height)
    rows = np.flatnonzero(is_letter)
    rows = rows[np.argsort(-height[rows], kind="stable")][:MOST_LETTERS]
    if len(rows) < 2:
        return np.zeros((0, 4), int)
    boxes = np.stack([left, top, left + width, top + height], 1)[rows]
    tall = np.maximum(boxes[:, None, 3] - boxes[:, None, 1], boxes[None, :, 3] - boxes[None, :, 1])
    gap = np.maximum(boxes[None, :, 0] - boxes[:, None, 2], boxes[:, None, 0] - boxes[None, :, 2])
    in_line = np.abs(boxes[:, None, 3] - boxes[None, :, 3]) < OFF_LINE * tall
    joined = in_line & (gap < BRACKET_GAP * tall)
    num_words, word = connected_components(csr_array(joined), directed=False)
    near = in_line & (gap < WORD_GAP * tall) & (word[:, None] != word[None])
    order = np.argsort(word, kind="stable")
    bounds = np.searchsorted(word[order], np.arange(num_words + 1)).tolist()
    groups = [order[low:high] for low, high in pairwise(bounds)]
    groups = [group for group in groups if 2 <= len(group) <= LONGEST_NAME + 2]
    found = [
        (*boxes[group, :2].min(0), *boxes[group, 2:].max(0))
        for group in groups
        if not near[group].any()
    ]
    return np.array([box for box in found if _is_short(box)], int).reshape(-1, 4)


def _is_short(box: Sequence[int]) -> bool:
    x0, y0, x1, y1 = box
    return x1 - x0 <= WIDEST * (y1 - y0)
