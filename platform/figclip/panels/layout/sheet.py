"""A figure as a cutter sees it: where ink lies, and what a straight cut would have to cross.

All sums are cumulative, so that the cost of every line of a region is one subtraction.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from figclip.schema import Box

LONGEST_SIDE = 900
"""Pixels of the working scale; gutters of two pixels in a page of 2,000 are still seen."""

FAINTEST_INK = 22
"""Grey levels, in any channel, by which ink differs from paper; what JPEG adds stays below."""

FAINTEST_EDGE = 6
"""Grey levels between neighbours that can be the border of a photograph."""

WHITE = 248
"""The commonest of the pale levels, from `PALEST` up, if there is white paper."""

PALEST = 225
LEAST_PAPER = 0.005
"""Part of a page that is pale, if there is paper."""

MOST_OF_FRAME = 0.6
"""Of the page's outermost pixels, that have one colour if it is the paper's."""

DARK = 16
"""Grey levels up to which a pixel may be of a black gutter."""

FREE, NIGHT, EDGE, SMOOTH, SOLID = 0, 10, 20, 60, 100
"""What a cut pays for a pixel: of paper; of black; on an edge that runs along the cut; in ink that
does not change along the cut; in any other."""


@dataclass(frozen=True)
class Sheet:
    """Cumulative maps at the working scale."""

    width: int
    height: int
    scale: float
    """Pixels here for a pixel of the picture."""
    ink: tuple[Int[np.ndarray, "height width1"], Int[np.ndarray, "width height1"]]
    """Number of ink pixels along each row (by x), and along each column (by y)."""
    crossed: tuple[Int[np.ndarray, "width height1"], Int[np.ndarray, "height width1"]]
    """Cost of a cut along each column (a cut of axis 0, at an x), and along each row (axis 1)."""
    border: tuple[Float[np.ndarray, "width height1"], Float[np.ndarray, "height width1"]] | None
    """The same for the probability of a border of that direction, if one is known."""
    is_white: bool
    """Whether the paper is, not the colour of the page's frame, or none."""

    @property
    def whole(self) -> Box:
        return (0, 0, self.width, self.height)


def read_sheet(
    image: UInt8[np.ndarray, "height width 3"],
    *,
    border: Float[np.ndarray, "2 rows columns"] | None = None,
) -> Sheet:
    """The maps of a picture of any size, RGB.

    `border` holds the probabilities of a vertical and of a horizontal border, in [0, 1], over the
    whole picture on a grid of any size.
    """
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width, 1))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = np.ascontiguousarray(small)
    is_white = has_white_paper(small)
    ink = is_ink(small, is_white=is_white)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    crossings = (
        crossing_cost(np.ascontiguousarray(grey.T), np.ascontiguousarray(ink.T)),
        crossing_cost(grey, ink),
    )
    return Sheet(
        width=size[0],
        height=size[1],
        scale=scale,
        ink=(_sums(ink), _sums(ink.T)),
        crossed=(_sums(crossings[0]), _sums(crossings[1])),
        border=None if border is None else _border_sums(border, size),
        is_white=is_white,
    )


