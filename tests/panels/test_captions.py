"""Captions told apart by panel: hand-made ones, laws, and what must never happen."""

import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from figclip.panels.words.captions import shared, split_caption, sub_captions


def told(caption: str) -> dict[str, list[str]]:
    return sub_captions(caption, split_caption(caption))


def common(caption: str) -> list[str]:
    return shared(caption, split_caption(caption))


@pytest.mark.parametrize(
    ("caption", "own"),
    [
        ("Lungs. (A) CT. (B) X-ray.", {"A": ["(A) CT."], "B": ["(B) X-ray."]}),
        ("Lungs. A. CT. B. X-ray.", {"A": ["A. CT."], "B": ["B. X-ray."]}),
        ("Lungs. A, CT scan. B, X-ray.", {"A": ["A, CT scan."], "B": ["B, X-ray."]}),
        ("Lungs. A: CT. B: X-ray.", {"A": ["A: CT."], "B": ["B: X-ray."]}),
        ("Lungs. A) CT. B) X-ray.", {"A": ["A) CT."], "B": ["B) X-ray."]}),
        ("Lungs. a Scan. b Ray.", {"a": ["a Scan."], "b": ["b Ray."]}),
        ("[a] Scan. [b] Ray.", {"a": ["[a] Scan."], "b": ["[b] Ray."]}),
        ("Panel A shows CT. Panel B shows rays.", None),
        ("Panel (a) shows CT. (b) shows rays.", {"a": ["Panel (a) shows CT."], "b": None}),
        ("Lungs.(A) CT.(B) X-ray.", {"A": ["(A) CT."], "B": ["(B) X-ray."]}),
        ("肺。（A）CT图像。（B）X光。", {"A": ["（A）CT图像。"], "B": ["（B）X光。"]}),
        ("رئة. (A) أشعة. (B) صورة.", {"A": ["(A) أشعة."], "B": ["(B) صورة."]}),
        ("Steps. (i) Cut. (ii) Dry. (iii) Press.", {"i": ["(i) Cut."], "ii": None, "iii": None}),
        ("Steps. 1. Cut it. 2. Dry it. 3. Press.", {"1": ["1. Cut it."], "2": None, "3": None}),
    ],
)
def test_labels_of_every_print_lead_their_own_words(caption, own):
    found = told(caption)
    if own is None:
        assert set(found) == {"A", "B"}
        return
    assert set(found) == set(own)
    assert all(found[label] == said for label, said in own.items() if said is not None)


def test_a_label_may_stand_behind_its_words():
    assert told("D1 in red (A); D2 in green (B). Scale bar, 5 µm.") == {
        "A": ["D1 in red (A)"],
        "B": ["D2 in green (B)."],
    }
    assert common("D1 in red (A); D2 in green (B). Scale bar, 5 µm.") == ["Scale bar, 5 µm."]


def test_the_lead_and_the_legend_are_shared():
    caption = "Lungs of mice. (A) CT. (B) X-ray. Scale bar, 5 mm. Data are means ± SD."
    assert common(caption) == ["Lungs of mice.", "Scale bar, 5 mm. Data are means ± SD."]
    assert told(caption)["B"] == ["(B) X-ray."]


def test_ranges_and_lists_name_every_label_between():
    found = told("Mice. (A–C) Lungs. (D, F and G) Hearts. (E) Liver.")
    assert sorted(found) == list("ABCDEFG")
    assert found["B"] == ["(A–C) Lungs."]
    assert found["F"] == ["(D, F and G) Hearts."]


def test_a_sentence_that_names_several_panels_belongs_to_all_of_them():
    found = told("(A) Lungs. (B) Hearts. (C) Livers. In A and C, bars are 5 mm.")
    assert found["A"] == ["(A) Lungs.", "In A and C, bars are 5 mm."]
    assert found["B"] == ["(B) Hearts."]
    assert found["C"][-1].endswith("In A and C, bars are 5 mm.")


def test_nested_labels_carry_their_parent():
    assert sorted(told("(Ai) Lungs. (Aii) Hearts. (B) Livers.")) == ["Ai", "Aii", "B"]
    assert sorted(told("(A(i)) Lungs. (A(ii)) Hearts. (B) Livers.")) == ["Ai", "Aii", "B"]
    assert sorted(told("A1–3. Lungs of mice. B1–2. Hearts.")) == ["A1", "A2", "A3", "B1", "B2"]


