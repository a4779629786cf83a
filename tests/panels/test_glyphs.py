"""Letters that stand alone are found, letters of words are not, whatever the polarity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lettering import lettered

from figclip.panels.labels.glyphs import Glyphs, find_glyphs, find_more_glyphs, searched


def glyphs_of(picture: np.ndarray) -> Glyphs:
    return find_glyphs(searched(picture[:, :, 0]))


@pytest.mark.parametrize(("ink", "ground"), [("black", "white"), ("white", "black")])
def test_a_letter_alone_is_found_in_both_polarities(ink: str, ground: str) -> None:
    found = glyphs_of(lettered({"H": (100, 80)}, ink=ink, ground=ground, width=700, height=700))
    rows = np.flatnonzero(found.is_pale == (ink == "white"))
    assert len(rows) == 1
    x0, y0, x1, y1 = found.boxes[rows[0]] / 2  # such a picture is searched at twice its size
    assert 100 <= x0 < x1 <= 125
    assert 80 <= y0 < y1 <= 108
    assert (found.gaps[rows[0]] == 1.5).all()


def test_the_inner_letters_of_a_word_are_no_candidates() -> None:
    alone = glyphs_of(lettered({"H": (100, 80)}))
    word = glyphs_of(lettered({"HHHHHHHH": (100, 80)}))
    assert len(word) <= len(alone)


def test_brackets_belong_to_the_label_and_not_to_the_letter() -> None:
    found = glyphs_of(lettered({"(n)": (100, 80)}, size=40))
    row = int(np.argmax(found.brackets))
    assert found.brackets[row] == 2
    assert found.outer[row, 0] < found.boxes[row, 0] < found.boxes[row, 2] < found.outer[row, 2]


def test_text_behind_a_label_is_a_gap_and_no_reason_against_it() -> None:
    found = glyphs_of(lettered({"H": (100, 80), "Control": (150, 80)}, size=30))
    assert any(0.3 < right < 1.5 and left == 1.5 for left, right in found.gaps)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 3))
def test_any_picture_is_searched(width: int, height: int, kind: int) -> None:
    chance = np.random.default_rng(width * 71 + height)
    noise = chance.integers(0, 256, (height, width), np.uint8)
    gray = [noise, np.zeros_like(noise), np.full_like(noise, 255), (noise & 128) * 2][kind]
    page = searched(gray.astype(np.uint8))
    for found in (find_glyphs(page), find_more_glyphs(page)):
        assert (found.boxes[:, :2] < found.boxes[:, 2:]).all()
        assert (found.outer[:, :2] <= found.boxes[:, :2]).all()
        assert (found.outer[:, 2:] >= found.boxes[:, 2:]).all()
        assert (found.outer[:, 2:] <= [page.shape[1], page.shape[0]]).all()


def test_a_huge_picture_is_searched_small_and_a_small_one_large() -> None:
    assert max(searched(np.zeros((300, 5_000), np.uint8)).shape) == 1_400
    assert searched(np.zeros((200, 300), np.uint8)).shape == (400, 600)
