"""Generated compound figures: their truth is consistent, and their layouts follow the real ones."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.panels.scores import area, overlap
from figclip.panels.words.captions import split_caption, sub_captions
from figclip.schema import Box
from figclip.sources.synthetic.arrangements import (
    PANEL,
    Tree,
    draw_counted,
    draw_gaps,
    place,
    read_tree,
    real,
    unprinted_share,
)
from figclip.sources.synthetic.compounds import draw_compound
from figclip.sources.synthetic.panel_captions import PLACES, write_caption
from figclip.sources.synthetic.panel_plans import LAYOUT_CLASSES, LayoutClass, draw_class

CASES = [(layout_class, seed) for layout_class in LAYOUT_CLASSES for seed in range(4)]


def inside(inner: Box, outer: Box) -> bool:
    return all(a >= b for a, b in zip(inner[:2], outer[:2], strict=True)) and all(
        a <= b for a, b in zip(inner[2:], outer[2:], strict=True)
    )


@pytest.mark.parametrize(("layout_class", "seed"), CASES)
def test_panels_lie_in_the_figure_apart_from_one_another_and_hold_their_labels(
    layout_class: LayoutClass, seed: int
) -> None:
    figure = draw_compound(random.Random(seed), layout_class)
    whole = (0, 0, *figure.image.size)
    assert figure.layout_class == layout_class
    assert (len(figure.panels) == 1) == (layout_class == "single")
    for k, panel in enumerate(figure.panels):
        assert inside(panel.box, whole)
        assert area(panel.box) > 100
        assert (panel.label_box is None) == (panel.label == "")
        assert panel.label_box is None or overlap(panel.label_box, panel.box) > 0
        assert all(overlap(panel.box, other.box) == 0 for other in figure.panels[:k])


@pytest.mark.parametrize("layout_class", LAYOUT_CLASSES)
def test_the_same_seed_draws_the_same_figure(layout_class: LayoutClass) -> None:
    first, again = (draw_compound(random.Random(7), layout_class) for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes()
    assert (first.panels, first.pieces) == (again.panels, again.pieces)


def test_captions_of_unlabelled_panels_name_them_by_place_if_at_all() -> None:
    named = []
    for seed in range(60):
        figure = draw_compound(random.Random(seed), "thin-gutter", unprinted=1.0)
        assert not any(panel.label for panel in figure.panels)
        places = [label for piece in figure.pieces for label in piece.labels]
        assert len(places) in (0, len(figure.panels))
        spans = split_caption(figure.caption)
        assert list(sub_captions(figure.caption, spans)) == places
        assert all(panel.caption for panel in figure.panels) == bool(places)
        named += places
    assert {"left", "right"} <= set(named)


def test_places_stand_where_their_names_say() -> None:
    for text, choices in PLACES.items():
        tree = read_tree(text)
        boxes = place(tree, (0, 0, 90, 90), 1.0, lambda axis: 0.0, random.Random(0))
        for names in choices:
            assert len(names) == tree.num_panels
            for name, (x0, y0, x1, y1) in zip(names, boxes, strict=True):
                assert ("left" in name) == (x1 < 80 and x0 == 0), name
                assert ("right" in name) == (x0 > 10 and x1 > 89), name
                assert ("top" in name or "upper" in name) == (y0 == 0 and y1 < 80), name
                assert ("bottom" in name or "lower" in name) == (y0 > 10 and y1 > 89), name


def test_labels_are_missing_as_often_as_from_real_figures() -> None:
    assert unprinted_share("even", 2) == pytest.approx(419 / 1936)
    assert unprinted_share("uneven", 5) == pytest.approx(16 / 251)
    assert unprinted_share("even", 30) == pytest.approx(769 / 4125)  # few: all even ones
    assert unprinted_share("uncut", 4) == unprinted_share("uncut", 5) == pytest.approx(6 / 125)
    assert unprinted_share("touching", 4) < unprinted_share("even", 4)


def test_panels_that_are_grids_of_pictures_have_labels() -> None:
    for seed in range(5):
        panels = draw_compound(random.Random(seed), "grid", unprinted=1.0).panels
        assert sum(panel.label == "" for panel in panels) <= 1


def test_real_label_places_are_drawn_as_often() -> None:
    rng = random.Random(0)
    places = Counter(draw_counted(rng, "label_places") for _ in range(4_000))
    assert places["upper left"] / 4_000 == pytest.approx(3_313 / 4_958, abs=0.03)


def test_a_printed_label_is_ink_on_its_ground() -> None:
    seen = 0
    for seed in range(12):
        figure = draw_compound(random.Random(seed), "white-gutter")
        pixels = np.asarray(figure.image.convert("L")).astype(int)
        for x0, y0, x1, y1 in filter(None, (panel.label_box for panel in figure.panels)):
            seen += 1
            assert np.ptp(pixels[y0:y1, x0:x1]) > 60
    assert seen > 20


def test_stitched_panels_touch_and_dark_gutters_are_black() -> None:
    stitched = draw_compound(random.Random(3), "stitched")
    width, height = stitched.image.size
    assert sum(area(panel.box) for panel in stitched.panels) == width * height
    dark = draw_compound(random.Random(3), "dark-gutter")
    pixels = np.asarray(dark.image).copy()
    for x0, y0, x1, y1 in (panel.box for panel in dark.panels):
        pixels[y0:y1, x0:x1] = 0
    assert pixels.max() == 0


def test_no_cut_goes_through_a_pinwheel() -> None:
    rooms = draw_compound(random.Random(1), "pinwheel").rooms
    for axis in (0, 1):
        inner = range(min(room[axis + 2] for room in rooms), max(room[axis] for room in rooms))
        assert all(any(room[axis] < at < room[axis + 2] for room in rooms) for at in inner)


def test_a_panel_on_white_is_what_can_be_seen_of_its_room() -> None:
    num_smaller = 0
    for seed in range(8):
        figure = draw_compound(random.Random(seed), "pinwheel")
        pale = np.asarray(figure.image).min(axis=2) >= 250
        for panel, room in zip(figure.panels, figure.rooms, strict=True):
            (x0, y0, x1, y1), (left, top, right, bottom) = panel.box, room
            assert inside(panel.box, room)
            if panel.box != room:
                num_smaller += 1
                for beside in (
                    pale[top:y0, left:right], pale[y1:bottom, left:right],
                    pale[top:bottom, left:x0], pale[top:bottom, x1:right],
                ):  # fmt: skip
                    # An arrow from one panel to the next may cross.
                    assert beside.mean() > 0.99 if beside.size else True
    assert num_smaller > 10


@given(st.integers(0, 2**32), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_every_label_of_a_caption_is_named_in_a_piece_of_its_own(seed: int, count: int) -> None:
    labels = [chr(65 + k % 26) + "'" * (k // 26) for k in range(count)]
    pieces = write_caption(random.Random(seed), labels)
    spoken = [label for piece in pieces for label in piece.labels]
    assert spoken == labels
    assert all(piece.text.strip() for piece in pieces)
    assert pieces[-1].text[-1] == "."
    assert all(piece.labels[0] in piece.text for piece in pieces if piece.labels)


def test_a_tree_is_read_as_it_is_written() -> None:
    row = Tree("row", (PANEL, PANEL))
    assert read_tree("1") == PANEL
    assert read_tree("C(R(1,1),1)") == Tree("column", (row, PANEL))
    assert read_tree("C(R(1,1),R(1,1))").is_grid
    assert not read_tree("C(R(1,1),1)").is_grid
    assert read_tree("C(R(1,C(1,1)),R(1,1))").num_panels == 5


def test_panels_and_gaps_fill_their_hull() -> None:
    tree = read_tree("C(R(1,1,1),R(1,1))")
    boxes = place(tree, (0, 0, 600, 400), 1.0, lambda axis: 10.0, random.Random(0))
    assert len(boxes) == 5
    free = 600 * 400 - 600 * 10
    rows = {box[1]: box[3] - box[1] for box in boxes}
    gutters = 10 * (2 * rows[0] + sum(rows.values()) - rows[0])
    filled = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes)
    assert filled == pytest.approx(free - gutters)


def test_drawn_gaps_follow_the_real_ones() -> None:
    rng = random.Random(0)
    drawn = [draw_gaps(rng, 0, 1)() for _ in range(4_000)]
    expected = np.asarray(real()["gaps"])
    for share in (0.25, 0.5, 0.75, 0.9):
        assert np.mean(np.asarray(drawn) <= np.quantile(expected, share)) == pytest.approx(
            share, abs=0.05
        )


def test_classes_come_as_often_as_is_said() -> None:
    rng = random.Random(0)
    counts = Counter(draw_class(rng) for _ in range(3_000))
    assert set(counts) == set(LAYOUT_CLASSES)
    assert counts["single"] / 3_000 == pytest.approx(0.394, abs=0.03)
