"""The parser on real articles of many publishers, beside an independent reading of their XML."""

import csv
import re
import tarfile
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pubmed_parser
import pytest
from plain_reading import figures_in, naive, reads_as, ruled

from figclip.corpus.media import resolve_media
from figclip.jats.article import parse_article
from figclip.schema import Article

pytestmark = pytest.mark.real

PMC_XML = {
    "the same": 1266,
    "blocks apart": 278,
    "one of the alternatives": 28,
    "formulas on a line": 22,
    "a figure inside keeps its own + blocks apart": 7,
    "blocks apart + formulas on a line": 6,
}
BUCKET = {
    "the same": 76,
    "blocks apart": 47,
    "blocks apart + formulas on a line": 9,
    "one of the alternatives": 2,
}
"""Rules → the figures whose naive reading they, and only they, change into ours."""


@pytest.fixture(scope="module")
def articles(shared_folder) -> dict[str, Article]:
    """File name → article of every real XML."""
    paths = sorted(shared_folder("pmc-xml").glob("*.*xml"))
    return {path.name: parse_article(path.read_bytes()) for path in paths}


def squeezed(text: str) -> str:
    """Without white space: what a fold may change."""
    return re.sub(r"\s+", "", text)


def explained(article: Article, xml: bytes) -> Counter[str]:
    """How often which rules, together, turn a naive reading into ours; no other difference.

    Every figure is compared: its number and place, label, caption and pictures, letter by letter.
    """
    figures = [figure for figure in article.figures if figure.kind == "fig"]
    rules: Counter[str] = Counter()
    for figure, element in zip(figures, figures_in(xml), strict=True):
        before, plain = naive(element), ruled(element)
        assert figure.label == plain.label
        assert figure.graphics == plain.graphics
        assert reads_as(figure.caption, plain.caption, plain.formulas)
        is_same = (figure.caption, figure.graphics) == (before.caption, before.graphics)
        rules["the same" if is_same else " + ".join(sorted(plain.rules))] += 1
        assert figure.figure_id == (plain.figure_id or f"fig-{1 + figures.index(figure)}")
    return rules


def test_every_figure_of_268_articles_reads_as_naively_but_for_the_rules(articles, shared_folder):
    with (shared_folder("pmc-xml") / "PROVENANCE.csv").open() as table:
        stated = {row["file"]: int(row["num_figs"]) for row in csv.DictReader(table)}
    rules = {
        name: explained(article, (shared_folder("pmc-xml") / name).read_bytes())
        for name, article in articles.items()
    }
    assert {name: found.total() for name, found in rules.items()} == stated
    assert sum(rules.values(), Counter()) == PMC_XML


def test_every_figure_of_the_bucket_reads_as_naively_but_for_the_rules(shared_folder):
    paths = sorted(shared_folder("pmc-oa-opendata").glob("PMC*/*.xml"))
    xmls = [path.read_bytes() for path in paths]
    rules = sum((explained(parse_article(xml), xml) for xml in xmls), Counter())
    assert (len(paths), rules) == (31, BUCKET)


def test_the_captions_keep_their_unicode_in_its_own_form(articles):
    signs: Counter[str] = Counter()
    for article in articles.values():
        for figure in article.figures:
            signs.update(sign for sign in figure.caption if ord(sign) > 127)
    kinds = {unicodedata.category(sign) for sign in signs}
    assert {"Ll", "Sm", "Zs", "Pd", "So"} <= kinds
    assert signs["\u00a0"] > 0
    assert signs["µ"] > 0  # the micro sign stays itself and does not become the letter mu
    assert signs["μ"] > 0


def test_nearly_every_real_figure_is_spoken_of(articles):
    mentioned = [
        bool(figure.mentions)
        for article in articles.values()
        for figure in article.figures
        if figure.kind == "fig"
    ]
    assert sum(mentioned) / len(mentioned) > 0.98


