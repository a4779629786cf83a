"""What articles give, whatever is wrong with them."""

from collections import Counter
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from tiny_bucket import article_xml, figure_xml, picture, write_article, write_bucket

from figclip.config import UsageError
from figclip.corpus import articles as articles_module
from figclip.corpus.articles import LARGE_BYTES, ReadArticle, read_articles
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.shards import write_shard
from figclip.sources.objects import Refused, Unreachable
from figclip.sources.source import open_source
from figclip.store import Store

ONE = figure_xml("F1", "A lung.", ["a.jpg"])
MEDIA = {"a.jpg": picture(0)}


def read(folder, version_ids, config=None) -> ReadArticle:
    """All articles of the ids, taken together."""
    source = open_source(str(folder))
    together = ReadArticle("")
    for article in read_articles(source, version_ids, config or CorpusConfig(), num_threads=2):
        for pair in article.pairs:
            together.pairs.add(pair)
        together.entries += article.entries
    return together


def rejected(found: ReadArticle) -> list:
    """Entries of what gave no pair; a version's own only where nothing else says why."""
    return [e for e in found.entries if e.state != "published" and e.reason != "no_pairs"]


def read_one(folder, xml=None, media=None, *, config=None, version="PMC1.1", **metadata):
    """Pairs, and rejections as `(figure_id, graphic, reason)`, of a bucket of one article."""
    xml = article_xml("PMC1", ONE) if xml is None else xml
    write_article(folder, version, xml, MEDIA if media is None else media, **metadata)
    found = read(folder, [version], config)
    assert [e.figure_id for e in found.entries].count("") == 1
    return list(found.pairs), [(e.figure_id, e.graphic, e.reason) for e in rejected(found)]


def test_a_good_article_gives_its_pair_and_no_rejection(tmp_path):
    (pair,), rejections = read_one(tmp_path, pmid=5, doi="10.1/x")
    assert rejections == []
    assert pair.pair_id == "PMC1.1/F1/a.jpg"
    assert (pair.caption, pair.image, pair.license) == ("A lung.", MEDIA["a.jpg"], "CC BY")
    assert (pair.pmid, pair.doi, pair.title) == (5, "10.1/x", "Article PMC1")


def test_one_bad_graphic_costs_no_other(tmp_path):
    figures = ONE + figure_xml("F2", "Four.", ["lost.jpg", "cut.jpg", "words.jpg", "b.jpg"])
    media = {**MEDIA, "cut.jpg": picture(1)[:300], "words.jpg": b"words", "b.jpg": picture(2)}
    pairs, rejections = read_one(tmp_path, article_xml("PMC1", figures), media)
    assert [pair.graphic for pair in pairs] == ["a.jpg", "b.jpg"]
    assert rejections == [
        ("F2", "lost.jpg", "missing_media"),
        ("F2", "cut.jpg", "broken_image"),
        ("F2", "words.jpg", "not_an_image"),
    ]


def test_media_that_are_not_there_or_not_as_stated_are_rejected(tmp_path):
    figures = figure_xml("F1", "Two.", ["a.jpg", "b.jpg"])
    xml = article_xml("PMC1", figures)
    write_article(tmp_path, "PMC1.1", xml, {"a.jpg": picture(0), "b.jpg": picture(1)})
    (tmp_path / "PMC1.1" / "a.jpg").unlink()
    (tmp_path / "PMC1.1" / "b.jpg").write_bytes(picture(2))
    found = read(tmp_path, ["PMC1.1"])
    assert [(e.state, e.reason) for e in rejected(found)] == [
        ("failed", "lost_media"),
        ("failed", "corrupt_media"),
    ]


