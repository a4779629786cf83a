"""The cases in which figures are commonly lost, doubled or given another's words.

Where pubmed_parser reads the same document, its answer stands beside ours: it shows that the case
is real, and that the fault has not gone away.
"""

from pathlib import Path

import pubmed_parser
import pytest
from lxml import etree

from figclip.jats.article import parse_article
from figclip.schema import Figure

IDS = (
    '<article-id pub-id-type="pmcid">PMC12</article-id>'
    '<article-id pub-id-type="pmcid-ver">PMC12.3</article-id>'
    '<article-id pub-id-type="pmcaid">12</article-id>'
    '<article-id pub-id-type="pmid">34</article-id>'
)
XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
MATHML = 'xmlns:mml="http://www.w3.org/1998/Math/MathML"'


def article_of(body: str, *, ids: str = IDS, attributes: str = "") -> bytes:
    return (
        f'<article {XLINK} {MATHML} article-type="research-article" {attributes}><front>'
        f"<article-meta>{ids}</article-meta></front><body>{body}</body></article>"
    ).encode()


def figures_of(body: str) -> tuple[Figure, ...]:
    return parse_article(article_of(body)).figures


def fig(caption: str, *, id: str = "F1", graphic: str = '<graphic xlink:href="a.jpg"/>') -> str:
    return f'<fig id="{id}"><label>Figure 1</label>{caption}{graphic}</fig>'


def caption_of(inner: str) -> str:
    (figure,) = figures_of(fig(f"<caption>{inner}</caption>"))
    return figure.caption


def pubmed_parsers(body: str, folder: Path, *, name: str = "a.nxml", **kwargs) -> list[dict]:
    path = folder / name
    path.write_bytes(article_of(body, **kwargs))
    return pubmed_parser.parse_pubmed_caption(str(path))


def test_01_a_first_figure_without_caption_does_not_lose_the_article(tmp_path):
    body = fig("") + fig("<caption><p>Second.</p></caption>", id="F2")
    assert [figure.caption for figure in figures_of(body)] == ["", "Second."]
    with pytest.raises(UnboundLocalError):
        pubmed_parsers(body, tmp_path)


def test_02_a_figure_without_caption_does_not_borrow_the_one_before(tmp_path):
    body = fig("<caption><p>First.</p></caption>") + fig("", id="F2")
    assert [figure.caption for figure in figures_of(body)] == ["First.", ""]
    assert [row["fig_caption"] for row in pubmed_parsers(body, tmp_path)] == ["First.", "First."]


def test_03_a_figure_without_id_is_named_by_its_place(tmp_path):
    body = fig("<caption><p>One.</p></caption>") + fig("<caption><p>Two.</p></caption>").replace(
        ' id="F1"', ""
    )
    assert [figure.figure_id for figure in figures_of(body)] == ["F1", "fig-2"]
    with pytest.raises(KeyError):
        pubmed_parsers(body, tmp_path)


def test_03_figures_with_one_id_twice_are_told_apart():
    body = fig("<caption><p>One.</p></caption>") + fig("<caption><p>Two.</p></caption>")
    ids = [figure.figure_id for figure in figures_of(body)]
    assert len(set(ids)) == 2
    assert ids[0] == "F1"


def test_04_every_graphic_of_a_figure_is_read(tmp_path):
    two = '<graphic xlink:href="a.jpg"/><graphic xlink:href="b.jpg"/>'
    body = fig("<caption><p>Both.</p></caption>", graphic=two)
    assert figures_of(body)[0].graphics == ("a.jpg", "b.jpg")
    assert pubmed_parsers(body, tmp_path)[0]["graphic_ref"] == "a.jpg"


@pytest.mark.parametrize(
    ("variants", "best"),
    [
        (["a.tif", "a.jpg"], "a.jpg"),
        (["a.gif", "a.tif"], "a.tif"),
        (["a.png", "a.jpeg"], "a.jpeg"),
        (["a.thumbnail.jpg", "a.tif"], "a.tif"),
        (["a_OC", "a_PB"], "a_OC"),
    ],
)
def test_05_alternatives_give_their_best_variant(variants, best, tmp_path):
    inner = "".join(f'<graphic xlink:href="{name}"/>' for name in variants)
    body = fig("<caption><p>A.</p></caption>", graphic=f"<alternatives>{inner}</alternatives>")
    assert figures_of(body)[0].graphics == (best,)
    assert pubmed_parsers(body, tmp_path)[0]["graphic_ref"] is None


