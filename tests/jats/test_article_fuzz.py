"""Damaged and hostile documents: an article, or a reason; no crash, no hang, no full memory."""

import json
import subprocess
import sys
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import MUTATIONS, Mutation

from figclip.jats.article import JatsError, parse_article
from figclip.schema import Article
from figclip.sources.synthetic.articles import (
    FigureElement,
    FigureGroup,
    Manuscript,
    Section,
    article_xml,
)

REASONS = {"malformed_xml", "unsafe_xml", "huge_xml", "no_article"}
LONGEST_S = 5.0
MOST_BYTES = 1e9

MATH = (
    "<inline-formula><mml:math><mml:mfrac><mml:mi>a</mml:mi><mml:msup><mml:mn>10</mml:mn>"
    "<mml:mn>3</mml:mn></mml:msup></mml:mfrac></mml:math></inline-formula>"
)


def figure(n: int, *, hrefs: int = 1, **fields) -> FigureElement:
    caption = (f"Lungs of <italic>mice</italic> {n}.", f"(A) At {MATH} h. (B) Later, ×2\u2009µm.")
    names = tuple((f"g{n}-{m}.jpg", f"g{n}-{m}.tif") for m in range(hrefs))
    return FigureElement(f"F{n}", f"Figure {n}", caption, names, **fields)


def manuscript(form: str, n: int) -> bytes:
    """A small article with all that figures come with."""
    said = (
        'See <xref ref-type="fig" rid="F1">Fig. 1A</xref> and <xref rid="F2 F3">2–3</xref>.',
        "<list><list-item><p>one</p></list-item></list>",
    )
    figures = (
        figure(1, hrefs=2, permissions="Licensed under CC BY-NC 4.0."),
        FigureGroup("Both <bold>eyes</bold>.", (figure(2), figure(3, in_paragraph=True))),
        FigureElement("", "", (), (("bare.gif",),)),
    )
    inner = Section("Mice", said, (figure(4, permissions="By permission."),))
    article = Manuscript(
        f"PMC{n}7", 2, 123 + n, f"10.1/x{n}", "On <italic>mice</italic>", ("Nature", "Nat", "1-2"),
        2010 + n, (("Doe", "J"),), "research-article", "CC BY", False, True, "We saw mice.",
        (Section("Results", said, figures, (inner,)), Section("", ("None.",))), (figure(5),), form,
    )  # fmt: skip
    return article_xml(article)


@lru_cache(maxsize=1)
def seeds(shared: Path) -> tuple[bytes, ...]:
    """Invented articles in each form, and, where they are at hand, real ones: the smaller ones."""
    invented = [
        manuscript(form, n) for n, form in enumerate(("plain", "article_set", "namespaced"))
    ]
    paths = sorted(shared.glob("pmc-xml/*.*xml"), key=lambda path: (path.stat().st_size, path.name))
    return (*invented, *(path.read_bytes() for path in paths[:40]))


@pytest.fixture(scope="module")
def documents(request) -> tuple[bytes, ...]:
    return seeds(Path(request.config.getoption("--shared")).resolve())


def assert_fits(article: Article) -> None:
    """Every word is Unicode that a file and a column can hold, every figure has its own name."""
    words = [article.pmcid, article.doi or "", article.title, article.journal, article.date]
    words += [article.article_type, article.license]
    for item in article.figures:
        words += [item.figure_id, item.label, item.caption, item.group_caption, item.alt_text]
        words += [item.license, item.attribution, item.owner, *item.graphics, *item.section]
        words += [
            part for said in item.mentions for part in (said.text, said.anchor, *said.section)
        ]
    column = pa.array(words, pa.string())
    column.validate(full=True)
    assert column.to_pylist() == words
    assert [word.encode("utf-8").decode("utf-8") for word in words] == words
    pa.array([article.pmid], pa.int64())
    assert pa.array([article.version], pa.int32())[0].as_py() >= 1
    ids = [item.figure_id for item in article.figures]
    assert "" not in ids
    assert len(set(ids)) == len(ids)


