"""Splitting figures: drawn by hand, told in different ways, and pictures that are no figures."""

import numpy as np
import pytest

from figclip.panels.figures import split_figure
from figclip.panels.parts import Label
from figclip.panels.scores import matched_panels

RANDOM = np.random.default_rng(0)


def page(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def photograph(height: int, width: int) -> np.ndarray:
    return RANDOM.integers(0, 200, (height, width, 3), dtype=np.uint8)


def two_by_two(gutter: int) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    figure = page(400 + gutter, 600 + gutter)
    boxes = []
    for y in (0, 200 + gutter):
        for x in (0, 300 + gutter):
            figure[y : y + 200, x : x + 300] = photograph(200, 300)
            boxes.append((x, y, x + 300, y + 200))
    return figure, boxes


def label(text: str, box: tuple[int, int, int, int]) -> Label:
    return Label(text, (box[0] + 5, box[1] + 5, box[0] + 20, box[1] + 25), 0.9)


@pytest.mark.parametrize("gutter", [2, 10, 40])
def test_the_captions_labels_alone_say_how_many_panels_there_are(gutter):
    figure, boxes = two_by_two(gutter)
    found = split_figure(figure, expected=["A", "B", "C", "D"])
    assert [panel.box for panel in found] == boxes


def test_labels_say_that_a_grid_of_photographs_is_one_panel():
    figure, boxes = two_by_two(30)
    found = split_figure(figure, labels=[label("A", boxes[0]), label("B", boxes[2])])
    assert [panel.box for panel in found] == [(0, 0, 630, 200), (0, 230, 630, 430)]
    assert [panel.label.text for panel in found if panel.label] == ["A", "B"]


def test_a_label_that_was_not_read_is_made_good_by_the_caption():
    figure, boxes = two_by_two(10)
    read = [label(text, box) for text, box in zip("ABCD", boxes, strict=True) if text != "C"]
    found = split_figure(figure, labels=read, expected=["A", "B", "C", "D"])
    assert len(matched_panels([panel.box for panel in found], boxes)) == 4
    assert sorted(panel.label.text for panel in found if panel.label) == ["A", "B", "D"]


@pytest.mark.parametrize(
    "image",
    [
        page(1, 1),
        page(1, 3000),
        page(300, 200),
        np.zeros((300, 200, 3), np.uint8),
        photograph(300, 200),
        np.broadcast_to(np.uint8(255), (6_000, 6_000, 3)),
    ],
    ids=["dot", "line", "white", "black", "noise", "huge"],
)
@pytest.mark.parametrize("expected", [(), ("A", "B", "C")])
def test_pictures_that_are_no_figures_are_kept_within_their_bounds(image, expected):
    height, width = image.shape[:2]
    labels = [Label("A", (0, 0, 5, 5), 0.9), Label("B", (-30, 2, 10**6, 10**6), 0.9)]
    for given in ((), labels):
        found = split_figure(image, labels=given, expected=expected)
        assert 1 <= len(found) <= 3
        for panel in found:
            x0, y0, x1, y1 = panel.box
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
