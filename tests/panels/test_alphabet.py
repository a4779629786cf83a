"""Letters of a font that is not among those drawn still look most like themselves."""

import string

import numpy as np
import pytest
from lettering import lettered

from figclip.panels.labels.alphabet import DRAWN, likeness, patches
from figclip.panels.labels.label_boxes import lookalikes


def ink_of(character: str, *, is_pale: bool = False) -> np.ndarray:
    ink, ground = ("white", "black") if is_pale else ("black", "white")
    page = lettered({character: (40, 40)}, name="DejaVuSansMono", size=60, ink=ink, ground=ground)
    gray = page[:, :, 0]
    ys, xs = np.nonzero(gray != gray[0, 0])
    box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]])
    return patches(gray, box, np.array([is_pale]))


@pytest.mark.parametrize("character", "ABCDEFGHKLNPRSTXYZabdefghknpqsty")
def test_a_letter_looks_most_like_itself(character: str) -> None:
    letters = "".join(sorted({each.lower() for each in string.ascii_letters}))
    like = likeness(ink_of(character), letters)[0]
    best = letters[int(np.argmax(like))]
    assert best in {each.lower() for each in lookalikes(character)} | {character.lower()}
    assert like.max() > 0.8


def test_polarity_makes_no_difference() -> None:
    np.testing.assert_allclose(ink_of("G"), ink_of("G", is_pale=True), atol=0.02)


def test_likeness_is_a_correlation_and_case_is_not_told_apart() -> None:
    ink = np.concatenate([ink_of(each) for each in "AbC3"])
    like = likeness(ink, "aAbBcC3")
    assert like.shape == (4, 7)
    assert (np.abs(like) <= 1 + 1e-5).all()
    np.testing.assert_array_equal(like[:, 0], like[:, 1])


def test_every_letter_and_digit_is_drawn() -> None:
    assert likeness(ink_of("A"), "".join(sorted(DRAWN))).shape == (1, 62)
    assert likeness(ink_of("A"), "").shape == (1, 0)