def test_one_picture_for_two_figures_is_two_pairs_and_two_links_to_one_picture_are_one(tmp_path):
    figures = ONE + figure_xml("F2", "Again.", ["a.jpg", "a", "a", "figures/a.jpg"])
    pairs, rejections = read_one(tmp_path, article_xml("PMC1", figures))
    assert [pair.pair_id for pair in pairs] == ["PMC1.1/F1/a.jpg", "PMC1.1/F2/a.jpg"]
    assert rejections == [
        ("F2", "a", "repeated_graphic"),
        ("F2", "figures/a.jpg", "repeated_graphic"),
    ]


def test_figures_without_caption_or_picture_are_rejected(tmp_path):
    figures = (
        figure_xml("F1", "", ["a.jpg"]) + figure_xml("F2", "Words.", []) + ONE.replace("1", "3")
    )
    pairs, rejections = read_one(tmp_path, article_xml("PMC1", figures))
    assert [pair.figure_id for pair in pairs] == ["F3"]
    assert rejections == [("F1", "", "no_caption"), ("F2", "", "no_graphic")]


def test_a_figure_without_own_caption_takes_its_groups(tmp_path):
    group = (
        f"<fig-group><caption><p>Both.</p></caption>{figure_xml('F1', '', ['a.jpg'])}</fig-group>"
    )
    (pair,), _ = read_one(tmp_path, article_xml("PMC1", group))
    assert (pair.caption, pair.group_caption) == ("Both.", "Both.")


def test_a_caption_of_a_hundred_thousand_characters_is_rejected(tmp_path):
    xml = article_xml("PMC1", figure_xml("F1", "word " * 20_000, ["a.jpg"]))
    assert read_one(tmp_path, xml) == ([], [("F1", "", "long_caption")])


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"is_retracted": True}, "retracted"),
        ({"is_historical_ocr": True}, "historical_ocr"),
        ({"is_pmc_openaccess": False}, "not_open_access"),
        ({"license_code": "TDM"}, "license_not_allowed"),
        ({"license_code": None}, "license_not_allowed"),
        ({"pmcid": "PMC2"}, "other_article"),
        ({"xml_url": "s3://else/where.xml?md5=" + "0" * 32}, "foreign_url"),
        ({"xml_url": "s3://pmc-oa-opendata/PMC1.1/PMC1.1.xml?md5=" + "0" * 32}, "corrupt_xml"),
        ({"xml_url": "s3://pmc-oa-opendata/PMC1.1/gone.xml?md5=" + "0" * 32}, "lost_xml"),
        ({"is_retracted": "perhaps"}, "bad_json"),
    ],
)
def test_an_article_that_may_not_or_cannot_be_read_is_rejected_by_reason(
    tmp_path, metadata, reason
):
    assert read_one(tmp_path, **metadata) == ([], [("", "", reason)])


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"<article>", "malformed_xml"),
        (
            b'<!DOCTYPE article [<!ENTITY e SYSTEM "file:///x">]><article>&e;</article>',
            "unsafe_xml",
        ),
        (article_xml("PMC2", ONE), "other_article"),
        (article_xml("PMC1", ""), "no_figures"),
        (article_xml("PMC1", ONE, article_type="retraction"), "article_type"),
    ],
)
def test_an_xml_that_gives_no_pairs_is_rejected_by_reason(tmp_path, xml, reason):
    assert read_one(tmp_path, xml) == ([], [("", "", reason)])


def test_a_licence_that_only_the_xml_states_counts(tmp_path):
    stated = "<permissions><license><p>CC BY-NC</p></license></permissions></article-meta>"
    xml = article_xml("PMC1", ONE).replace(b"</article-meta>", stated.encode())
    (pair,), _ = read_one(tmp_path, xml, license_code=None)
    assert pair.license == "CC BY-NC"
    strict = CorpusConfig(licenses=("CC BY",))
    assert read_one(tmp_path, xml, license_code=None, config=strict)[0] == []


