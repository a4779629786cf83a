"""A plane of levels → the same plane in fewer pixels, fast.

Pillow's antialiased bicubic is exact and slow. OpenCV's cubic takes four samples whatever the
scale, and so needs its plane smoothed before. `python -m jobs.benchmark ingest --parts images` says
how fast this is, and how near to exact.
"""

import math
from functools import cache

import cv2
import numpy as np
from jaxtyping import UInt8

cv2.setNumThreads(1)  # workers share the machine already: a picture has one thread

Plane = UInt8[np.ndarray, "height width"]

NUM_SIDE_TAPS = 2
"""Of the smoothing filter, on either side of its middle."""

MOST_BEYOND = 64
"""Pixels that a plane may be continued by."""

LEAST_DRIFT = 0.05
"""Pixels of the target by which its last may be off: who sees that?"""

STEPS = 32
"""Of a scale between two whole numbers: who sees a filter that is a hundredth too wide?"""


def shrink(plane: Plane, size: tuple[int, int], extent: tuple[float, float]) -> Plane:
    """The part of the plane from its first corner to `extent`, at `size`; both `(width, height)`.

    The part is no smaller than that; beyond the plane its last lines go on. Halved while that
    leaves enough, then smoothed as the rest of the scale asks for, and sampled.
    """
    width, height = extent
    while min(width / size[0], height / size[1]) >= 2:
        plane = _halved(_reaching(plane, width, height, even=True))
        width, height = width / 2, height / 2
    wide, high = _whole(width, size[0]), _whole(height, size[1])
    plane = _reaching(plane, wide, high)[:high, :wide]
    scales = (width / size[0], height / size[1])
    across, down = (_smoothing(max(STEPS, round(scale * STEPS))) for scale in scales)
    plane = cv2.sepFilter2D(plane, -1, across, down, borderType=cv2.BORDER_REPLICATE)
    sampled = (round(wide / scales[0]), round(high / scales[1]))
    plane = cv2.resize(plane, sampled, interpolation=cv2.INTER_CUBIC)
    return plane[: size[1], : size[0]]


def _whole(extent: float, size: int) -> int:
    """The least side that holds the extent and is nearly a whole number of its target's pixels.

    For OpenCV samples by the ratio of two whole sides.
    """
    first = math.ceil(extent)
    drifts = {}
    for side in range(first, first + MOST_BEYOND):
        targets = side * size / extent
        drifts[side] = abs(targets - round(targets)) / targets * size
        if drifts[side] < LEAST_DRIFT:
            return side
    return min(drifts, key=drifts.__getitem__)


def _halved(plane: Plane) -> Plane:
    half = (plane.shape[1] // 2, plane.shape[0] // 2)
    return cv2.resize(plane, half, interpolation=cv2.INTER_AREA)


def _reaching(plane: Plane, width: float, height: float, *, even: bool = False) -> Plane:
    """At least so large, and of even sides if asked, by its last lines again."""
    right = max(0, math.ceil(width) - plane.shape[1])
    bottom = max(0, math.ceil(height) - plane.shape[0])
    if even:
        right += (plane.shape[1] + right) % 2
        bottom += (plane.shape[0] + bottom) % 2
    if not right and not bottom:
        return plane
    return cv2.copyMakeBorder(plane, 0, bottom, 0, right, cv2.BORDER_REPLICATE)


def doubled(plane: Plane) -> Plane:
    """Every pixel as a block of two by two."""
    height, width = plane.shape
    return cv2.resize(plane, (2 * width, 2 * height), interpolation=cv2.INTER_NEAREST)


@cache
def _smoothing(steps: int) -> np.ndarray:
    """Taps that make OpenCV's cubic answer to each frequency as a cubic as wide as the scale does.

    The nearest in least squares, low frequencies first, as pictures hold more of them. The scale
    is `steps / STEPS`, so that a process works out few of them.
    """
    if steps == STEPS:
        return np.ones(1, np.float32)
    scale = steps / STEPS
    frequencies = np.linspace(0, 2 * np.pi, 100)
    wanted = _response(frequencies * scale, bend=-0.5)  # Keys' cubic, which Pillow takes
    given = _response(frequencies, bend=-0.75)  # OpenCV's
    reach = np.arange(1, NUM_SIDE_TAPS + 1)
    waves = 2 * (np.cos(frequencies[:, None] * reach) - 1) * given[:, None]
    weights = 1 / (0.05 + frequencies)
    sides, *_ = np.linalg.lstsq(waves * weights[:, None], (wanted - given) * weights, rcond=None)
    return np.r_[sides[::-1], 1 - 2 * sides.sum(), sides].astype(np.float32)


def _response(frequencies: np.ndarray, *, bend: float) -> np.ndarray:
    """Of the cubic convolution kernel (Keys 1981) at so many radians a sample."""
    places = np.linspace(0, 2, 201)
    near = (bend + 2) * places**3 - (bend + 3) * places**2 + 1
    far = bend * (places**3 - 5 * places**2 + 8 * places - 4)
    kernel = np.where(places <= 1, near, far)
    kernel[0] /= 2  # the rest stands on both sides
    response = np.cos(np.outer(frequencies, places)) @ kernel
    return response / kernel.sum()
