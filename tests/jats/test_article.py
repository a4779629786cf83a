import pytest

from figclip.jats.article import JatsError, parse_article

HEAD = '<article xmlns:xlink="http://www.w3.org/1999/xlink">'


def body_of(inner: str, *, before: str = "") -> bytes:
    return f"{before}{HEAD}<body>{inner}</body></article>".encode()


def caption(inner: str, *, before: str = "") -> str:
    xml = body_of(f"<fig><caption><p>{inner}</p></caption></fig>", before=before)
    return parse_article(xml).figures[0].caption


def reason(xml: bytes) -> str:
    with pytest.raises(JatsError) as caught:
        parse_article(xml)
    assert str(caught.value).startswith(caught.value.reason)
    return caught.value.reason


def test_no_break_and_thin_spaces_stay_and_other_white_space_folds():
    assert caption("5\u00a0µm,\n\t 3\u2009× 10\u207b³  ≥ 2") == "5\u00a0µm, 3\u2009× 10\u207b³ ≥ 2"


def test_blocks_inside_a_caption_are_set_apart():
    inner = "Steps:<list><list-item><p>one</p></list-item><list-item><p>two</p></list-item></list>"
    assert caption(inner) == "Steps: one two"
    assert caption("line<break/>line") == "line line"


def test_a_figure_inside_a_figure_keeps_its_caption_and_picture_to_itself():
    xml = body_of(
        '<fig id="a"><caption><p>Outer.</p></caption><graphic xlink:href="a"/>'
        '<p><fig id="b"><caption><p>Inner.</p></caption><graphic xlink:href="b"/></fig></p></fig>'
    )
    found = [(f.figure_id, f.caption, f.graphics) for f in parse_article(xml).figures]
    assert found == [("a", "Outer.", ("a",)), ("b", "Inner.", ("b",))]


def test_figures_after_the_text_count_and_sections_are_named_from_the_outermost():
    xml = (
        f"{HEAD}<body><sec><title>Results</title><sec><title>Of <italic>E. coli</italic></title>"
        '<fig id="a"/></sec></sec></body><floats-group><fig id="b"/></floats-group></article>'
    ).encode()
    found = [(f.figure_id, f.section) for f in parse_article(xml).figures]
    assert found == [("a", ("Results", "Of E. coli")), ("b", ())]


def test_a_mention_is_the_paragraph_its_section_and_the_words_of_the_link():
    xml = body_of(
        "<sec><title>Results</title><p>As <xref ref-type='fig' rid='F1 F2'>Figs 1A and 2</xref> "
        "show<fig id='F1'><caption><p>See <xref rid='F1'>here</xref>.</p></caption></fig>, it "
        "grows.</p></sec><fig id='F2'/><p>Nothing of <xref rid='F9'>that</xref>.</p>"
    )
    first, second = parse_article(xml).figures
    (mention,) = first.mentions
    assert mention.text == "As Figs 1A and 2 show , it grows."
    assert (mention.section, mention.anchor) == (("Results",), "Figs 1A and 2")
    assert second.mentions == (mention,)


def test_a_link_means_the_figure_of_its_own_part_where_an_id_is_used_twice():
    part = "<p>{} <xref rid='F1'>1</xref></p><fig id='F1'/>"
    xml = (
        f"{HEAD}<body>{part.format('ours')}</body><sub-article id='S'><body>"
        f"{part.format('theirs')}</body></sub-article></article>"
    ).encode()
    said = [[mention.text for mention in figure.mentions] for figure in parse_article(xml).figures]
    assert said == [["ours 1"], ["theirs 1"]]


def test_a_link_to_a_group_speaks_of_each_of_its_figures():
    xml = body_of("<p><xref rid='G'>2</xref></p><fig-group id='G'><fig/><fig/></fig-group>")
    assert [len(figure.mentions) for figure in parse_article(xml).figures] == [1, 1]


@pytest.mark.parametrize("wrapper", ["pmc-articleset", "OAI-PMH"])
def test_the_first_article_is_found_in_any_wrapper(wrapper):
    xml = f"<{wrapper}>{HEAD}<body><fig/></body></article>{HEAD}</article></{wrapper}>".encode()
    assert len(parse_article(xml).figures) == 1


def test_what_holds_no_article_is_refused():
    assert reason(b"<pmc-articleset><Reply error='no such id'/></pmc-articleset>") == "no_article"


@pytest.mark.parametrize(
    "xml", [b"", b"not XML", b"<article><body></article>", b"<!DOCTYPE article ["]
)
def test_broken_xml_is_refused(xml):
    assert reason(xml) == "malformed_xml"


def test_an_entity_bomb_is_refused():
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE article [<!ENTITY l0 "ha">{laughs}]>'
    assert reason(body_of("&l9;", before=bomb)) == "unsafe_xml"


