"""What one shard of articles gives, whatever is wrong with them."""

from collections import Counter
from dataclasses import asdict, replace
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_bucket import article_xml, figure_xml, picture, write_article, write_bucket

from figclip.config import UsageError
from figclip.corpus import shards
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.shards import (
    counts_name,
    move_articles,
    plan_shards,
    read_counts,
    read_shard,
    write_shard,
)
from figclip.schema import SPLITS
from figclip.sources.pmc_cloud import list_versions, open_bucket
from figclip.store import Store

ONE = figure_xml("F1", "A lung.", ["a.jpg"])
MEDIA = {"a.jpg": picture(0)}


def read_one(folder, xml=None, media=None, *, config=None, version="PMC1.1", **metadata):
    """Pairs, and rejections as `(figure_id, graphic, reason)`, of a bucket of one article."""
    xml = article_xml("PMC1", ONE) if xml is None else xml
    write_article(folder, version, xml, MEDIA if media is None else media, **metadata)
    shard = read_shard(open_bucket(str(folder)), [version], config or CorpusConfig())
    return shard.pairs, [(r.figure_id, r.graphic, r.reason) for r in shard.rejections]


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
    shard = read_shard(open_bucket(str(tmp_path)), ["PMC1.1"], CorpusConfig())
    assert [r.reason for r in shard.rejections] == ["missing_media", "corrupt_media"]


def test_one_picture_for_two_figures_is_two_pairs_and_two_links_to_one_picture_are_one(tmp_path):
    figures = ONE + figure_xml("F2", "Again.", ["a.jpg", "a", "figures/a.jpg"])
    pairs, rejections = read_one(tmp_path, article_xml("PMC1", figures))
    assert [pair.pair_id for pair in pairs] == ["PMC1.1/F1/a.jpg", "PMC1.1/F2/a.jpg"]
    assert rejections == []


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
        ({"xml_url": "s3://pmc-oa-opendata/PMC1.1/gone.xml?md5=" + "0" * 32}, "missing_xml"),
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
    shard = read_shard(open_bucket(str(tmp_path)), ["PMC1.1", "PMC1.2"], CorpusConfig())
    assert [(r.version, r.reason) for r in shard.rejections] == [(1, "missing_metadata")]
    assert [pair.version for pair in shard.pairs] == [2]


def read_two(folder, second, *, config=None, **metadata):
    """A bucket of an article's good first version and its second: what it gives."""
    write_article(folder, "PMC1.1", article_xml("PMC1", ONE), MEDIA)
    write_article(folder, "PMC1.2", second, MEDIA, **metadata)
    return read_shard(open_bucket(str(folder)), ["PMC1.1", "PMC1.2"], config or CorpusConfig())


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
            "missing_xml",
        ),
        (
            article_xml("PMC1", ONE),
            {"xml_url": "s3://pmc-oa-opendata/PMC1.2/PMC1.2.xml?md5=" + "0" * 32},
            "corrupt_xml",
        ),
    ],
)
def test_where_the_best_version_cannot_be_used_the_next_best_is(tmp_path, second, metadata, reason):
    shard = read_two(tmp_path, second, **metadata)
    assert [(r.version, r.reason) for r in shard.rejections] == [(2, reason)]
    assert [pair.pair_id for pair in shard.pairs] == ["PMC1.1/F1/a.jpg"]
    counts = shard.counts()
    assert (counts.num_articles, counts.num_figures, counts.num_pairs) == (1, 1, 1)


@pytest.mark.parametrize(
    "second", [article_xml("PMC1", ""), article_xml("PMC1", ONE, article_type="retraction")]
)
def test_a_best_version_that_is_whole_speaks_for_its_article_though_it_gives_no_pair(
    tmp_path, second
):
    shard = read_two(tmp_path, second)
    assert shard.pairs == []
    assert {(r.version, r.reason) for r in shard.rejections} >= {(1, "other_version")}
    assert len(shard.rejections) == 2


