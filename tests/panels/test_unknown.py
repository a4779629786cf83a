"""Figures of which nothing is known are cut between photographs, or where parts are of one size."""

import numpy as np
import pytest

from figclip.panels.layout.sheet import read_sheet
from figclip.panels.layout.unknown import seen_panels

NOISE = np.random.default_rng(0).integers(0, 200, (400, 600, 3), np.uint8)


def border_at(column: int, sure: float) -> np.ndarray:
    """A vertical border over the whole height of a figure of 60 columns."""
    border = np.zeros((2, 40, 60), np.float32)
    border[0, :, column - 1 : column + 1] = sure
    return border


def table() -> np.ndarray:
    """Short lines of ink on white, on both sides of the middle."""
    page = np.full((400, 600, 3), 255, np.uint8)
    page[20:380:20, 20:280] = page[20:380:20, 320:580] = 0
    return page


@pytest.mark.parametrize(
    ("page", "column", "sure", "num_panels"),
    [
        (NOISE, 20, 0.55, 2),  # photographs of unlike size
        (NOISE, 20, 0.4, 0),
        (table(), 30, 0.9, 2),  # two halves
        (table(), 30, 0.6, 0),  # doubtful
        (table(), 15, 0.9, 0),  # of unlike size
    ],
)
def test_borders_count_between_photographs_and_parts_of_one_size(
    page: np.ndarray, column: int, sure: float, num_panels: int
) -> None:
    assert len(seen_panels(read_sheet(page), border_at(column, sure))) == num_panels


def test_a_page_without_borders_stays_whole() -> None:
    assert seen_panels(read_sheet(NOISE), np.zeros((2, 40, 60), np.float32)) == []
