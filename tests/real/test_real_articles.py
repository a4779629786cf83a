"""The parser on real articles of many publishers, beside an independent reading of their XML."""

import csv
import re
import tarfile
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pubmed_parser
import pytest

from figclip.corpus.figures import resolve_media
from figclip.corpus.jats import parse_article
from figclip.schema import Article

pytestmark = pytest.mark.real

FORMULAS = {"math", "tex-math", "inline-formula", "disp-formula"}


@pytest.fixture(scope="module")
def articles(shared_folder) -> dict[str, Article]:
    """File name → article of every real XML."""
    paths = sorted(shared_folder("pmc-xml").glob("*.*xml"))
    return {path.name: parse_article(path.read_bytes()) for path in paths}


def local(element) -> str:
    return element.tag.rpartition("}")[2]


def squeezed(text: str) -> str:
    """Without white space: what a fold may change."""
    return re.sub(r"\s+", "", text)


def independent_captions(xml: bytes) -> list[tuple[str, list[str]]]:
    """`(id, caption)` of every `<fig>` by the standard library, the caption cut at its formulas."""
    return [
        (fig.get("id"), pieces_between_formulas([c for c in fig if local(c) == "caption"]))
        for fig in ElementTree.fromstring(xml).iter()
        if local(fig) == "fig"
    ]


def pieces_between_formulas(elements) -> list[str]:
    """The text of the elements without white space: n formulas cut it into n + 1 pieces."""
    pieces = [""]

    def walk(element) -> None:
        if local(element) in FORMULAS:
            pieces.append("")
        else:
            pieces[-1] += element.text or ""
            for child in element:
                walk(child)
                pieces[-1] += child.tail or ""

    for element in elements:
        walk(element)
    return [squeezed(piece) for piece in pieces]


def reads_as(caption: str, pieces: list[str]) -> bool:
    """Whether a caption is these pieces in their order, with some formula between any two."""
    between = r"\S*?".join(map(re.escape, pieces))
    return re.fullmatch(between, squeezed(caption)) is not None


def assert_reads_alike(article: Article, xml: bytes) -> int:
    """Every figure in order, each with its own caption; gives the number of figures."""
    figures = [figure for figure in article.figures if figure.kind == "fig"]
    expected = independent_captions(xml)
    assert len(figures) == len(expected)
    for figure, (name, pieces) in zip(figures, expected, strict=True):
        assert figure.figure_id == name
        assert figure.caption == " ".join(re.split(r"[ \t\r\n]+", figure.caption)).strip(" ")
        assert reads_as(figure.caption, pieces)
        assert not re.search(r"\\(documentclass|usepackage|begin\{document)", figure.caption)
    return len(figures)


def test_every_figure_of_268_articles_has_its_own_caption_verbatim(articles, shared_folder):
    with (shared_folder("pmc-xml") / "PROVENANCE.csv").open() as table:
        stated = {row["file"]: int(row["num_figs"]) for row in csv.DictReader(table)}
    read = {
        name: assert_reads_alike(article, (shared_folder("pmc-xml") / name).read_bytes())
        for name, article in articles.items()
    }
    assert read == stated
    assert (len(read), sum(read.values())) == (268, 1607)


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
    assert assert_reads_alike(article, new.read_bytes()) == 4
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
