"""Figures of which nothing is known are cut between photographs, or where parts are of one size."""

import numpy as np
import pytest

from figclip.panels.layout.sheet import read_sheet
from figclip.panels.layout.unknown import is_worth_asking, seen_panels

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
        (table(), 30, 0.4, 0),  # doubtful
        (table(), 15, 0.9, 0),  # of unlike size
    ],
)
def test_borders_count_between_photographs_and_parts_of_one_size(
    page: np.ndarray, column: int, sure: float, num_panels: int
) -> None:
    assert len(seen_panels(read_sheet(page), border_at(column, sure))) == num_panels


def test_a_page_without_borders_stays_whole() -> None:
    assert seen_panels(read_sheet(NOISE), np.zeros((2, 40, 60), np.float32)) == []


@pytest.mark.parametrize(
    ("parts", "is_worth"),
    [
        ([(20, 290), (310, 580)], True),  # two equal parts
        ([(20, 190), (210, 390), (410, 580)], True),  # three
        ([(20, 100), (140, 580)], False),  # a legend beside a drawing
        ([(20, 580)], False),
    ],
)
def test_the_network_is_asked_where_parts_may_be_of_one_size(
    parts: list[tuple[int, int]], is_worth: bool
) -> None:
    hatched = np.add.outer(np.arange(400), np.arange(600)) % 8 < 2  # crossed by every line
    is_part = np.zeros((400, 600), bool)
    for start, end in parts:
        is_part[20:380, start:end] = True
    page = np.repeat(np.where(hatched & is_part, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    assert is_worth_asking(read_sheet(page)) == is_worth


def test_the_network_is_asked_of_photographs() -> None:
    assert is_worth_asking(read_sheet(NOISE))
