import pubmed_parser
import pytest
from lxml import etree

from figclip.jats import metadata
from figclip.jats.licenses import license_code
from figclip.jats.metadata import article_metadata

LEGACY = """
<article article-type="case-report"><front><journal-meta><journal-title-group>
<journal-title>Microbial Cell Factories</journal-title></journal-title-group></journal-meta>
<article-meta><article-id pub-id-type="pmc">3003633</article-id>
<article-id pub-id-type="pmid">21092203</article-id>
<article-id pub-id-type="doi">10.1186/1475-2859-9-89</article-id>
<title-group><article-title>Traits of <italic>C. saccharolyticus</italic>: a factory</article-title>
<subtitle>Part 1</subtitle></title-group>
<pub-date pub-type="ppub"><year>2011</year></pub-date>
<pub-date pub-type="epub"><day>22</day><year>2010</year></pub-date>
<permissions><license xlink:href="http://creativecommons.org/licenses/by/2.0"
 xmlns:xlink="http://www.w3.org/1999/xlink"><license-p>Open</license-p></license></permissions>
</article-meta></front>
<sub-article><front-stub><title-group><article-title>Not this</article-title></title-group>
</front-stub></sub-article></article>
"""


def element(xml: str) -> etree._Element:
    return etree.fromstring(xml)


def test_a_legacy_article_reads_as_pubmed_parser_reads_it():
    read = article_metadata(element(LEGACY))
    theirs = pubmed_parser.parse_pubmed_xml(LEGACY.encode())
    assert (read.pmcid, read.version) == (f"PMC{theirs['pmc']}", 1)
    assert (str(read.pmid), read.doi) == (theirs["pmid"], theirs["doi"])
    assert read.journal == theirs["journal"]


def test_what_a_legacy_article_hides_is_asked_of_pubmed_parser(monkeypatch):
    documents = []

    def theirs(path, **kwargs):
        documents.append(path.getvalue())
        return {"pmid": "77", "doi": "10.1/x", "full_title": "Theirs", "publication_year": 1999}

    monkeypatch.setattr(metadata.pubmed_parser, "parse_pubmed_xml", theirs)
    bare = LEGACY.replace("pub-date", "other-date").replace("title-group", "other-group")
    read = article_metadata(element(bare))
    assert (read.pmid, read.title, read.date) == (21092203, "Theirs", "1999")
    assert len(documents) == 1
    assert b"Not this" not in documents[0]


def test_pubmed_parser_is_not_asked_for_what_we_read_ourselves(monkeypatch):
    monkeypatch.setattr(metadata.pubmed_parser, "parse_pubmed_xml", None)
    new = LEGACY.replace('"pmc">3003633', '"pmcid">PMC3003633')
    for xml in (LEGACY, new, new.replace("pub-date", "other-date")):
        assert article_metadata(element(xml)).pmcid == "PMC3003633"


def test_the_title_reads_as_printed_and_the_date_is_the_earliest():
    read = article_metadata(element(LEGACY))
    assert read.title == "Traits of C. saccharolyticus: a factory Part 1"
    assert (read.date, read.article_type, read.license) == ("2010", "case-report", "CC BY")


def test_where_pubmed_parser_raises_our_reading_stands():
    silent = LEGACY.replace("pub-date", "other-date")
    read = article_metadata(element(silent))
    assert (read.pmid, read.date) == (21092203, "")
    with pytest.raises(KeyError):
        pubmed_parser.parse_pubmed_xml(silent.encode())


@pytest.mark.parametrize(
    ("stated", "pmid"),
    [
        ("21092203", 21092203),
        ("0021", 21),
        ("9" * 12, 10**12 - 1),
        ("9" * 13, None),
        ("9" * 30, None),
        ("9" * 5000, None),
        ("0", None),
        ("", None),
        ("-5", None),
        ("²", None),
        ("٣", None),
    ],
)
def test_a_pmid_is_a_number_of_a_sane_length_or_none(stated, pmid):
    legacy = LEGACY.replace("21092203", stated)
    for xml in (legacy, legacy.replace('"pmc">3003633', '"pmcid">PMC3003633')):
        assert article_metadata(element(xml)).pmid == pmid


