"""Borders are cut where the maps are sure of them, and the network answers to any picture."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.panels.layout.borders import WEIGHTS, border_map, cut_at_borders, fitted, is_noise
from figclip.panels.scores import area, panel_score
from figclip.sources.synthetic.compounds import draw_compound


def test_a_certain_cross_gives_four_boxes_that_are_the_picture() -> None:
    maps = np.zeros((2, 40, 80), np.float32)
    maps[0, :, 39:41] = 0.9
    maps[1, 19:21, :] = 0.9
    boxes = cut_at_borders(maps, 800, 400)
    assert sorted(boxes) == [
        (0, 0, 400, 200), (0, 200, 400, 400), (400, 0, 800, 200), (400, 200, 800, 400)
    ]  # fmt: skip


def test_doubtful_borders_and_those_at_the_edge_are_not_cut() -> None:
    maps = np.zeros((2, 60, 60), np.float32)
    maps[0, :, 30] = 0.6
    maps[1, :2] = 1.0
    assert cut_at_borders(maps, 500, 500) == [(0, 0, 500, 500)]


def test_a_border_of_one_row_alone_is_found_below_the_border_between_rows() -> None:
    maps = np.zeros((2, 80, 80), np.float32)
    maps[1, 39:41] = 1.0
    maps[0, 40:, 26] = 1.0
    assert len(cut_at_borders(maps, 160, 160)) == 3


@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_boxes_of_any_maps_cover_the_picture_without_overlap(
    rows: int, columns: int, seed: int
) -> None:
    maps = np.random.default_rng(seed).random((2, rows, columns)).astype(np.float32)
    boxes = cut_at_borders(maps, 10 * columns, 10 * rows, certain=0.5)
    assert sum(map(area, boxes)) == 100 * rows * columns


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (2000, 3), (50, 70), (700, 640), (0, 5)])
def test_pictures_of_any_shape_have_a_map(shape: tuple[int, int]) -> None:
    for picture in (
        np.full((*shape, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8),
    ):
        maps = border_map(picture)
        assert maps.shape[0] == 2
        assert 1 <= max(maps.shape[1:]) <= 80
        assert np.isfinite(maps).all()
        assert maps.min() >= 0
        assert maps.max() <= 1


def test_a_picture_is_fitted_as_the_network_was_taught() -> None:
    square, size = fitted(np.zeros((100, 200, 3), np.uint8))
    assert size == (320, 160)
    assert (square[:160] == 0).all()
    assert (square[160:] == 128).all()


def test_the_network_is_small_enough_to_be_shipped() -> None:
    assert WEIGHTS.stat().st_size < 2 * 2**20


def test_most_panels_of_generated_figures_are_found_by_their_borders_alone() -> None:
    scores = []
    for seed in range(120):  # of twenty the mean is off by five parts in a hundred
        figure = draw_compound(random.Random(f"unseen {seed}"), "irregular")
        pixels = np.asarray(figure.image)
        found = cut_at_borders(border_map(pixels), *figure.image.size)
        scores.append(panel_score(found, [panel.box for panel in figure.panels]))
    assert sum(scores) / len(scores) > 0.6


@pytest.mark.parametrize("size", [(240, 320), (300, 200), (900, 600)])
def test_noise_has_no_borders_and_a_figure_is_no_noise(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    assert is_noise(noise)
    assert not border_map(noise).any()
    for layout_class in ("dark-gutter", "stitched", "white-gutter"):
        figure = draw_compound(random.Random("no noise"), layout_class)
        assert not is_noise(np.asarray(figure.image))
    assert not is_noise(np.zeros((*size, 3), np.uint8))
    assert not is_noise(np.zeros((1, 1, 3), np.uint8))
