"""A picture → 256 bits that it keeps when it is resized or encoded anew.

The design is that of pHash and PDQ (https://github.com/facebook/ThreatExchange, "The PDQ image
hash"): grey levels on a coarse grid, its lowest frequencies, one bit for each of them. Scientific
figures are mostly white charts, whose mean levels say little; their frequencies differ in all bits.
It is not made to survive cropping, a border, a turn, or another order of the panels.
"""

from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from figclip.schema import FINGERPRINT_BYTES

PLAIN = bytes(FINGERPRINT_BYTES)
"""Of a picture too plain to tell from others."""

NEAR_BITS = 14
"""Two pictures whose fingerprints differ in no more bits are one picture, saved twice."""

FAINTEST = 0.05
"""Grey levels (of 255, root mean square) below which a typical frequency is noise, not picture.

A blank page has none at all, nor have pictures that change along one axis only: a line, a frame's
edge, a colour bar.
"""

GRID = 64
"""Cells of a side, over which grey levels are averaged."""

MANY_PIXELS = 2**24
HUGE_BLOCK = 4
"""Pixels of a side of the blocks that are averaged first where there are more than that."""

FREQUENCIES = 16
"""Half periods over a side: 1 to 16. Without 0, of which borders and axes consist."""


def fingerprint(image: Any, *, faintest: float = FAINTEST) -> bytes:
    """Which of the 16 x 16 lowest frequencies of a picture lie above their median.

    `image` is a PIL image, RGB or grey, of any size. Of `PLAIN` pictures nothing can be said.
    """
    strengths = _frequencies(image)
    above = strengths - np.median(strengths)
    if np.median(np.abs(above)) < faintest:
        return PLAIN
    return np.packbits(above > 0).tobytes()


def num_differing_bits(one: bytes, other: bytes) -> int:
    """How far two fingerprints are apart; without meaning where one is `PLAIN`."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def _frequencies(image: Any) -> np.ndarray:
    """Signed strengths in grey levels (root mean square), [256].

    Rounded, so that those of a symmetrical picture are zero on every machine, not almost.
    """
    if image.width * image.height > MANY_PIXELS:  # of which no grey copy is made
        image = image.reduce(HUGE_BLOCK)
    grey = image if image.mode == "L" else image.convert("L")
    cells = grey.resize((GRID, GRID), Image.Resampling.BICUBIC, reducing_gap=3.0)
    waves = _waves()
    strengths = waves @ np.asarray(cells, dtype=np.float64) @ waves.T / GRID
    return np.round(strengths, 4).ravel()


@cache
def _waves() -> np.ndarray:
    """The orthonormal cosines of the DCT-II, [16, 64]."""
    half_periods = np.arange(1, FREQUENCIES + 1)[:, None]
    places = (2 * np.arange(GRID) + 1) / (2 * GRID)
    return np.sqrt(2 / GRID) * np.cos(np.pi * half_periods * places)
