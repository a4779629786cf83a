"""Shrunk planes against Pillow's exact filters, and against what is known of plain ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figclip.pictures.shrinking import doubled, shrink

sides = st.integers(1, 90)


def pattern(width: int, height: int) -> np.ndarray:
    """Waves of many lengths, and noise."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = sum(np.sin((x + 2 * y) / length) for length in (3, 7, 19, 53))
    noise = np.random.default_rng(0).normal(0, 8, (height, width))
    return np.clip(128 + 25 * waves + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("whole", "size"),
    [
        ((600, 400), (512, 341)),
        ((1001, 777), (512, 397)),
        ((1024, 768), (512, 384)),
        ((513, 700), (375, 512)),
        ((4000, 90), (512, 12)),
    ],
)
def test_a_plane_shrinks_as_well_as_by_an_exact_filter(
    whole: tuple[int, int], size: tuple[int, int]
) -> None:
    """No further from a Lanczos filter's result than a box filter is, which is a common choice."""
    plane = pattern(*whole)
    image = Image.fromarray(plane)
    ideal, box = (
        np.asarray(image.resize(size, kind), float)
        for kind in (Image.Resampling.LANCZOS, Image.Resampling.BOX)
    )
    found = shrink(plane, size, whole).astype(float)
    assert found.shape == ideal.shape
    assert np.square(found - ideal).mean() < np.square(box - ideal).mean() + 1


@given(width=sides, height=sides, part=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)))
@settings(deadline=None)
def test_a_plain_plane_stays_plain_at_every_size(
    width: int, height: int, part: tuple[float, float]
) -> None:
    size = (max(1, round(width * part[0])), max(1, round(height * part[1])))
    found = shrink(np.full((height, width), 77, np.uint8), size, (width, height))
    assert found.shape == size[::-1]
    assert (found == 77).all()


@given(width=st.integers(40, 300), over=st.floats(-0.9, 3), scale=st.floats(1, 9))
@settings(deadline=None)
def test_a_slope_keeps_its_place_where_the_extent_is_no_whole_number(
    width: int, over: float, scale: float
) -> None:
    """The level at a target's middle is that at the same share of the extent."""
    extent = width + over
    slope = np.tile(np.linspace(20, 200, width), (width, 1))
    target = max(1, round(width / scale))
    found = shrink(np.rint(slope).astype(np.uint8), (target, target), (extent, extent))[target // 2]
    places = (np.arange(target) + 0.5) * extent / target - 0.5
    ideal = 20 + 180 * np.clip(places, 0, width - 1) / (width - 1)
    inside = slice(3, -3) if target > 9 else slice(0, 0)
    a_pixel = 180 / (width - 1) * extent / target
    rounding = 0.5 * (2 + math.log2(scale))  # of every halving, the smoothing and the sampling
    assert np.abs(found[inside] - ideal[inside]).max(initial=0) < 0.5 + rounding + 0.1 * a_pixel


def test_doubled_pixels_are_blocks() -> None:
    plane = pattern(5, 3)
    assert (doubled(plane) == plane.repeat(2, axis=0).repeat(2, axis=1)).all()
