"""Which words stand beside an image, and how they are drawn."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.inputs.texts import drawn_texts, naming_sentences, texts_of

PARAGRAPH = (
    "We fed mice. Their livers grew (Fig. 2A). Hearts did not, cf. Fig. 3. "
    "In Figs. 1–3 all scale bars are 5 µm. Figure 2 of Smith et al. agrees."
)


def pair(caption: str | None, *mentions: str, label: str = "Figure 2") -> dict:
    return {"caption": caption, "label": label, "mentions": list(mentions)}


def test_the_sentences_that_name_a_figure_are_kept_of_a_paragraph():
    assert naming_sentences(PARAGRAPH, "Figure 2") == (
        "Their livers grew (Fig. 2A). In Figs. 1–3 all scale bars are 5 µm."
    )
    assert naming_sentences(PARAGRAPH, "Fig 3.").startswith("Hearts did not, cf. Fig. 3.")


@pytest.mark.parametrize("label", ["", "Figure 7", "Scheme 2"])
def test_a_paragraph_that_names_no_such_figure_stays_whole(label):
    assert naming_sentences(PARAGRAPH, label) == PARAGRAPH


@pytest.mark.parametrize(
    ("kind", "row", "expected"),
    [
        ("caption", pair("Livers.", "As in Fig. 2."), ["Livers."]),
        ("caption", pair(" ", "As in Fig. 2."), []),
        ("caption", pair(None), []),
        ("mentions", pair("Livers.", "No. As in Fig. 2.", " "), ["As in Fig. 2."]),
        ("mentions", pair("Livers."), ["Livers."]),
        ("mentions", pair(None), []),
        ("caption_and_mentions", pair("Livers.", "See B."), ["Livers.", "See B."]),
        ("caption_and_mentions", pair("", "See B."), ["See B."]),
        ("caption_and_mentions", {"caption": "x", "label": None, "mentions": None}, ["x"]),
    ],
)
def test_an_images_texts_are_of_the_kind_that_was_asked(kind, row, expected):
    assert texts_of(row, kind) == expected


@given(st.integers(0, 5), st.integers(1, 4), st.integers(0, 2**32))
def test_the_caption_comes_first_and_mentions_are_drawn_without_return(num_said, k, seed):
    said = [f"Word {i}." for i in range(num_said)]
    row = pair("Livers.", *said)
    found = drawn_texts(row, "caption_and_mentions", k, np.random.default_rng(seed))
    assert len(found) == min(k, 1 + num_said)
    assert found == drawn_texts(row, "caption_and_mentions", k, np.random.default_rng(seed))
    if k > 1:
        assert found[0] == "Livers."
    assert len(set(found)) == len(found)
    assert set(found) <= {"Livers.", *said}
    mentions = drawn_texts(row, "mentions", k, np.random.default_rng(seed))
    assert len(mentions) == min(k, max(1, num_said))
    assert set(mentions) <= ({*said} or {"Livers."})


def test_one_text_is_a_mention_as_often_as_the_caption():
    row = pair("Livers.", "One.", "Two.")
    random = np.random.default_rng(0)
    seen = Counter(drawn_texts(row, "caption_and_mentions", 1, random)[0] for _ in range(4_000))
    # Half of 4,000, and a quarter each; five standard deviations are 158 and 137.
    assert abs(seen["Livers."] - 2_000) < 158
    assert abs(seen["One."] - 1_000) < 137
    assert abs(seen["Two."] - 1_000) < 137
