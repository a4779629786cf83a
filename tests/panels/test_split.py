"""The whole way from a figure to its panels: on drawn figures, and on what no figure should be."""

import random

import numpy as np
import pytest
from drawn_figures import CAPTION, HEIGHT, WIDTH, compound, photo
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.panels.labels.ocr import see_labels
from figclip.panels.scores import panel_score
from figclip.panels.split import SplitFigure, split_pair
from figclip.sources.synthetic.compounds import draw_compound
from figclip.sources.synthetic.panel_plans import LayoutClass


def words(found: SplitFigure) -> str:
    """All of the caption that came out, in any order."""
    pieces = {piece for panel in found.panels for piece in panel.caption} | set(found.shared)
    return " ".join(sorted(pieces))


SAID = [
    "Young cells are small (Fig. 2A). Old ones are large (Fig. 2B).",
    "All were dyed (Figure 2).",
]


def test_every_panel_has_its_place_its_label_and_its_words() -> None:
    image, boxes = compound("ABCD")
    found = split_pair(image, CAPTION, SAID, figure="Figure 2")
    assert [panel.label for panel in found.panels] == list("ABCD")
    assert panel_score([panel.box for panel in found.panels], list(boxes.values())) == 1
    own = {panel.label: " ".join(panel.caption).strip() for panel in found.panels}
    assert own == {
        "A": "(A) Young ones.",
        "B": "(B) Old ones.",
        "C": "(C) Dead ones.",
        "D": "(D) None.",
    }
    assert "Cells." in " ".join(found.shared)
    assert "Scale bar" in " ".join(found.shared)
    said = {panel.label: panel.mentions for panel in found.panels}
    assert said["A"] == ("Young cells are small (Fig. 2A).", SAID[1])
    assert said["C"] == (SAID[1],)
    assert found.notes == ()


def test_a_label_lies_in_its_panel() -> None:
    image, _ = compound("ABCD")
    for panel in split_pair(image, CAPTION).panels:
        assert panel.label_box is not None
        assert panel.box[0] <= panel.label_box[0] < panel.label_box[2] <= panel.box[2]
        assert panel.box[1] <= panel.label_box[1] < panel.label_box[3] <= panel.box[3]
        assert 0 < panel.confidence <= 1


def test_without_its_own_number_a_figure_is_the_one_that_mentions_name() -> None:
    image, _ = compound("ABCD")
    found = split_pair(image, CAPTION, SAID)
    assert found.panels[0].mentions == ("Young cells are small (Fig. 2A).", SAID[1])


def test_a_picture_without_parts_keeps_all_of_its_words() -> None:
    found = split_pair(np.asarray(photo((WIDTH, HEIGHT), 5)), "A lung.", ["See Figure 1."])
    (panel,) = found.panels
    assert panel.box == (0, 0, WIDTH, HEIGHT)
    assert panel.caption == ("A lung.",)
    assert panel.mentions == ("See Figure 1.",)
    assert (panel.label, found.shared, found.notes) == ("", (), ())


BLANK = {
    "one pixel": np.zeros((1, 1, 3), np.uint8),
    "a line": np.full((1, 900, 3), 7, np.uint8),
    "white": np.full((700, 900, 3), 255, np.uint8),
    "black": np.zeros((700, 900, 3), np.uint8),
    "noise": np.random.default_rng(0).integers(0, 255, (700, 900, 3), np.uint8),
}
CAPTIONS = {
    "empty": "",
    "long": "(A) word " * 11_000,
    "Chinese": "(A)细胞。(B)组织。",
    "right to left": "(A) תאים. (B) רקמה.",
    "sixty labels": " ".join(f"({n}) Item {n}." for n in range(1, 61)),
    "labels of another figure": "(P) One. (Q) Two. (R) Three.",
    "no words": "(A) (B) (C)",
}


@pytest.mark.parametrize("image", BLANK)
@pytest.mark.parametrize("caption", CAPTIONS)
def test_what_cannot_be_divided_comes_out_whole(image: str, caption: str) -> None:
    height, width = BLANK[image].shape[:2]
    found = split_pair(BLANK[image], CAPTIONS[caption], ["Fig. 1A.", ""])
    assert found.panels
    for panel in found.panels:
        x0, y0, x1, y1 = panel.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert all(piece in CAPTIONS[caption] for piece in panel.caption)
    assert all(piece in CAPTIONS[caption] for piece in found.shared)
    for letter in set(CAPTIONS[caption]) - set(" "):
        assert letter in words(found)


@pytest.mark.parametrize("image", BLANK)
def test_labels_that_are_not_in_the_picture_divide_nothing(image: str) -> None:
    found = split_pair(BLANK[image], CAPTION)
    assert len(found.panels) == 1
    assert found.panels[0].caption == (CAPTION,)
    assert found.notes == ("labels_not_found: A, B, C, D",)


def test_a_photograph_is_not_cut_because_a_caption_says_so() -> None:
    found = split_pair(np.asarray(photo((WIDTH, HEIGHT), 5)), CAPTION)
    assert [panel.box for panel in found.panels] == [(0, 0, WIDTH, HEIGHT)]


def test_a_picture_has_the_panels_that_its_labels_show_and_not_those_that_it_lacks() -> None:
    image, boxes = compound("AB")
    found = split_pair(image, CAPTION)
    assert [panel.label for panel in found.panels] == ["A", "B"]
    assert panel_score([panel.box for panel in found.panels], list(boxes.values())) == 1
    assert {note.split(":")[0] for note in found.notes} == {"no_panel"}
    assert "(C) Dead ones." in " ".join(found.shared)


@pytest.mark.parametrize(
    ("layout_class", "seed", "num_convincing", "num_hints"),
    [("stitched", 15, 2, 2), ("dark-gutter", 53, 2, 2), ("grid", 7, 0, 1), ("grid", 57, 0, 1)],
)
def test_labels_that_are_seen_speak_for_those_that_are_not(
    layout_class: LayoutClass, seed: int, num_convincing: int, num_hints: int
) -> None:
    """Also one that would not convince alone."""
    figure = draw_compound(random.Random(seed), layout_class)
    image, true = np.asarray(figure.image), [panel.box for panel in figure.panels]
    sighted = see_labels(image, [panel.label for panel in figure.panels])
    assert (len(sighted.labels), len(sighted.hints)) == (num_convincing, num_hints)
    assert len(true) > num_hints
    assert panel_score([panel.box for panel in split_pair(image, figure.caption).panels], true) == 1


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.text(max_size=300))
def test_no_word_is_lost_whatever_the_caption(seed: int, text: str) -> None:
    rng = random.Random(seed)
    image, _ = compound("ABCD"[: rng.randint(1, 4)])
    caption = f"{text} (A) one. {text[:40]} (B) two."
    found = split_pair(image[:: rng.randint(4, 8), :: rng.randint(4, 8)], caption)
    for word in caption.split():
        assert word in words(found)
