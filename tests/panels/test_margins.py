"""On a page that is not white, a panel reaches to the middle of the gap beside it."""

import numpy as np

from figclip.panels.layout.figures import split_figure
from figclip.panels.layout.margins import with_margins
from figclip.panels.layout.sheet import read_sheet
from figclip.panels.parts import Label

LABELS = (Label("A", (4, 4, 16, 20), 1.0), Label("B", (4, 204, 16, 220), 1.0))


def page(ground: int) -> np.ndarray:
    """Two bright things at the left, one below the other, each with a letter above it."""
    picture = np.full((400, 600, 3), ground, np.uint8)
    for top in (0, 200):
        picture[top + 40 : top + 180, 60:240] = np.arange(60, 240)[:, None]
        picture[top + 4 : top + 20, 4:16] = 255 - ground
    return picture


def test_a_picture_on_black_keeps_its_own_ground_and_one_on_white_its_margin_off() -> None:
    dark = [panel.box for panel in split_figure(page(0), labels=LABELS, expected=("A", "B"))]
    assert [(box[0], box[2]) for box in dark] == [(0, 600)] * 2
    assert dark[0][1] == 0
    assert dark[0][3] == dark[1][1]
    assert dark[1][3] == 400
    white = [panel.box for panel in split_figure(page(255), labels=LABELS, expected=("A", "B"))]
    assert all(box[2] <= 241 for box in white)


def test_gaps_are_shared_by_the_panels_beside_them() -> None:
    sheet = read_sheet(np.zeros((100, 300, 3), np.uint8))
    assert with_margins(sheet, [(10, 10, 90, 90), (110, 20, 290, 80)]) == [
        (0, 0, 100, 100),
        (100, 0, 300, 100),
    ]