def test_the_facts_of_real_articles_agree_with_their_provenance(articles, shared_folder):
    with (shared_folder("pmc-xml") / "PROVENANCE.csv").open() as table:
        rows = list(csv.DictReader(table))
    disagreements = Counter()
    for row in rows:
        article = articles[row["file"]]
        disagreements["doi"] += bool(row["doi"]) and article.doi != row["doi"]
        disagreements["pmcid"] += bool(article.pmcid) and article.pmcid != row["pmcid"]
        disagreements["date"] += article.date == ""
        disagreements["license"] += article.license not in (row["license"].removesuffix("/PD"), "")
        disagreements["no license"] += article.license == ""
    assert disagreements["doi"] + disagreements["pmcid"] == 0
    assert disagreements["date"] == 0
    assert disagreements["license"] == 0
    assert disagreements["no license"] <= 3  # these state none


def test_the_new_form_of_an_article_reads_like_the_old(shared_folder):
    (new,) = shared_folder("efetch-xml").iterdir()
    article = parse_article(new.read_bytes())
    assert explained(article, new.read_bytes()) == {"the same": 4}
    assert (article.pmcid, article.version, article.pmid) == ("PMC12431436", 1, 40938858)
    assert (article.journal, article.license) == ("PLOS One", "CC BY")


def test_an_old_package_and_the_cloud_give_the_same_figures(shared_folder):
    with tarfile.open(shared_folder("legacy-packages") / "PMC3003633.tar.gz") as package:
        members = {member.name.rpartition("/")[2]: member for member in package.getmembers()}
        (name,) = (name for name in members if name.endswith(".nxml"))
        old_xml = package.extractfile(members[name]).read()
    folder = shared_folder("pmc-oa-opendata") / "PMC3003633.1"
    old, new = parse_article(old_xml), parse_article((folder / "PMC3003633.1.xml").read_bytes())
    assert [f.caption for f in old.figures] == [f.caption for f in new.figures]
    assert (old.pmcid, old.pmid, old.doi) == (new.pmcid, new.pmid, new.doi)
    assert (old.title, old.journal, old.date) == (new.title, new.journal, new.date)
    media = [resolve_media(figure.graphics[0], members) for figure in old.figures]
    assert media == [f"1475-2859-9-89-{n}.jpg" for n in (1, 2, 3)]


def has_words_deep_down(fig) -> bool:
    """Whether words stand two levels or more below a child of the caption (italics in bold)."""
    return any("".join(inner.itertext()).strip() for inner in fig.findall("caption/*/*/*"))


def is_subsequence(letters: str, text: str) -> bool:
    rest = iter(text)
    return all(letter in rest for letter in letters)


@pytest.mark.reference
def test_captions_agree_with_pubmed_parser_but_for_the_nested_words_that_it_drops(
    articles, shared_folder
):
    compared: Counter[str] = Counter()
    for path in sorted(shared_folder("pmc-xml").glob("PMC*.nxml"))[:40]:
        try:
            theirs = pubmed_parser.parse_pubmed_caption(str(path)) or []
        except (KeyError, AttributeError, UnboundLocalError) as error:
            compared[f"it raises {type(error).__name__}"] += 1
            continue
        ours = {figure.figure_id: figure for figure in articles[path.name].figures}
        elements = {fig.get("id"): fig for fig in ElementTree.parse(path).iter("fig")}
        for row in theirs:
            figure = ours[row["fig_id"]]
            found, own = squeezed(row["fig_caption"]), squeezed(figure.caption)
            if has_words_deep_down(elements[row["fig_id"]]):
                compared["it drops nested words"] += 1
                assert len(found) < len(own)
                assert is_subsequence(found, own)
            else:
                compared["the same"] += 1
                assert found == own
            if row["fig_label"] is not None:
                assert squeezed(row["fig_label"]) == squeezed(figure.label)
    assert compared == {"the same": 165, "it drops nested words": 27}