def test_a_version_that_vanished_is_rejected_and_the_other_is_read(tmp_path):
    write_article(tmp_path, "PMC1.2", article_xml("PMC1", ONE), MEDIA)
    found = read(tmp_path, ["PMC1.1", "PMC1.2"])
    assert [(e.version, e.reason) for e in rejected(found)] == [(1, "lost_metadata")]
    assert [pair.version for pair in found.pairs] == [2]


def test_an_article_that_was_asked_for_and_is_not_there_is_told(tmp_path):
    write_article(tmp_path, "PMC1.1", article_xml("PMC1", ONE), MEDIA)
    listing = open_source(str(tmp_path)).list_versions(["PMC1", "PMC2"])
    found = read(tmp_path, listing["version_id"].to_pylist())
    assert [(e.pmcid, e.state, e.reason) for e in rejected(found)] == [
        ("PMC2", "rejected", "unknown_article")
    ]
    assert len(found.pairs) == 1


def read_two(folder, second, *, config=None, **metadata):
    """A bucket of an article's good first version and its second: what it gives."""
    write_article(folder, "PMC1.1", article_xml("PMC1", ONE), MEDIA)
    write_article(folder, "PMC1.2", second, MEDIA, **metadata)
    return read(folder, ["PMC1.1", "PMC1.2"], config)


@pytest.mark.parametrize(
    ("second", "metadata", "reason"),
    [
        (b"<article>", {}, "malformed_xml"),
        (article_xml("PMC2", ONE), {}, "other_article"),
        (article_xml("PMC1", ONE), {"license_code": None}, "license_not_allowed"),
        (article_xml("PMC1", ONE), {"is_retracted": True}, "retracted"),
        (
            article_xml("PMC1", ONE),
            {"xml_url": "s3://pmc-oa-opendata/PMC1.2/gone.xml?md5=" + "0" * 32},
            "lost_xml",
        ),
        (
            article_xml("PMC1", ONE),
            {"xml_url": "s3://pmc-oa-opendata/PMC1.2/PMC1.2.xml?md5=" + "0" * 32},
            "corrupt_xml",
        ),
    ],
)
def test_where_the_best_version_cannot_be_used_the_next_best_is(tmp_path, second, metadata, reason):
    found = read_two(tmp_path, second, **metadata)
    assert [(e.version, e.reason) for e in rejected(found)] == [(2, reason)]
    assert [pair.pair_id for pair in found.pairs] == ["PMC1.1/F1/a.jpg"]
    versions = [(e.version, e.state) for e in found.entries if not e.figure_id]
    assert len(versions) == 2
    assert dict(versions)[1] == "published"
    assert dict(versions)[2] != "published"


@pytest.mark.parametrize(
    "second", [article_xml("PMC1", ""), article_xml("PMC1", ONE, article_type="retraction")]
)
def test_a_best_version_that_is_whole_speaks_for_its_article_though_it_gives_no_pair(
    tmp_path, second
):
    found = read_two(tmp_path, second)
    assert not found.pairs
    assert {(e.version, e.reason) for e in found.entries} >= {(1, "other_version")}
    assert len(found.entries) == 2


def test_where_no_version_can_be_used_each_says_why(tmp_path):
    for number in (1, 2, 3):
        write_article(tmp_path, f"PMC1.{number}", b"<article>"[: 9 * (number % 2)], MEDIA)
    versions = [f"PMC1.{number}" for number in (1, 2, 3)]
    found = read(tmp_path, versions)
    assert not found.pairs
    assert [(e.version, e.reason) for e in found.entries] == [
        (number, "malformed_xml") for number in (3, 2, 1)
    ]


FAULTS = [RecursionError("deep"), ValueError("\ud800"), KeyError("x"), AssertionError("never")]