def test_where_no_version_can_be_used_each_says_why(tmp_path):
    for number in (1, 2, 3):
        write_article(tmp_path, f"PMC1.{number}", b"<article>"[: 9 * (number % 2)], MEDIA)
    versions = [f"PMC1.{number}" for number in (1, 2, 3)]
    shard = read_shard(open_bucket(str(tmp_path)), versions, CorpusConfig())
    assert (shard.pairs, shard.articles) == ([], [])
    assert [(r.version, r.reason) for r in shard.rejections] == [
        (number, "malformed_xml") for number in (3, 2, 1)
    ]


FAULTS = [RecursionError("deep"), ValueError("\ud800"), KeyError("x"), AssertionError("never")]


@pytest.mark.parametrize("step", ["parse_article", "pairs_of"])
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_an_article_that_nobody_foresaw_costs_no_other(tmp_path, monkeypatch, step, fault):
    folder = Store(tmp_path / "store").folder("pairs", "v")
    write_article(tmp_path, "PMC2.1", article_xml("PMC2", ONE), MEDIA)
    original = getattr(shards, step)

    def trips_over_the_first(given, *rest):
        if b"PMC1<" in given if step == "parse_article" else given.pmcid == "PMC1":
            raise fault
        return original(given, *rest)

    monkeypatch.setattr(shards, step, trips_over_the_first)
    write_article(tmp_path, "PMC1.1", article_xml("PMC1", ONE), MEDIA)
    shard = read_shard(open_bucket(str(tmp_path)), ["PMC1.1", "PMC2.1"], CorpusConfig())
    (rejection,) = shard.rejections
    assert (rejection.pmcid, rejection.reason) == ("PMC1", "unexpected_error")
    assert rejection.detail.startswith(f"{type(fault).__name__}: ")
    assert [pair.pmcid for pair in shard.pairs] == ["PMC2"]
    assert write_shard(folder, 0, shard).rejections == {"unexpected_error": 1}


@pytest.mark.parametrize("odd", [{"pmid": 2**70}, {"title": "\ud800"}, {"year": 2**31}])
def test_a_row_that_no_column_can_hold_costs_its_own_article_only(tmp_path, monkeypatch, odd):
    original = shards.pairs_of

    def pairs_of(article, *rest):
        return original(replace(article, **odd) if article.pmcid == "PMC1" else article, *rest)

    monkeypatch.setattr(shards, "pairs_of", pairs_of)
    for pmcid in ("PMC1", "PMC2"):
        write_article(tmp_path, f"{pmcid}.1", article_xml(pmcid, ONE), MEDIA)
    shard = read_shard(open_bucket(str(tmp_path)), ["PMC1.1", "PMC2.1"], CorpusConfig())
    folder = Store(tmp_path / "store").folder("pairs", "v")
    assert write_shard(folder, 0, shard).pairs_by_article == {"PMC2": 1}
    assert [(r.pmcid, r.reason) for r in shard.rejections] == [("PMC1", "unexpected_error")]


@pytest.mark.parametrize("fault", [UsageError("mend it"), OSError(28, "full"), MemoryError()])
@pytest.mark.parametrize("step", ["fetch_xml", "fetch_media"])
def test_a_fault_of_the_bucket_or_the_machine_is_no_fault_of_an_article(
    tmp_path, monkeypatch, step, fault
):
    def fail(*_):
        raise fault

    monkeypatch.setattr(shards, step, fail)
    with pytest.raises(type(fault)):
        read_one(tmp_path)


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
    bucket = open_bucket(str(tmp_path))
    shard = read_shard(bucket, list_versions(bucket), CorpusConfig())
    folder = Store(tmp_path / "store").folder("pairs", "v")
    write_shard(folder, 0, shard)
    table = pa.concat_tables(
        pq.read_table(f"{folder.path}/{split}/00000.parquet")
        for split in SPLITS
        if folder.exists(f"{split}/00000.parquet")
    )
    kept = {row["pmcid"]: (row["version"], row["pmid"]) for row in table.to_pylist()}
    assert kept == {"PMC1": (1, None), "PMC2": (1, None), "PMC6": (999_999_999, None)}
    reasons = {rejection.pmcid: rejection.reason for rejection in shard.rejections}
    assert reasons == {"PMC3": "bad_json", "PMC4": "missing_media"}