@pytest.mark.parametrize(
    ("stated", "version"),
    [("2", 2), ("9" * 9, 10**9 - 1), ("9" * 10, 1), ("9" * 5000, 1), ("0", 1), ("²", 1), ("x", 1)],
)
def test_a_version_is_a_number_of_a_sane_length_or_the_first(stated, version):
    for words in (
        f'<article-id pub-id-type="pmcid-ver">PMC1.{stated}</article-id>',
        f'<article-version article-version-type="pmc-version">{stated}</article-version>',
    ):
        xml = f"<article><front><article-meta>{words}</article-meta></front></article>"
        assert article_metadata(element(xml)).version == version


@pytest.mark.parametrize("stated", ["9" * 5000, "20111", "0", "MMXI", 10**29, 99_999])
def test_a_year_that_is_none_is_not_taken_from_anyone(stated, monkeypatch):
    own = LEGACY.replace("2011", str(stated)).replace("2010", str(stated))
    assert article_metadata(element(own)).date == ""
    reading = {"publication_year": stated}
    monkeypatch.setattr(metadata.pubmed_parser, "parse_pubmed_xml", lambda *_, **__: reading)
    assert article_metadata(element(own)).date == ""


def test_an_article_that_says_nothing_has_nothing():
    read = article_metadata(element("<article><body/></article>"))
    assert (read.pmcid, read.pmid, read.doi, read.title, read.date) == ("", None, None, "", "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("http://creativecommons.org/licenses/by/4.0/", "CC BY"),
        ("https://creativecommons.org/licenses/by-nc-nd/4.0", "CC BY-NC-ND"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0"),
        ("ccbylicense", "CC BY"),
        ("ccbyncsalicense", "CC BY-NC-SA"),
        ("ccbyndlicense", "CC BY-ND"),
        ("cc0license", "CC0"),
        ("CC BY", "CC BY"),
        ("CC-BY-NC 4.0", "CC BY-NC"),
        ("under the Creative Commons Attribution License (CC BY).", "CC BY"),
        ("under the terms of the Creative Commons Attribution License, which permits", "CC BY"),
        ("Creative Commons Attribution-NonCommercial-NoDerivs License", "CC BY-NC-ND"),
        ("Creative Commons Attribution Non-Commercial License", "CC BY-NC"),
        ("Creative Commons Attribution–ShareAlike 3.0", "CC BY-SA"),
        ("the Creative Commons CC0 public domain dedication", "CC0"),
        ("All rights reserved.", ""),
        ("Access by subscription; accc by", ""),
    ],
)
def test_a_licence_has_one_code_however_it_is_named(words, code):
    assert license_code(words) == code


XMLNS = (
    'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:ali="http://www.niso.org/schemas/ali/1.0/"'
)
CC = "http://creativecommons.org/licenses"
CUSTOM = (
    "<custom-meta-group><custom-meta><meta-name>pmc-license-ref</meta-name>"
    "<meta-value>CC BY-ND</meta-value></custom-meta></custom-meta-group>"
)


@pytest.mark.parametrize(
    ("permissions", "custom", "code"),
    [
        ('<ali:license_ref content-type="ccbynclicense">x</ali:license_ref>', "", "CC BY-NC"),
        (f"<license><ali:license_ref>{CC}/by-sa/4.0/</ali:license_ref></license>", "", "CC BY-SA"),
        (
            f'<license><p><ext-link xlink:href="{CC}/by/4.0/">it</ext-link></p></license>',
            "",
            "CC BY",
        ),
        ("<license><p>Creative Commons Attribution License</p></license>", "", "CC BY"),
        ("<copyright-statement>Public, CC0</copyright-statement>", "", "CC0"),
        ("", CUSTOM, "CC BY-ND"),
        ("", "", ""),
    ],
)
def test_an_articles_licence_is_found_wherever_it_is_stated(permissions, custom, code):
    meta = f"<article-meta><permissions>{permissions}</permissions>{custom}</article-meta>"
    read = article_metadata(element(f"<article {XMLNS}><front>{meta}</front></article>"))
    assert read.license == code