@pytest.mark.parametrize("step", ["parse_article", "candidates"])
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_an_article_that_nobody_foresaw_costs_no_other(tmp_path, monkeypatch, caplog, step, fault):
    caplog.set_level("CRITICAL")  # no runner of tests could pass on what is logged of a surrogate
    original = getattr(articles_module, step)

    def trips_over_the_first(given, *rest):
        if b"PMC1<" in given if step == "parse_article" else given.pmcid == "PMC1":
            raise fault
        return original(given, *rest)

    monkeypatch.setattr(articles_module, step, trips_over_the_first)
    for pmcid in ("PMC1", "PMC2"):
        write_article(tmp_path, f"{pmcid}.1", article_xml(pmcid, ONE), MEDIA)
    found = read(tmp_path, ["PMC1.1", "PMC2.1"])
    (entry,) = rejected(found)
    assert (entry.pmcid, entry.state, entry.reason) == ("PMC1", "failed", "unexpected_error")
    assert entry.detail.startswith(f"{type(fault).__name__}: ")
    assert [pair.pmcid for pair in found.pairs] == ["PMC2"]
    write_shard(Store(tmp_path / "store").root, 0, [found], lambda pmcid: "train")


@pytest.mark.parametrize("step", ["parse_article", "candidates", "store_image"])
def test_an_article_that_asks_for_too_much_memory_costs_no_other(tmp_path, monkeypatch, step):
    original = getattr(articles_module, step)

    def asks_too_much(given, *rest, **options):
        is_first = {
            "parse_article": lambda: b"PMC1<" in given,
            "candidates": lambda: given.pmcid == "PMC1",
            "store_image": lambda: given == MEDIA["a.jpg"],
        }
        if is_first[step]():
            raise MemoryError
        return original(given, *rest, **options)

    monkeypatch.setattr(articles_module, step, asks_too_much)
    write_article(tmp_path, "PMC1.1", article_xml("PMC1", ONE), MEDIA)
    write_article(tmp_path, "PMC1.2", article_xml("PMC1", ONE), MEDIA)
    write_article(tmp_path, "PMC2.1", article_xml("PMC2", ONE), {"a.jpg": picture(1)})
    found = read(tmp_path, ["PMC1.1", "PMC1.2", "PMC2.1"])
    reasons = {(e.pmcid, e.version): (e.state, e.reason) for e in rejected(found)}
    assert reasons == {
        ("PMC1", 1): ("rejected", "other_version"),  # another try may read the better one
        ("PMC1", 2): ("failed", "out_of_memory"),
    }
    assert [pair.pmcid for pair in found.pairs] == ["PMC2"]


@pytest.mark.parametrize("odd", [{"pmid": 2**70}, {"title": "\ud800"}, {"doi": 5}])
def test_a_row_that_no_column_can_hold_costs_its_own_article_only(tmp_path, monkeypatch, odd):
    original = articles_module.parse_article

    def parse_article(xml):
        article = original(xml)
        return replace(article, **odd) if article.pmcid == "PMC1" else article

    monkeypatch.setattr(articles_module, "parse_article", parse_article)
    for pmcid in ("PMC1", "PMC2"):
        write_article(tmp_path, f"{pmcid}.1", article_xml(pmcid, ONE), MEDIA)
    found = read(tmp_path, ["PMC1.1", "PMC2.1"])
    assert [pair.pmcid for pair in found.pairs] == ["PMC2"]
    assert [(e.pmcid, e.reason) for e in rejected(found)] == [("PMC1", "unexpected_error")]


class FailingSource:
    """A source of one article whose every step can be made to fail."""

    def __init__(self, source, step, fault):
        self._source, self._step, self._fault = source, step, fault

    def __getattr__(self, name):
        return self._fail if name == self._step else getattr(self._source, name)

    def _fail(self, *_, **__):
        raise self._fault


