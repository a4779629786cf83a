"""The border network's truth is drawn where panels meet, and the network keeps to its form."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.models.border_net import SIDE, STRIDE, BorderNet
from figclip.training.borders import (
    CELLS,
    border_cells,
    border_loss,
    draw_example,
    neighbour_gaps,
)

GRID = [(0, 0, 90, 90), (110, 0, 200, 90), (0, 110, 90, 200), (110, 110, 200, 200)]


def test_a_grid_of_four_has_two_borders_each_way_that_reach_its_crossing() -> None:
    found = sorted(neighbour_gaps(GRID))
    assert found == [
        (0, 90, 110, -10, 100), (0, 90, 110, 100, 210),
        (1, 90, 110, -10, 100), (1, 90, 110, 100, 210),
    ]  # fmt: skip


def test_a_border_covers_its_gutter_and_nothing_else() -> None:
    vertical, horizontal = border_cells(GRID, 0.4) == 255
    assert vertical[:, 36:44][:80].all()
    assert not vertical[:, :35].any()
    assert not vertical[:, 45:].any()
    assert (vertical == horizontal.T).all()


def test_stitched_panels_have_a_border_of_two_cells() -> None:
    vertical, horizontal = border_cells([(0, 0, 100, 80), (100, 0, 200, 80)], 0.4) == 255
    assert vertical.sum(1)[:32].tolist() == [2] * 32
    assert not horizontal.any()


def test_a_single_panel_has_no_border() -> None:
    assert not border_cells([(0, 0, 200, 200)], 0.4).any()


@given(st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_an_example_depends_on_its_seed_alone(seed: int) -> None:
    first, again = (draw_example(random.Random(seed)) for _ in range(2))
    assert first[0].shape == (SIDE, SIDE, 3)
    assert first[1].shape == (2, CELLS, CELLS)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_the_network_is_small_and_gives_two_maps_at_a_quarter_of_the_size() -> None:
    net = BorderNet().eval()
    assert sum(weights.numel() for weights in net.parameters()) < 500_000
    assert net(torch.zeros(2, 3, SIDE, SIDE)).shape == (2, 2, SIDE // STRIDE, SIDE // STRIDE)


def test_the_loss_of_the_truth_is_almost_nothing_and_falls_towards_it() -> None:
    truth = torch.from_numpy(border_cells(GRID, 0.4)[None]).float() / 255
    losses = [float(border_loss(k * (2 * truth - 1), truth)) for k in (-5.0, 0.0, 2.0, 20.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(0, abs=1e-3)
