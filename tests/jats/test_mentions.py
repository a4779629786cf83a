"""Mentions that words make, beside those that links make."""

import pytest

from figclip.jats.article import JatsError, parse_article
from figclip.schema import Mention


def said(inner: str, *, outer: str = "") -> dict[str, tuple[Mention, ...]]:
    xml = f"<article><body>{inner}</body>{outer}</article>".encode()
    return {figure.figure_id: figure.mentions for figure in parse_article(xml).figures}


def figures(*numbers: str) -> str:
    return "".join(f'<fig id="F{n}"><label>Figure {n}</label></fig>' for n in numbers)


def test_a_figure_that_words_alone_name_is_mentioned():
    mentions = said(
        f"<sec><title>Results</title><p>It rose (Fig. 2A, B).</p></sec>{figures('1', '2')}"
    )
    assert mentions["F1"] == ()
    assert mentions["F2"] == (Mention("It rose (Fig. 2A, B).", ("Results",), "Fig. 2A, B"),)


def test_a_range_between_two_links_means_the_figures_between():
    link = '<xref rid="F{}">{}</xref>'
    text = f"<p>So it was ({link.format(1, 'Figs. 1')}–{link.format(4, '4')}).</p>"
    mentions = said(text + figures("1", "2", "3", "4", "5"))
    assert [len(mentions[f"F{n}"]) for n in range(1, 6)] == [1, 1, 1, 1, 0]
    assert mentions["F1"][0].anchor == "Figs. 1"
    assert mentions["F3"][0].anchor == "Figs. 1–4"
    assert {mention.text for mention in mentions["F2"]} == {"So it was (Figs. 1–4)."}


def test_words_add_nothing_to_a_link_of_the_same_paragraph():
    mentions = said(f'<p>Figure <xref rid="F1">1A</xref> shows it.</p>{figures("1")}')
    assert [mention.anchor for mention in mentions["F1"]] == ["1A"]


def test_words_and_links_stand_in_the_order_of_the_document():
    linked = '<p>Second (<xref rid="F1">Fig. 1B</xref>).</p>'
    mentions = said(f"<p>First (Fig. 1).</p>{linked}<p>Third (Fig. 1C).</p>{figures('1')}")
    assert [mention.text[:3] for mention in mentions["F1"]] == ["Fir", "Sec", "Thi"]


def test_supplements_and_other_papers_figures_are_no_mentions():
    inner = (
        "<p>See Supplementary Figure 1 and Fig. S1.</p><p>As in Fig. 1 of Smith et al. [3].</p>"
        "<p>Fig. 1 in [4].</p>"
    )
    assert said(inner + figures("1")) == {"F1": ()}


def test_captions_references_and_thanks_mention_nothing():
    inner = '<fig id="F1"><label>Fig. 1</label><caption><p>As Fig. 1 but later.</p></caption></fig>'
    outer = (
        "<back><ack><p>We thank her for Fig. 1.</p></ack><ref-list><p>Fig. 1 is from [2].</p>"
        "</ref-list></back>"
    )
    assert said(inner, outer=outer) == {"F1": ()}


def test_a_figure_whose_label_is_a_range_owns_its_numbers():
    inner = (
        '<fig id="P"><label>Figures 13–26.</label></fig><fig id="Q"><label>Figure 27.</label></fig>'
        "<table><tr><td>Elytra red (Fig. 20)</td></tr></table>"
    )
    mentions = said(inner)
    assert [mention.anchor for mention in mentions["P"]] == ["Fig. 20"]
    assert mentions["Q"] == ()


def test_a_sub_article_means_its_own_figure_and_else_the_articles():
    outer = (
        '<sub-article id="s"><body><p>Fig. 1 is ours, Fig. 2 yours.</p>'
        '<fig id="S1"><label>Figure 1</label></fig></body></sub-article>'
    )
    mentions = said(figures("1", "2"), outer=outer)
    assert {name: len(found) for name, found in mentions.items()} == {"F1": 0, "F2": 1, "S1": 1}


def test_a_paragraph_speaks_for_itself_and_not_for_those_inside_it():
    inner = "<p>Outer.<list><list-item><p>Inner (Fig. 1).</p></list-item></list></p>"
    (mention,) = said(inner + figures("1"))["F1"]
    assert mention.text == "Inner (Fig. 1)."


def test_many_figures_of_one_number_end_in_an_error_and_not_in_a_hang():
    one = "<fig><label>Figures 1–60</label></fig>"
    with pytest.raises(JatsError) as caught:
        said(f"<p>{'Figures 1–60. ' * 500}</p>{one * 20_000}")
    assert caught.value.reason == "huge_xml"