@pytest.mark.parametrize("fault", [UsageError("mend it"), OSError(28, "full"), MemoryError()])
@pytest.mark.parametrize("step", ["metadata", "xml", "media"])
def test_a_fault_of_the_source_or_the_machine_is_no_fault_of_an_article(tmp_path, step, fault):
    write_article(tmp_path, "PMC1.1", article_xml("PMC1", ONE), MEDIA)
    source = FailingSource(open_source(str(tmp_path)), step, fault)
    with pytest.raises(type(fault)):
        list(read_articles(source, ["PMC1.1"], CorpusConfig(), num_threads=1))


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("metadata", "unreachable_metadata"),
        ("xml", "unreachable_xml"),
        ("media", "unreachable_media"),
    ],
)
def test_what_cannot_be_reached_has_failed_until_too_much_in_a_row_has(tmp_path, step, reason):
    ids = [f"PMC{n}.1" for n in range(1, 4)]
    for version_id in ids:
        xml = article_xml(version_id.partition(".")[0], ONE)
        write_article(tmp_path, version_id, xml, MEDIA)
    source = FailingSource(open_source(str(tmp_path)), step, Unreachable("it is far away"))
    two = list(read_articles(source, ids[:2], CorpusConfig(), num_threads=1))
    failed = [e for article in two for e in article.entries if e.state == "failed"]
    assert [(e.reason, e.detail) for e in failed] == [(reason, "it is far away")] * 2
    with pytest.raises(Unreachable, match="it is far away"):
        list(read_articles(source, ids, CorpusConfig(), num_threads=1))


@pytest.mark.parametrize("step", ["metadata", "xml", "media"])
def test_what_is_refused_has_failed_until_nothing_in_a_row_is_handed_out(tmp_path, step):
    ids = [f"PMC{n}.1" for n in range(1, 4)]
    for version_id in ids:
        xml = article_xml(version_id.partition(".")[0], ONE)
        write_article(tmp_path, version_id, xml, MEDIA)
    source = FailingSource(open_source(str(tmp_path)), step, Refused("name credentials"))
    two = list(read_articles(source, ids[:2], CorpusConfig(), num_threads=1))
    failed = [e for article in two for e in article.entries if e.state == "failed"]
    assert [(e.reason, e.detail) for e in failed] == [(f"refused_{step}", "name credentials")] * 2
    with pytest.raises(UsageError, match="refuses what it lists: name credentials") as error:
        list(read_articles(source, ids, CorpusConfig(), num_threads=1))
    assert not isinstance(error.value, Unreachable)


class RefusingOne:
    """A source that keeps one picture of each article to itself."""

    def __init__(self, source):
        self._source = source

    def __getattr__(self, name):
        return getattr(self._source, name)

    def media(self, metadata, name, **options):
        if name == "b.jpg":
            raise Refused("b.jpg")
        return self._source.media(metadata, name, **options)


def test_single_pictures_that_are_refused_however_many_end_nothing(tmp_path):
    figures = figure_xml("F1", "Two.", ["a.jpg", "b.jpg"])
    ids = [f"PMC{n}.1" for n in range(1, 7)]
    for version_id in ids:
        xml = article_xml(version_id.partition(".")[0], figures)
        write_article(tmp_path, version_id, xml, {**MEDIA, "b.jpg": picture(1)})
    source = RefusingOne(open_source(str(tmp_path)))
    found = list(read_articles(source, ids, CorpusConfig(), num_threads=1))
    assert [len(article.pairs) for article in found] == [1] * 6
    assert [[e.reason for e in rejected(article)] for article in found] == [["refused_media"]] * 6


class Unreached(FailingSource):
    """A source that cannot be reached for one version."""

    def _fail(self, what, **_):
        version_id = what if isinstance(what, str) else what.version_id
        if version_id == "PMC1.2":
            raise self._fault
        return getattr(self._source, self._step)(what)


