"""Which panels a paragraph speaks of, and in which sentences."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.panels.words.citances import split_mention
from jobs.benchmarks.citance_cases import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text[:60])
def test_the_sentences_of_hand_made_paragraphs(case):
    spans = split_mention(case.text, case.anchor, case.figure, case.labels)
    assert {
        label: tuple(case.text[start:end] for start, end in said) for label, said in spans.items()
    } == case.said


def test_there_are_enough_hand_made_paragraphs():
    assert len(CASES) >= 40


def test_a_figure_without_panels_is_not_split():
    assert split_mention("See Fig. 1A.", "Fig. 1A", "Figure 1", []) == {}


WORDS = ["Fig. 1A", "(Fig. 1B)", "Figure 1", "; ", ". ", "panel A", " (B)", "left", "Fig. 2", " "]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30).map("".join), st.text(max_size=5))
def test_spans_are_trimmed_ascending_stretches_of_the_text(text, anchor):
    labels = ("A", "B", "left")
    found = split_mention(text, anchor, "Figure 1", labels)
    assert set(found) <= set(labels)
    for spans in found.values():
        assert spans == sorted(set(spans))
        assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)


@pytest.mark.parametrize("unit", ["Fig. 1A; ", "Fig. 1. ", ";", "(", "panel A ", "1A", " "])
def test_a_long_paragraph_does_not_hang(unit):
    split_mention((unit * 100_000)[:100_000], "1A", "Figure 1", ("A", "B"))
