"""Borders between panels as a small network sees them, where gutters tell too little."""

import functools
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from figclip.schema import Box

SIDE, STRIDE = 320, 4
"""Pixels of the square that a picture is fitted into, and of a cell of the maps."""

PADDING = 128
"""Grey level beside a picture that is not square; the network was taught so."""

WEIGHTS = Path(__file__).with_name("borders.onnx")
"""Trained by `python -m jobs.train_splitter net` on generated figures only."""

NUM_SAMPLED = 24
"""Rows, and columns, by which noise is known."""

LEAST_ALIKE = 0.2
"""Correlation of neighbouring pixels below which a picture is noise."""

CERTAIN = 0.75
"""Mean probability along a line from which it is cut."""

NARROWEST = 3
"""Cells that a cut must leave on either side: 12 of 320 pixels."""

DEEPEST = 12

Maps = Float[np.ndarray, "2 rows columns"]
"""Probabilities of a vertical and of a horizontal border, on a grid over the whole picture."""


def border_map(image: UInt8[np.ndarray, "height width 3"]) -> Maps:
    """The probability, 0 to 1, of a vertical and of a horizontal border between panels.

    The grid is over the whole picture, at most 80 cells long; an RGB picture of any size will do.
    """
    square, (width, height) = fitted(image)
    rows, columns = max(1, round(height / STRIDE)), max(1, round(width / STRIDE))
    if is_noise(image):  # in which the network sees borders at times
        return np.zeros((2, rows, columns), np.float32)
    pixels = square.transpose(2, 0, 1)[None].astype(np.float32) / 255
    [found] = _session().run(None, {"pixels": pixels})
    return np.asarray(found[0, :, :rows, :columns])


def is_noise(image: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether neighbouring pixels, of some rows and columns, have nothing to do with one another.

    In figures, also in dark and grainy ones, they have much.
    """
    green = image[..., 1]
    across = green[:: max(1, green.shape[0] // NUM_SAMPLED)]
    if _alike(across) >= LEAST_ALIKE:
        return False
    return _alike(green.T[:: max(1, green.shape[1] // NUM_SAMPLED)]) < LEAST_ALIKE


def _alike(lines: UInt8[np.ndarray, "lines length"]) -> float:
    """Correlation of each pixel with the next one; 1 where all are the same."""
    one, other = (part.astype(np.float32) for part in (lines[:, :-1], lines[:, 1:]))
    if not one.size:
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / spread if spread else 1.0


def fitted(
    image: UInt8[np.ndarray, "height width 3"],
) -> tuple[UInt8[np.ndarray, "320 320 3"], tuple[int, int]]:
    """A picture in the upper left of the square, and the width and height that it has there."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width, 1)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = np.full((SIDE, SIDE, 3), PADDING, np.uint8)
    if image.size:
        small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
        square[: size[1], : size[0]] = small
    return square, size


@functools.cache
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        WEIGHTS, sess_options=options, providers=["CPUExecutionProvider"]
    )


def cut_at_borders(maps: Maps, width: int, height: int, *, certain: float = CERTAIN) -> list[Box]:
    """The boxes, in pixels, into which a picture falls where straight borders are certain.

    The surest line of a region is cut first, then both sides. Together the boxes are the picture.
    """
    rows, columns = maps.shape[1:]
    return [
        (
            round(x0 * width / columns),
            round(y0 * height / rows),
            round(x1 * width / columns),
            round(y1 * height / rows),
        )
        for x0, y0, x1, y1 in _parts(maps, (0, 0, columns, rows), certain, DEEPEST)
    ]


def _parts(maps: Maps, region: Box, certain: float, depth: int) -> list[Box]:
    x0, y0, x1, y1 = region
    seen = maps[:, y0:y1, x0:x1]
    (sure_x, at_x), (sure_y, at_y) = _surest(seen[0].mean(0)), _surest(seen[1].mean(1))
    if not depth or max(sure_x, sure_y) < certain:
        return [region]
    if sure_x >= sure_y:
        sides = (x0, y0, x0 + at_x, y1), (x0 + at_x, y0, x1, y1)
    else:
        sides = (x0, y0, x1, y0 + at_y), (x0, y0 + at_y, x1, y1)
    return [part for side in sides for part in _parts(maps, side, certain, depth - 1)]


def _surest(line: Float[np.ndarray, "cells"]) -> tuple[float, int]:
    """The highest of a line's values and the middle of the stretch around it, ends left out."""
    if len(line) <= 2 * NARROWEST:
        return 0.0, 0
    inner = line[NARROWEST:-NARROWEST]
    peak = int(np.argmax(inner))
    low = high = peak
    while low > 0 and inner[low - 1] > 0.7 * inner[peak]:
        low -= 1
    while high < len(inner) - 1 and inner[high + 1] > 0.7 * inner[peak]:
        high += 1
    return float(inner[peak]), NARROWEST + round((low + high + 1) / 2)