def outcome(xml: bytes) -> str:
    """`article`, or the reason why it is none."""
    start = time.process_time()
    try:
        came: Article | JatsError = parse_article(xml)
    except JatsError as error:
        came = error
    assert time.process_time() - start < LONGEST_S
    if isinstance(came, Article):
        assert_fits(came)
        return "article"
    assert came.reason in REASONS
    assert came.detail
    return came.reason


damages = st.lists(
    st.tuples(st.sampled_from(MUTATIONS), st.integers(0, 2**32)), min_size=1, max_size=4
)
anything = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def damaged(xml: bytes, damage: list[tuple[Mutation, int]]) -> bytes:
    for mutation, chance in damage:
        xml = mutation(xml, Random(chance))
    return xml


@given(n=st.integers(0, 1000), damage=damages)
@settings(anything, max_examples=300)
def test_a_damaged_document_gives_an_article_or_a_reason(documents, n, damage):
    outcome(damaged(documents[n % len(documents)], damage))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_10_000_damaged_documents_give_articles_or_reasons(documents):
    outcomes: Counter[str] = Counter()

    @given(n=st.integers(0, 1000), damage=damages)
    @settings(anything, max_examples=10_000)
    def count(n, damage):
        outcomes[outcome(damaged(documents[n % len(documents)], damage))] += 1

    count()
    print(outcomes)
    assert outcomes.total() >= 10_000
    assert {"article", "malformed_xml", "unsafe_xml", "no_article"} <= set(outcomes)
    assert set(outcomes) <= REASONS | {"article"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_kind_of_damage_damages(mutation):
    whole = manuscript("plain", 1)
    assert sum(mutation(whole, Random(n)) != whole for n in range(20)) > 10


def test_an_undamaged_seed_gives_its_figures():
    for form in ("plain", "article_set", "namespaced"):
        article = parse_article(manuscript(form, 1))
        assert_fits(article)
        assert [f.figure_id for f in article.figures] == ["F1", "F2", "F3", "fig-4", "F4", "F5"]
        assert article.figures[0].license == "CC BY-NC"
        assert article.figures[4].license == "By permission."
        assert [len(f.mentions) for f in article.figures] == [2, 2, 2, 0, 0, 0]


def judged(scale: float) -> dict[str, list]:
    """What comes of every hostile document at a scale, in a process of their own."""
    program = Path(__file__).with_name("hostile_xml.py")
    ran = subprocess.run(
        [sys.executable, str(program), str(scale)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    for name, (came, seconds, peak_bytes) in found.items():
        assert came in REASONS | {"article"}, name
        assert seconds < LONGEST_S, (name, seconds)
        assert peak_bytes < MOST_BYTES, (name, peak_bytes)
    return found


def test_hostile_documents_neither_hang_nor_fill_the_memory():
    assert len(judged(0.004)) > 70


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_hostile_documents_of_50_mb_neither_hang_nor_fill_the_memory():
    found = {name: came for name, (came, _, _) in judged(1.0).items()}
    assert found["text"] == "article"
    assert found["tower"] == "unsafe_xml"
    assert found["billion laughs"] == "unsafe_xml"
    assert found["many figures"] == "huge_xml"
    assert set(found.values()) == {"article", "malformed_xml", "unsafe_xml", "huge_xml"}


@pytest.mark.parametrize(
    "sign", [b"&#xD800;", b"&#xDFFF;", b"\xed\xa0\x80", b"\xff", b"\0", b"&#0;", b"&#xFFFF;"]
)
def test_no_sign_that_is_no_unicode_gets_in(sign):
    for xml in (b"<article><fig><label>%s</label></fig></article>",):
        with pytest.raises(JatsError) as caught:
            parse_article(xml % sign)
        assert caught.value.reason == "malformed_xml"
    surrogate = "<article>\ud800</article>".encode("utf-16-le", "surrogatepass")
    with pytest.raises(JatsError, match="malformed_xml"):
        parse_article(b"\xff\xfe" + surrogate)