def test_05_of_a_variant_for_paper_and_one_for_the_screen_the_screen_is_chosen():
    inner = (
        '<graphic specific-use="print-only" xlink:href="a.jpg"/>'
        '<graphic specific-use="web-only" xlink:href="b.jpg"/>'
    )
    body = fig("", graphic=f"<alternatives>{inner}</alternatives>")
    assert figures_of(body)[0].graphics == ("b.jpg",)


def test_06_the_href_is_found_by_name_and_not_by_place(tmp_path):
    graphic = '<graphic position="float" xlink:href="a.jpg"/>'
    body = fig("<caption><p>A.</p></caption>", graphic=graphic)
    assert figures_of(body)[0].graphics == ("a.jpg",)
    assert pubmed_parsers(body, tmp_path)[0]["graphic_ref"] == "float"


def test_06_a_bare_or_undeclared_href_counts_too():
    for document in (
        article_of(fig("", graphic='<graphic href="a.jpg"/>')),
        article_of(fig("")).replace(XLINK.encode(), b""),
    ):
        assert parse_article(document).figures[0].graphics == ("a.jpg",)


def test_07_title_and_every_paragraph_of_a_caption_are_read():
    inner = "<title>Lungs.</title><p>At rest.</p><p>At work.</p>"
    assert caption_of(inner) == "Lungs. At rest. At work."


def test_08_inline_elements_are_neither_glued_nor_spaced(tmp_path):
    inner = "<p>Growth of <italic>E. coli</italic> in H<sub>2</sub>O (<bold>a</bold>, b).</p>"
    assert caption_of(inner) == "Growth of E. coli in H2O (a, b)."


def test_09_a_list_item_without_label_is_read(tmp_path):
    items = "<list-item><p>left</p></list-item><list-item><label>2.</label><p>right</p></list-item>"
    inner = f"<p>Seen from:</p><list>{items}</list>"
    assert caption_of(inner) == "Seen from: left 2. right"
    with pytest.raises(AttributeError):
        pubmed_parsers(fig(f"<caption>{inner}</caption>"), tmp_path)


def test_10_a_group_shares_its_caption_and_each_figure_keeps_its_own(tmp_path):
    members = fig("<caption><p>Left.</p></caption>") + fig("", id="F2")
    group = f'<fig-group id="G"><caption><p>Both eyes.</p></caption>{members}</fig-group>'
    first, second = figures_of(group)
    assert (first.caption, first.group_caption) == ("Left.", "Both eyes.")
    assert (second.caption, second.group_caption) == ("", "Both eyes.")
    assert "Both eyes." not in str(pubmed_parsers(group, tmp_path))


def test_10_pictures_that_stand_in_a_group_itself_are_a_figure():
    group = (
        '<fig-group id="G"><label>Fig. 3</label><caption><p>Eyes.</p></caption>'
        '<graphic xlink:href="a.jpg"/><graphic xlink:href="b.jpg"/></fig-group>'
    )
    (figure,) = figures_of(group)
    assert (figure.figure_id, figure.caption) == ("G", "Eyes.")
    assert figure.graphics == ("a.jpg", "b.jpg")


def test_11_a_default_namespace_hides_no_figure(tmp_path):
    body = fig("<caption><p>A.</p></caption>")
    namespace = 'xmlns="https://jats.nlm.nih.gov/ns/archiving/1.4/"'
    article = parse_article(article_of(body, attributes=namespace))
    assert [figure.caption for figure in article.figures] == ["A."]
    assert article.pmcid == "PMC12"
    assert pubmed_parsers(body, tmp_path, name="a.xml", attributes=namespace) is None