def has_white_paper(small: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether the commonest pale level is white; not if hardly anything is pale."""
    darkest = cv2.min(cv2.min(small[..., 0], small[..., 1]), small[..., 2])
    pale = np.bincount(darkest.ravel(), minlength=256)[PALEST:]
    enough = bool(pale.sum() >= LEAST_PAPER * darkest.size)
    return enough and PALEST + int(np.argmax(pale)) >= WHITE


def is_ink(
    small: UInt8[np.ndarray, "height width 3"], *, is_white: bool
) -> UInt8[np.ndarray, "height width"]:
    """1 where a pixel differs from the paper.

    Paper is white; where hardly anything is, it is the colour of the page's frame if that has one,
    and else there is none: pale photographs that fill the page are ink all over.
    """
    darkest = cv2.min(cv2.min(small[..., 0], small[..., 1]), small[..., 2])
    if is_white:
        return (darkest <= 255 - FAINTEST_INK).astype(np.uint8)
    frame = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]]).astype(np.int16)
    paper = np.median(frame, axis=0)
    if np.mean(np.abs(frame - paper).max(axis=1) <= FAINTEST_EDGE) < MOST_OF_FRAME:
        return np.ones_like(darkest)
    return (np.abs(small.astype(np.int16) - paper).max(axis=2) > FAINTEST_INK).astype(np.uint8)


def crossing_cost(
    grey: UInt8[np.ndarray, "lines length"], ink: UInt8[np.ndarray, "lines length"]
) -> UInt8[np.ndarray, "lines length"]:
    """What a cut along a line pays for each of its pixels."""
    if grey.shape[1] < 3:
        return np.where(ink, np.uint8(SOLID), np.uint8(FREE))
    step = np.zeros_like(grey)
    step[1:] = np.abs(grey[1:].astype(np.int16) - grey[:-1])
    peak = cv2.dilate(step, np.ones((5, 1), np.uint8))
    on_edge = (step == peak) & (step >= FAINTEST_EDGE)
    along = cv2.absdiff(grey[:, 2:], grey[:, :-2])
    rough = np.zeros_like(grey)
    rough[:, 1:-1] = along > 2 * FAINTEST_EDGE
    cost = np.where(rough, np.uint8(SOLID), np.uint8(SMOOTH))
    cost[on_edge] = EDGE
    cost[grey <= DARK] = NIGHT
    cost[ink == 0] = FREE
    return cost


def line_costs(sheet: Sheet, region: Box, axis: int) -> Float[np.ndarray, "lines"]:
    """Mean cost, 0 to 1, of a cut at every x (axis 0) or y (axis 1) of a region."""
    start, end, low, high = _lines(region, axis)
    sums = sheet.crossed[axis]
    return (sums[start:end, high] - sums[start:end, low]) / (SOLID * max(1, high - low))


def line_borders(sheet: Sheet, region: Box, axis: int) -> Float[np.ndarray, "lines"] | None:
    """Mean probability of a border along the same lines."""
    if sheet.border is None:
        return None
    start, end, low, high = _lines(region, axis)
    sums = sheet.border[axis]
    return (sums[start:end, high] - sums[start:end, low]) / max(1, high - low)


def trimmed(sheet: Sheet, region: Box) -> Box:
    """A region without the paper at its margins; as it is where it holds paper only."""
    x0, y0, x1, y1 = region
    across, down = sheet.ink
    rows = np.flatnonzero(across[y0:y1, x1] - across[y0:y1, x0])
    columns = np.flatnonzero(down[x0:x1, y1] - down[x0:x1, y0])
    if not len(rows) or not len(columns):
        return region
    return (
        x0 + int(columns[0]),
        y0 + int(rows[0]),
        x0 + int(columns[-1]) + 1,
        y0 + int(rows[-1]) + 1,
    )


def num_ink(sheet: Sheet, region: Box) -> int:
    """Pixels of ink in a region."""
    x0, y0, x1, y1 = region
    across = sheet.ink[0]
    return int(np.sum(across[y0:y1, x1] - across[y0:y1, x0]))


def _lines(region: Box, axis: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = region
    return (x0, x1, y0, y1) if axis == 0 else (y0, y1, x0, x1)


def _sums(values: np.ndarray) -> Int[np.ndarray, "lines length1"]:
    sums = np.zeros((values.shape[0], values.shape[1] + 1), np.int32)
    np.cumsum(values, axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _border_sums(border: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    upright, level = (
        cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) for part in border
    )
    return _sums_of_parts(upright.T), _sums_of_parts(level)


def _sums_of_parts(values: np.ndarray) -> Float[np.ndarray, "lines length1"]:
    return np.pad(np.cumsum(values, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
