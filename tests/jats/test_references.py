"""References to figures in running text: whose they are, which panels, and no surprises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.jats.references import figure_references
from figclip.jats.sentences import sentences


def said(text: str) -> list[tuple[str, str]]:
    """`3A,B` as `("3", "AB")`."""
    return [(item.figure, "".join(item.panels)) for item in figure_references(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(Fig. 3A–C)", [("3", "ABC")]),
        ("Figures 2 and 4", [("2", ""), ("4", "")]),
        ("Figs. 1–3", [("1", ""), ("2", ""), ("3", "")]),
        ("Figs 9 to 11", [("9", ""), ("10", ""), ("11", "")]),
        ("Figure 1A, B and 2C", [("1", "AB"), ("2", "C")]),
        ("(Fig. 4, panel b)", [("4", "b")]),
        ("Fig. 2 a) shows", [("2", "a")]),
        ("Figures 4(a)–4(c)", [("4", "abc")]),
        ("Fig 5A and 5C", [("5", "AC")]),
        ("Fig. 1C&D", [("1", "CD")]),
        ("Fig. 3ABC", [("3", "ABC")]),
        ("Figure IV", [("4", "")]),
        ("Fig. 3, 12 mice died", [("3", "")]),
        ("Figure 3 A total of 12", [("3", "")]),
        ("Fig. 3b, a new one", [("3", "b")]),
        ("Figure 1, we saw", [("1", "")]),
        ("Abb. 3 und Abb. 4", [("3", ""), ("4", "")]),
        ("na Figura 2b", [("2", "b")]),
        ("如图3A所示", [("3", "A")]),
        ("Figs S1-S3", [("S1", ""), ("S2", ""), ("S3", "")]),
        ("Figs. S1–3 and 6A", [("S1", ""), ("S2", ""), ("S3", ""), ("6", "A")]),
        ("Figure 1—figure supplement 1A, 2", [("1s1", "A"), ("1s2", "")]),
        ("Figure 1—source data 1", []),
        ("configured 3 figures of 8", []),
        ("Figure", []),
    ],
)
def test_the_figures_and_panels_of_a_text(text, expected):
    assert said(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Figure 2 of Smith et al. [12]",
        "Fig. 3 in ref. 5",
        "see Fig. 2 of [23]",
        "their Fig. 2",
        "Smith and Jones (2005: Fig. 2)",
        "Smith et al. (1992: fig. 1b)",
        "described by Asher and Krause ([25]: fig. 1L, M)",
        "Fig. 1 in that paper",
    ],
)
def test_another_papers_figure_is_not_claimed(text):
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "kind", "figure"),
    [
        ("Supplementary Figure 2", "supplementary", "S2"),
        ("Suppl. Fig. 2", "supplementary", "S2"),
        ("Fig. S2", "supplementary", "S2"),
        ("Additional file 1: Figure S2", "supplementary", "S2"),
        ("Extended Data Fig. 3", "extended", "3"),
        ("Appendix Fig. 1", "appendix", "1"),
        ("Author response image 2", "response", "2"),
        ("Scheme 2", "scheme", "2"),
        ("Plate IV", "plate", "4"),
        ("Chart 1", "chart", "1"),
        ("Box 1", "box", "1"),
        ("Box figure 1", "box figure", "1"),
        ("Table 4", "table", "4"),
        ("Figure 2", "figure", "2"),
    ],
)
def test_what_is_no_plain_figure_is_told_apart(text, kind, figure):
    (found,) = figure_references(text)
    assert (found.kind, found.figure) == (kind, figure)


FIGURES = ["Fig. ", "Figs ", "figure", "1", "2A", "–", ", ", " and ", "S3", "IV", "(a)", "B"]
WORDS = [" of ", "[2]", "et al.", "; ", "Table ", "supplement ", "图", "ش", ". "]
LISTS = st.lists(st.sampled_from([*FIGURES, *WORDS]), max_size=40)
TEXTS = st.one_of(st.text(max_size=200), LISTS.map("".join))


@settings(deadline=None)
@given(TEXTS)
def test_every_reference_is_a_stretch_of_the_text(text):
    for item in figure_references(text):
        assert 0 <= item.start < item.end <= len(text)
        assert item.figure
        assert all(item.panels)


@settings(deadline=None)
@given(TEXTS)
def test_the_sentences_are_the_text(text):
    spans = sentences(text)
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)


HOSTILE = ["Fig. 1, ", "Figs 1–9–", "fig", "1A–", ". ", "Fig. A", "(Fig. 1", " "]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_long_text_does_not_hang(unit):
    text = (unit * 100_000)[:100_000]
    figure_references(text)
    assert sum(end - start for start, end in sentences(text)) == len(text)


def test_no_sentence_ends_behind_a_shortened_word():
    text = (
        "See Fig. 3 of E. coli, cf. Smith et al. 2004, e.g. in mice. "
        "It rose to 3.5 mg (i.e. more). So it was shown in B. Then J. Smith left! Did he? Yes."
    )
    assert [text[start:end].strip() for start, end in sentences(text)] == [
        "See Fig. 3 of E. coli, cf. Smith et al. 2004, e.g. in mice.",
        "It rose to 3.5 mg (i.e. more).",
        "So it was shown in B.",
        "Then J. Smith left!",
        "Did he?",
        "Yes.",
    ]