def test_every_version_gives_pairs_or_a_rejection(tmp_path):
    bucket = write_bucket(tmp_path, num_articles=12)
    versions = list_versions(bucket)
    shard = read_shard(bucket, versions, CorpusConfig())
    heard = {f"{row.pmcid}.{row.version}" for row in (*shard.pairs, *shard.rejections)}
    assert heard == set(versions)
    assert Counter(r.reason for r in shard.rejections) == {"other_version": 4, "no_figures": 2}


def test_the_plan_keeps_versions_of_an_article_together_in_any_order():
    versions = [f"PMC{n}.{v}" for n in (1, 10, 2, 100) for v in (1, 2, 10)]
    plan = plan_shards(reversed(versions), 2)
    assert plan == plan_shards(versions, 2)
    assert plan[0] == ["PMC1.1", "PMC1.2", "PMC1.10", "PMC10.1", "PMC10.2", "PMC10.10"]
    assert sorted(chain(*plan)) == sorted(versions)


@pytest.fixture
def shard(tmp_path):
    bucket = write_bucket(tmp_path / "bucket", num_articles=8)
    config = CorpusConfig(validation_fraction=0.0, test_fraction=0.0)
    return read_shard(bucket, list_versions(bucket), config)


def test_a_shard_is_written_with_its_counts_last(tmp_path, shard, monkeypatch):
    folder = Store(tmp_path / "store").folder("pairs", "v")
    written = []
    original = type(folder).write
    monkeypatch.setattr(
        type(folder), "write", lambda *args: (written.append(args[1]), original(*args))
    )
    counts = write_shard(folder, 7, shard)
    assert written[-1] == counts_name(7) == "_shards/00007.json"
    assert read_counts(folder, 7) == counts
    assert counts.num_pairs == sum(counts.pairs_by_article.values()) == len(shard.pairs)
    assert counts.num_rejections == sum(counts.rejections.values()) == len(shard.rejections)
    table = pq.read_table(f"{folder.path}/train/00007.parquet")
    assert table.to_pylist() == [asdict(pair) for pair in shard.pairs]
    rejections = pq.read_table(f"{folder.path}/_rejections/00007.parquet").to_pylist()
    assert rejections == [asdict(rejection) for rejection in shard.rejections]


def all_bytes(folder):
    return {name: folder.read(name) for name in folder.files()}


MOVES = ({"PMC1": "test"}, {"PMC1": "test", "PMC2": "validation", "PMC4": "test"})


@pytest.mark.parametrize("moves", MOVES)
def test_moved_articles_stand_as_if_they_had_always_stood_there(tmp_path, shard, moves):
    store = Store(tmp_path / "store")
    moved, direct = store.folder("pairs", "moved"), store.folder("pairs", "direct")
    write_shard(moved, 0, shard)
    move_articles(moved, 0, moves)
    shard.pairs = [replace(pair, split=moves.get(pair.pmcid, pair.split)) for pair in shard.pairs]
    write_shard(direct, 0, shard)
    assert all_bytes(moved) == all_bytes(direct)
    move_articles(moved, 0, moves)
    assert all_bytes(moved) == all_bytes(direct)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_move_that_was_killed_is_finished_by_the_next(tmp_path, shard, monkeypatch, writes):
    store = Store(tmp_path / "store")
    folder, whole = store.folder("pairs", "killed"), store.folder("pairs", "whole")
    for place in (folder, whole):
        write_shard(place, 0, shard)
    move_articles(whole, 0, MOVES[1])
    left = iter(range(writes))
    original = type(folder).write

    def dying_write(*args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(type(folder), "write", dying_write)
        with pytest.raises(KeyboardInterrupt):
            move_articles(folder, 0, MOVES[1])
    move_articles(folder, 0, MOVES[1])
    assert all_bytes(folder) == all_bytes(whole)


def test_an_article_that_leaves_an_empty_file_takes_the_file_with_it(tmp_path, shard):
    folder = Store(tmp_path / "store").folder("pairs", "v")
    write_shard(folder, 0, shard)
    move_articles(folder, 0, {pair.pmcid: "test" for pair in shard.pairs})
    assert not folder.exists("train/00000.parquet")
    assert pq.read_table(f"{folder.path}/test/00000.parquet").num_rows == len(shard.pairs)