def test_a_quadratic_bomb_is_refused():
    bomb = f'<!DOCTYPE article [<!ENTITY a "{"x" * 50_000}">]>'
    assert reason(body_of("&a;" * 50_000, before=bomb)) == "unsafe_xml"


@pytest.mark.parametrize(
    "location", ['SYSTEM "file:///etc/hostname"', 'PUBLIC "x" "http://x.test/y"']
)
def test_an_external_entity_is_refused(location):
    assert reason(body_of("&e;", before=f"<!DOCTYPE article [<!ENTITY e {location}>]>")) == (
        "unsafe_xml"
    )


def test_a_tower_of_elements_is_refused():
    assert reason(body_of("<sec>" * 100_000 + "</sec>" * 100_000)) == "unsafe_xml"


def test_a_document_type_is_never_loaded(tmp_path):
    dtd = tmp_path / "a.dtd"
    dtd.write_text('<!ENTITY alpha "loaded">')
    for subset in ("", "[<!-- it's > here ] --><?x ]>?>]"):
        doctype = f'<!DOCTYPE article SYSTEM "{dtd}" {subset}>'
        before = f'<?xml version="1.0"?>\n<!-- <!DOCTYPE a> -->{doctype}'
        assert caption("&alpha;", before=before) == "α"


def test_plain_abbreviations_of_the_document_itself_are_read():
    doctype = '<!DOCTYPE article [<!ENTITY co "A &amp; B"><!ENTITY pic SYSTEM "p.gif" NDATA gif>]>'
    assert caption("by &co;.", before=doctype) == "by A & B."


def test_entities_in_attributes_and_in_literal_sections():
    xml = body_of('<fig id="&alpha;"><caption><![CDATA[&alpha; <p>]]></caption></fig>')
    (figure,) = parse_article(xml).figures
    assert (figure.figure_id, figure.caption) == ("α", "&alpha; <p>")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_any_encoding_gives_the_same_words(encoding):
    declared = encoding.removesuffix("-sig")
    inner = "<fig><label>Zürich &beta;</label></fig>"
    xml = body_of(inner, before=f'<?xml version="1.0" encoding="{declared}"?>').decode()
    assert parse_article(xml.encode(encoding)).figures[0].label == "Zürich β"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        "<![CDATA[" * 100_000,
        '<!DOCTYPE article ["' + "<!--" * 100_000,
        "<!DOCTYPE article [" + "<!--" * 100_000 + "]>",
        "<!DOCTYPE article [" + "<!ENTITY a SYSTEM " * 100_000 + "]>",
        "<!-- " * 100_000,
        "&a" * 200_000,
    ],
)
def test_what_never_ends_is_refused_at_once(text):
    assert reason(text.encode() + body_of("")) in ("malformed_xml", "unsafe_xml")


def test_the_rights_of_a_group_are_those_of_its_figures_that_state_none():
    own = "<permissions><license><license-p>By permission of X.</license-p></license></permissions>"
    group = "<attrib>From Y.</attrib><permissions><license><p>CC BY-NC</p></license></permissions>"
    xml = body_of(f"<fig-group>{group}<fig>{own}</fig><fig/></fig-group><fig/>")
    found = [(figure.license, figure.attribution) for figure in parse_article(xml).figures]
    assert found == [("By permission of X.", "From Y."), ("CC BY-NC", "From Y."), ("", "")]


def test_answers_without_id_are_told_apart_wherever_they_stand():
    answer = "<response><fig/></response>"
    xml = body_of("").replace(
        b"</article>",
        f"<sub-article>{answer}{answer}</sub-article>{answer}</article>".encode(),
    )
    owners = [figure.owner for figure in parse_article(xml).figures]
    assert owners == ["sub-article-1/response-1", "sub-article-1/response-2", "response-1"]


def test_a_truncated_document_is_refused_however_many_prefixes_it_lacks():
    whole = b"<article>" + b'<fig><graphic xlink:href="a"/></fig>' * 200 + b"</article>"
    assert len(parse_article(whole).figures) == 200
    assert reason(whole[:-15]) == "malformed_xml"
    assert reason(b"<article>" + b"".join(b"<x%d:a/>" % n for n in range(5000))) == "malformed_xml"


def test_an_article_within_a_part_of_another_is_read_by_itself():
    fig = '<fig id="F1"><caption><p>A lung.</p></caption></fig>'
    inner = f"<article><body>{fig}<sub-article>{fig}</sub-article></body></article>"
    xml = f"<set><sub-article><response>{inner}</response></sub-article></set>"
    figures = parse_article(xml.encode()).figures
    assert [figure.owner for figure in figures] == ["", "sub-article-1"]