def test_12_new_ids_are_read(tmp_path):
    article = parse_article(article_of(fig("<caption><p>A.</p></caption>")))
    assert (article.pmcid, article.version, article.pmid) == ("PMC12", 3, 34)
    theirs = pubmed_parsers(fig("<caption><p>A.</p></caption>"), tmp_path)
    assert theirs[0]["pmc"] == ""


def test_12_old_ids_are_read():
    article = parse_article(article_of("", ids='<article-id pub-id-type="pmc">12</article-id>'))
    assert (article.pmcid, article.version) == ("PMC12", 1)


def test_13_an_article_without_pmid_has_none(tmp_path):
    ids = '<article-id pub-id-type="pmcid">PMC12</article-id>'
    body = fig("<caption><p>A.</p></caption>")
    assert parse_article(article_of(body, ids=ids)).pmid is None
    assert pubmed_parsers(body, tmp_path, ids=ids)[0]["pmid"] == ""


def test_14_an_entity_of_a_dtd_that_is_not_there_loses_no_article(tmp_path):
    body = fig("<caption><p>TNF&alpha; &gt; 1 &AElig;; &nosuchname; stays.</p></caption>")
    (figure,) = figures_of(body)
    assert figure.caption == "TNFα > 1 Æ; &nosuchname; stays."
    with pytest.raises(etree.XMLSyntaxError):
        pubmed_parsers(body, tmp_path)


def test_15_figures_of_a_sub_article_name_their_owner():
    document = article_of(fig("<caption><p>Ours.</p></caption>")).replace(
        b"</article>",
        b'<sub-article id="S1" article-type="reply"><body>'
        + fig("<caption><p>Theirs.</p></caption>", id="SF1").encode()
        + b"</body></sub-article><response><body>"
        + fig("<caption><p>Answer.</p></caption>", id="RF1").encode()
        + b"</body></response></article>",
    )
    owners = {figure.caption: figure.owner for figure in parse_article(document).figures}
    assert owners == {"Ours.": "", "Theirs.": "S1", "Answer.": "response-1"}


def test_16_deeply_nested_text_is_read(tmp_path):
    inner = "<p>The gene <bold><italic><sc>BRCA</sc>1</italic></bold> alone.</p>"
    assert caption_of(inner) == "The gene BRCA1 alone."
    (theirs,) = pubmed_parsers(fig(f"<caption>{inner}</caption>"), tmp_path)
    assert "BRCA1" not in theirs["fig_caption"]


def test_17_a_graphic_in_a_paragraph_is_read(tmp_path):
    body = fig("<caption><p>A.</p></caption>", graphic='<p><graphic xlink:href="a.jpg"/></p>')
    assert figures_of(body)[0].graphics == ("a.jpg",)
    assert pubmed_parsers(body, tmp_path)[0]["graphic_ref"] is None


def test_18_a_graphic_without_href_is_none(tmp_path):
    body = fig("<caption><p>A.</p></caption>", graphic='<graphic id="g1" position="float"/>')
    assert figures_of(body)[0].graphics == ()
    assert pubmed_parsers(body, tmp_path)[0]["graphic_ref"] == "g1"


def test_19_comments_and_processing_instructions_do_not_show(tmp_path):
    inner = "<p>Before<!-- hidden --> and<?page 3?> after.</p>"
    assert caption_of(inner) == "Before and after."
    assert (
        "hidden" in pubmed_parsers(fig(f"<caption>{inner}</caption>"), tmp_path)[0]["fig_caption"]
    )


def test_20_bare_text_in_a_caption_is_read(tmp_path):
    assert caption_of("Bare words.") == "Bare words."
    theirs = pubmed_parsers(fig("<caption>Bare words.</caption>"), tmp_path)
    assert theirs[0]["fig_caption"] == ""


