"""Splitting figures: drawn by hand, told in different ways, and pictures that are no figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import grid, label, noise, paper, size_of, with_photographs, with_plots

from figclip.panels.layout.figures import in_reading_order, split_figure
from figclip.panels.parts import Label, PanelBox
from figclip.panels.scores import matched_panels, panel_score
from figclip.schema import Box


def photographs(boxes: list[Box]) -> np.ndarray:
    return with_photographs(paper(*size_of(boxes)), boxes)


@pytest.mark.parametrize("gutter", [2, 10, 40])
def test_the_captions_labels_alone_say_how_many_panels_there_are(gutter):
    boxes = grid(2, 2, 200, 300, gutter)
    found = split_figure(photographs(boxes), expected=["A", "B", "C", "D"])
    assert [panel.box for panel in found] == boxes


def test_labels_say_that_a_grid_of_photographs_is_one_panel():
    boxes = grid(2, 2, 200, 300, 30)
    given_labels = [label("A", boxes[0]), label("B", boxes[2])]
    found = split_figure(photographs(boxes), labels=given_labels)
    assert [panel.box for panel in found] == [(0, 0, 630, 200), (0, 230, 630, 430)]
    assert [panel.label for panel in found] == given_labels


def test_a_wide_gutter_within_a_labelled_panel_counts_less_than_a_hairline_before_a_label():
    boxes = [(0, 0, 200, 300), (240, 0, 440, 300), (443, 0, 700, 300)]
    labels = [label("A", boxes[0]), label("B", boxes[2])]
    found = split_figure(photographs(boxes), labels=labels, expected=["A", "B"])
    assert [panel.box for panel in found] == [(0, 0, 440, 300), boxes[2]]


def test_a_label_that_was_not_read_is_made_good_by_the_caption():
    boxes = grid(2, 2, 200, 300, 10)
    read = [label(text, box) for text, box in zip("ABCD", boxes, strict=True) if text != "C"]
    found = split_figure(photographs(boxes), labels=read, expected=["A", "B", "C", "D"])
    assert len(matched_panels([panel.box for panel in found], boxes)) == 4
    assert sorted(panel.label.text for panel in found if panel.label) == ["A", "B", "D"]


def test_a_label_that_the_caption_does_not_name_is_no_label():
    boxes = grid(1, 2, 200, 300, 10)
    read = [*map(label, "AB", boxes), Label("X", (150, 90, 165, 110), 0.99)]
    found = split_figure(photographs(boxes), labels=read, expected=["A", "B"])
    assert [panel.box for panel in found] == boxes


def test_labels_below_their_panels_are_read_as_such():
    boxes = grid(2, 1, 200, 300, 60)
    figure = paper(530, 300)
    with_photographs(figure, boxes)
    labels = [Label(text, (10, y, 25, y + 18), 0.9) for text, y in (("a", 215), ("b", 475))]
    for one in labels:
        x0, y0, x1, y1 = one.box
        figure[y0:y1, x0:x1] = 0
    found = split_figure(figure, labels=labels, expected=["a", "b"])
    assert [panel.box for panel in found] == [(0, 0, 300, 233), (0, 260, 300, 493)]


def test_stitched_photographs_are_cut_at_their_seam():
    figure = np.concatenate([noise(300, 200) // 2, 120 + noise(300, 260, 1) // 2], axis=1)
    found = split_figure(figure, expected=["A", "B"])
    assert [panel.box for panel in found] == [(0, 0, 200, 300), (200, 0, 460, 300)]


def test_black_gutters_are_followed():
    boxes = grid(1, 3, 200, 150, 6)
    figure = with_photographs(np.zeros((*size_of(boxes), 3), np.uint8), boxes)
    found = split_figure(figure, expected=["A", "B", "C"])
    assert panel_score([panel.box for panel in found], boxes) == 1


def test_pinwheels_are_cut_where_labels_tell():
    boxes = [(0, 0, 390, 190), (400, 0, 600, 390), (0, 200, 190, 600), (200, 400, 600, 600)]
    boxes.insert(3, (200, 200, 390, 390))
    labels = list(map(label, "ABCDE", boxes))
    found = split_figure(photographs(boxes), labels=labels, expected=list("ABCDE"))
    assert sorted(panel.box for panel in found) == sorted(boxes)


def test_where_nothing_is_known_plots_side_by_side_are_panels():
    boxes = [(20, 20, 320, 320), (380, 20, 680, 320), (740, 20, 1040, 320)]
    found = split_figure(with_plots(paper(340, 1060), boxes))
    assert panel_score([panel.box for panel in found], boxes) == 1
    assert all(panel.label is None for panel in found)


def test_where_nothing_is_known_a_plot_with_its_legend_stays_whole():
    figure = with_plots(paper(500, 700), [(50, 20, 500, 450)])
    figure[100:110, 560:660] = 0
    figure[130:140, 560:640] = 0
    assert [panel.box for panel in split_figure(figure)] == [(0, 0, 700, 500)]


def test_places_in_a_caption_say_which_way_to_cut():
    boxes = grid(2, 2, 200, 300, 20)
    beside = split_figure(photographs(boxes), expected=["left", "right"])
    below = split_figure(photographs(boxes), expected=["top", "bottom"])
    assert [panel.box for panel in beside] == [(0, 0, 300, 420), (320, 0, 620, 420)]
    assert [panel.box for panel in below] == [(0, 0, 620, 200), (0, 220, 620, 420)]


def test_a_photograph_with_two_places_is_not_torn_apart():
    figure = np.repeat(np.repeat(noise(60, 80), 5, axis=0), 5, axis=1)
    assert len(split_figure(figure, expected=["left", "right"])) == 1


def test_a_border_that_is_known_decides_where_two_gutters_are_alike():
    boxes = grid(1, 3, 200, 200, 10)
    for end in (200, 410):
        border = np.zeros((2, 20, 62))
        border[0, :, end // 10 - 1 : end // 10 + 2] = 1.0
        found = split_figure(photographs(boxes), expected=["A", "B"], border=border)
        assert [panel.box[2] for panel in found] == [end, 620]


def test_boxes_are_those_of_the_picture_as_given():
    boxes = grid(2, 2, 800, 1200, 40)
    found = split_figure(photographs(boxes), expected=["A", "B", "C", "D"])
    for panel, true in zip(found, boxes, strict=True):
        assert max(abs(a - b) for a, b in zip(panel.box, true, strict=True)) <= 4


def test_panels_are_given_row_by_row():
    boxes = [(0, 0, 10, 10), (12, 3, 20, 20), (0, 21, 9, 30), (10, 19, 20, 30)]
    panels = [PanelBox(box, None, 1.0) for box in boxes]
    assert in_reading_order(panels[::-1]) == panels


@pytest.mark.parametrize(
    "image",
    [
        paper(1, 1),
        paper(1, 3000),
        paper(3000, 2),
        paper(300, 200),
        np.zeros((300, 200, 3), np.uint8),
        noise(300, 200),
        np.broadcast_to(np.uint8(255), (6_000, 6_000, 3)),
    ],
    ids=["dot", "line", "thread", "white", "black", "noise", "huge"],
)
@pytest.mark.parametrize("expected", [(), ("A", "B", "C")])
def test_pictures_that_are_no_figures_are_kept_within_their_bounds(image, expected):
    height, width = image.shape[:2]
    labels = [Label("A", (0, 0, 5, 5), 0.9), Label("B", (-30, 2, 10**6, 10**6), 0.9)]
    for given_labels in ((), labels):
        assert_within(split_figure(image, labels=given_labels, expected=expected), width, height)


@pytest.mark.parametrize(
    "image",
    [paper(0, 0), paper(0, 5), paper(1, 1), paper(400, 300), np.zeros((400, 300, 3), np.uint8)],
    ids=["nothing", "no rows", "dot", "white", "black"],
)
def test_an_empty_picture_is_one_panel_whatever_its_caption_says(image):
    [panel] = split_figure(image, expected=["A", "B"])
    assert panel.box == (0, 0, image.shape[1], image.shape[0])


def test_noise_is_one_panel():
    assert [panel.box for panel in split_figure(noise(300, 200))] == [(0, 0, 200, 300)]


def test_a_page_of_text_with_a_hundred_labels_ends_soon():
    figure = paper(600, 600)
    figure[::12, ::8] = 0
    labels = [Label(f"{i}", (i * 5, i * 5, i * 5 + 9, i * 5 + 9), 0.5) for i in range(100)]
    found = split_figure(figure, labels=labels, expected=[one.text for one in labels])
    assert_within(found, 600, 600)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_labels_say_panels_lie_within_the_picture_and_labels_are_used_once(data):
    number = st.integers(-50, 400)
    corner = st.tuples(number, number, number, number)
    letter = st.sampled_from(["A", "b", "C", "中", "١", "Ai", "", "1"])
    labels = data.draw(st.lists(st.builds(Label, letter, corner, st.floats(0, 1)), max_size=6))
    expected = data.draw(st.lists(letter, max_size=6))
    figure = photographs(grid(2, 2, 90, 120, 8))
    found = split_figure(figure, labels=labels, expected=expected)
    assert_within(found, figure.shape[1], figure.shape[0])
    used = [id(panel.label) for panel in found if panel.label]
    assert len(used) == len(set(used))
    assert set(used) <= {id(one) for one in labels}


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    gutter=st.integers(3, 30),
    height=st.integers(60, 150),
    width=st.integers(60, 150),
)
def test_grids_of_photographs_with_their_labels_come_back(rows, columns, gutter, height, width):
    boxes = grid(rows, columns, height, width, gutter)
    names = [chr(ord("A") + i) for i in range(len(boxes))]
    found = split_figure(photographs(boxes), labels=list(map(label, names, boxes)), expected=names)
    assert [panel.box for panel in found] == boxes
    assert [panel.label.text for panel in found if panel.label] == names


def assert_within(found: list[PanelBox], width: int, height: int) -> None:
    assert found
    for panel in found:
        x0, y0, x1, y1 = panel.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert 0 <= panel.confidence <= 1