@pytest.mark.parametrize("step", ["metadata", "xml"])
@pytest.mark.parametrize(
    ("fault", "word"), [(Unreachable("far"), "unreachable"), (Refused("no"), "refused")]
)
def test_no_lesser_version_steps_in_for_one_that_another_try_may_reach(tmp_path, step, fault, word):
    for number in (1, 2):
        write_article(tmp_path, f"PMC1.{number}", article_xml("PMC1", ONE), MEDIA)
    source = Unreached(open_source(str(tmp_path)), step, fault)
    (found,) = read_articles(source, ["PMC1.1", "PMC1.2"], CorpusConfig(), num_threads=1)
    assert not found.pairs
    reasons = {e.version: (e.state, e.reason) for e in found.entries}
    assert reasons[2] == ("failed", f"{word}_{step}")
    assert len(found.entries) == 2


def test_large_files_are_read_one_at_a_time_and_all_the_same(tmp_path):
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=0)
    large = (tmp_path / "noise.png").read_bytes()
    assert len(large) > LARGE_BYTES
    pairs, rejections = read_one(tmp_path / "b", media={"a.jpg": large})
    assert (len(pairs), rejections) == (1, [])
    assert (pairs[0].original_width, pairs[0].original_height) == (1300, 1300)


def test_numbers_of_any_length_and_names_no_disk_can_hold_kill_no_ingest(tmp_path):
    """Five damaged articles and a good one: what Arrow's columns cannot hold goes nowhere."""
    long = "n" * 300 + ".jpg"
    stated = f"s3://pmc-oa-opendata/PMC4.1/{long}?md5={'0' * 32}"
    for digits, pmcid in ((5000, "PMC1"), (30, "PMC2")):
        ids = f'<article-id pub-id-type="pmc">{pmcid[3:]}</article-id>'
        ids += f'<article-id pub-id-type="pmid">{"9" * digits}</article-id>'
        ids += f"<pub-date><year>{'9' * digits}</year></pub-date>"
        for kind in ("pmcid-ver", "pmc-version"):
            ids += f'<article-id pub-id-type="{kind}">{pmcid}.{"9" * digits}</article-id>'
        xml = article_xml(pmcid, ONE).replace(b"</article-meta>", f"{ids}</article-meta>".encode())
        write_article(tmp_path, f"{pmcid}.1", xml.replace(b'"pmcid"', b'"other"'), MEDIA)
    write_article(tmp_path, "PMC3.1", article_xml("PMC3", ONE), MEDIA, pmid=int("9" * 30))
    figure = figure_xml("F1", "A lung.", [long])
    write_article(tmp_path, "PMC4.1", article_xml("PMC4", figure), {}, media_urls=[stated])
    write_article(tmp_path, f"PMC5.{'9' * 30}", article_xml("PMC5", ONE), MEDIA)
    write_article(tmp_path, "PMC6.999999999", article_xml("PMC6", ONE), MEDIA)
    found = read(tmp_path, open_source(str(tmp_path)).list_versions()["version_id"].to_pylist())
    folder = Store(tmp_path / "store").root
    write_shard(folder, 0, [found], lambda pmcid: "train")
    table = pq.read_table(f"{folder.path}/train/00000.parquet")
    kept = {row["pmcid"]: (row["version"], row["pmid"]) for row in table.to_pylist()}
    assert kept == {"PMC1": (1, None), "PMC2": (1, None), "PMC6": (999_999_999, None)}
    reasons = {entry.pmcid: entry.reason for entry in rejected(found)}
    assert reasons == {"PMC3": "bad_json", "PMC4": "lost_media"}


def test_every_version_has_one_entry_and_every_pair_one(tmp_path):
    write_bucket(tmp_path, num_articles=12)
    versions = open_source(str(tmp_path)).list_versions()["version_id"].to_pylist()
    found = read(tmp_path, versions)
    own = [f"{e.pmcid}.{e.version}" for e in found.entries if not e.figure_id]
    assert sorted(own) == sorted(versions)
    graphics = [(e.pmcid, e.figure_id, e.graphic) for e in found.entries if e.graphic]
    assert graphics == [(pair.pmcid, pair.figure_id, pair.graphic) for pair in found.pairs]
    assert Counter(e.reason for e in rejected(found)) == {"other_version": 4, "no_figures": 2}