def test_21_schemes_boxes_and_tables_as_images_are_figures_of_their_kind(tmp_path):
    words = "<caption><p>{}</p></caption>"
    picture = '<graphic xlink:href="{}.jpg"/>'
    body = (
        f'<chem-struct-wrap id="c">{words.format("Scheme.")}{picture.format("c")}'
        f'</chem-struct-wrap><boxed-text id="b">{words.format("Box.")}'
        f"<sec><p>{picture.format('b')}</p></sec></boxed-text>"
        f'<table-wrap id="t">{words.format("Table.")}<alternatives>{picture.format("t")}'
        f"<table><tr><td>1</td></tr></table></alternatives></table-wrap>"
        f'<table-wrap id="plain">{words.format("No image.")}<table><tr><td>1</td></tr></table>'
        f"</table-wrap>"
    )
    found = [(f.kind, f.figure_id, f.caption, f.graphics) for f in figures_of(body)]
    assert found == [
        ("scheme", "c", "Scheme.", ("c.jpg",)),
        ("boxed", "b", "Box.", ("b.jpg",)),
        ("table", "t", "Table.", ("t.jpg",)),
    ]
    assert pubmed_parsers(body, tmp_path) is None


def test_21_a_figure_in_a_box_is_not_the_boxs_own():
    body = f'<boxed-text id="b"><caption><p>Box.</p></caption>{fig("")}</boxed-text>'
    assert [(f.kind, f.figure_id) for f in figures_of(body)] == [("fig", "F1")]


def test_21_pages_of_a_table_are_all_kept_and_their_thumbnails_are_not():
    names = ("t1a.jpg", "t1a.gif", "t1b.jpg", "t1b.gif")
    pages = "".join(f'<graphic xlink:href="{name}"/>' for name in names)
    body = f'<table-wrap id="t"><alternatives><table/>{pages}</alternatives></table-wrap>'
    assert figures_of(body)[0].graphics == ("t1a.jpg", "t1b.jpg")


def test_21_signs_in_cells_and_formulas_are_no_pictures_of_the_figure():
    formula = (
        "<p>Here <inline-formula><alternatives><inline-graphic xlink:href='i.gif'/>"
        "<graphic xlink:href='g.gif'/></alternatives></inline-formula>"
        "<disp-formula><graphic xlink:href='e.gif'/></disp-formula></p>"
    )
    (figure,) = figures_of(fig(f"<caption>{formula}</caption>"))
    assert figure.graphics == ("a.jpg",)
    cell = '<table-wrap><table><tr><td><graphic xlink:href="s.gif"/></td></tr></table></table-wrap>'
    assert figures_of(cell) == ()


TEX = (
    r"\documentclass[12pt]{minimal} \usepackage{amsmath} \begin{document}"
    r"$$x^{2} \alpha$$\end{document}"
)
MATH = (
    "<mml:math><mml:msup><mml:mn>10</mml:mn>"
    "<mml:mrow><mml:mo>-</mml:mo><mml:mn>3</mml:mn></mml:mrow></mml:msup></mml:math>"
)


def test_22_a_formula_is_read_once_and_readably(tmp_path):
    both = f"<tex-math>{TEX}</tex-math>{MATH}<inline-graphic xlink:href='e.gif'/>"
    formula = f"<inline-formula><alternatives>{both}</alternatives></inline-formula>"
    inner = f"<p>At {formula} mol.</p>"
    assert caption_of(inner) == "At 10^-3 mol."
    only_tex = f"<p>Where <inline-formula><tex-math>{TEX}</tex-math></inline-formula> holds.</p>"
    assert caption_of(only_tex) == r"Where x^{2} \alpha holds."
    (theirs,) = pubmed_parsers(fig(f"<caption>{inner}</caption>"), tmp_path)
    assert "10" not in theirs["fig_caption"]


def test_23_alternative_text_and_the_figures_own_rights_are_read():
    said = (
        "<alt-text>A scan.</alt-text><long-desc>Of a lung.</long-desc>"
        "<permissions><copyright-holder>J. Doe</copyright-holder>"
        '<license xlink:href="http://creativecommons.org/licenses/by-nc/3.0/"><license-p>x</license-p>'
        "</license></permissions><attrib>Courtesy of J. Doe.</attrib>"
    )
    (figure,) = figures_of(fig("<caption><p>A.</p></caption>", graphic=said))
    assert figure.alt_text == "A scan. Of a lung."
    assert figure.license == "CC BY-NC"
    assert figure.attribution == "J. Doe; Courtesy of J. Doe."
    assert figure.caption == "A."
