import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import drawn

from figclip.evaluation.grid import GOLD, TILE, GridRow, _font, draw_grid, ordinal, wrapped

FONT = _font(19)


def grid_row(right: int | None, sizes: list[tuple[int, int]], caption: str = "A disc.") -> GridRow:
    return GridRow(
        caption=caption,
        images=tuple(drawn("blue", "disc", "left", size=size) for size in sizes),
        scores=tuple(0.5 - 0.3 * n for n in range(len(sizes))),
        is_right=tuple(n == right for n in range(len(sizes))),
        rank=17 if right is None else right + 1,
        num_candidates=300,
    )


def gold_columns(png: bytes) -> np.ndarray:
    """Which pixel columns below the key hold gold."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[80:]
    return np.flatnonzero((pixels == GOLD).all(axis=2).any(axis=0))


@pytest.mark.parametrize("right", [0, 1, 3])
def test_only_the_right_figure_is_framed(right):
    gold = gold_columns(draw_grid([grid_row(right, [(64, 48)] * 4)]))
    assert 0 < gold.max() - gold.min() <= TILE
    others = gold_columns(draw_grid([grid_row((right + 1) % 4, [(64, 48)] * 4)]))
    assert not set(gold) & set(others)


def test_nothing_is_framed_where_the_right_figure_is_not_shown():
    assert not len(gold_columns(draw_grid([grid_row(None, [(64, 48)] * 4)])))


@pytest.mark.parametrize("size", [(2000, 40), (40, 2000), (1, 1), (300, 300)])
def test_a_picture_of_any_shape_stays_within_its_tile(size):
    png = draw_grid([grid_row(0, [size, (64, 48), (64, 48)])])
    gold = gold_columns(png)
    assert gold.max() - gold.min() < TILE


def test_rows_may_be_of_different_length():
    png = draw_grid([grid_row(0, [(64, 48)] * 4), grid_row(0, [(64, 48)] * 2)])
    assert Image.open(io.BytesIO(png)).format == "PNG"


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=300), st.integers(60, 400), st.integers(1, 6))
def test_wrapped_lines_fit_and_lose_no_letter_unless_they_end_in_an_ellipsis(text, width, most):
    lines = wrapped(text, FONT, width=width, max_lines=most)
    assert len(lines) <= most
    assert all(FONT.getlength(line) <= width for line in lines)
    letters, kept = "".join(text.split()), "".join("".join(lines).split())
    if kept != letters:
        assert lines[-1].endswith("…")
        assert letters.startswith("".join(kept[:-1].split())[: len(letters)]) or most == 1


def test_words_of_any_length_are_broken():
    lines = wrapped("x" * 200, FONT, width=100, max_lines=100)
    assert "".join(lines) == "x" * 200


def test_greek_and_mathematical_signs_have_glyphs():
    empty = FONT.getmask("\U0010fffe").getbbox(), bytes(FONT.getmask("\U0010fffe"))
    for sign in "αβγμΔψ≤≥×±°∑→′Åłж":
        assert (FONT.getmask(sign).getbbox(), bytes(FONT.getmask(sign))) != empty, sign


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (22, "22nd"), (1113, "1,113th")],
)
def test_ordinals_end_as_they_are_said(number, text):
    assert ordinal(number) == text