def test_places_name_panels_only_where_no_letters_do():
    found = told("Lungs. Left: CT. Right: X-ray.")
    assert found == {"left": ["Left: CT."], "right": ["Right: X-ray."]}
    assert set(told("Cells (top left), nuclei (top right), both (bottom).")) == {
        "top left",
        "top right",
        "bottom",
    }
    assert set(told("(A) CT. Left: before. Right: after. (B) X-ray.")) == {"A", "B"}


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "Lungs.",
        "Survival of mice with hepatitis (B) (n = 3).",
        "As in Fig. 2A and Fig. 2B, lungs were stained.",
        "Effect of vitamin A. Vitamin B was given, too.",
        "Levels of adenine (A), cytosine (C), guanine (G) and thymine (T).",
        "A typical lung. C. elegans was fed for 0.5, 1.5 and 2.5 h.",
        "ABC transport system (1), pyruvate (2) and (3) or ADP (5) in the cell.",
        "Differences are significant (p < 0.05) in a Student's t-test.",
        "Sites a–k are listed in Table 1.",
        "The legend stands at the right. Dots are mice.",
        "Recorded to the right (left) eye while the left (right) side was cooled.",
        "Three mice: 1) young, 2) old.",
        "Values of 0.5, 1.5, 6.0 and 12 are hours.",
    ],
)
def test_what_only_looks_like_a_label_splits_nothing(caption):
    assert told(caption) == {}
    assert common(caption) == ([caption] if caption else [])


def test_a_mention_of_a_later_panel_does_not_begin_it():
    found = told("(A) Scheme, see (B). (B) Curve. (C) As in (A), but later.")
    assert found["A"] == ["(A) Scheme, see (B)."]
    assert found["C"] == ["(C) As in (A), but later."]


LATIN = ["(A) ", "(B)", "A. ", "B, ", "a–c ", "(d", ") ", "; ", ", and ", "Lungs", " (left) "]
OTHER = ["Right: ", "Fig. 2", " in A and B", "1. ", "(ii)", "A1–3", ".", " ", "\n", "肺", "ش", "，"]
FRAGMENTS = st.sampled_from([*LATIN, *OTHER, "’", "\u202e"])
CAPTIONS = st.one_of(st.text(max_size=200), st.lists(FRAGMENTS, max_size=40).map("".join))


@settings(deadline=None)
@given(CAPTIONS)
@example("(A–Z, A–Z) x (ZZ) (iv–i)")
@example("(A) (A) (A")
def test_the_spans_are_the_caption_whatever_it_says(caption):
    spans = split_caption(caption)
    assert "".join(caption[span.start : span.end] for span in spans) == caption
    assert all(span.start < span.end for span in spans)
    assert all((span.kind == "own") == bool(span.labels) for span in spans)
    assert all(len(set(span.labels)) == len(span.labels) for span in spans)
    for one, other in pairwise(spans):
        assert (one.kind, one.labels) != (other.kind, other.labels)


@settings(deadline=None)
@given(CAPTIONS)
def test_every_piece_is_a_substring_of_the_caption(caption):
    spans = split_caption(caption)
    pieces = [piece for said in sub_captions(caption, spans).values() for piece in said]
    assert all(piece in caption for piece in (*pieces, *shared(caption, spans)))


_HOSTILE = """
    x (A)_lungs._(B)_hearts._ (A) (((( A._ a_ ; ._ A– _ (A,_ 1,_ Left:_a._ (left) 肺（A）。
    in_A_and_B_ “ A_B_ (A–Z)_ Panel_
"""
HOSTILE = [unit.replace("_", " ") for unit in _HOSTILE.split()]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_hundred_thousand_characters_take_no_age(unit):
    caption = (unit * (100_000 // len(unit) + 1))[:100_000]
    start = time.process_time()
    spans = split_caption(caption)
    assert time.process_time() - start < 60  # no hang; how fast is measured, not tested
    assert "".join(caption[span.start : span.end] for span in spans) == caption


def test_sixty_labels_are_found():
    letters = [chr(65 + n) for n in range(26)]
    caption = "Mice. " + " ".join(f"({letter}) Lung {n}." for n, letter in enumerate(letters))
    assert list(told(caption)) == letters
    numbers = " ".join(f"{n}. Lung of a mouse." for n in range(1, 61))
    assert len(told(f"Mice. {numbers}")) == 60
