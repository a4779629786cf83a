"""Shards are whole or absent; articles stand in the files of their splits, from wherever."""

from dataclasses import asdict, replace

import pyarrow.parquet as pq
import pytest
from tiny_bucket import write_bucket

from figclip.corpus import shards
from figclip.corpus.articles import read_articles
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.shards import (
    Copied,
    files_of,
    ledger_name,
    place_articles,
    read_ledger,
    shard_of,
    write_shard,
)
from figclip.corpus.spill import Pairs
from figclip.sources.source import open_source
from figclip.store import Store


def home(pmcid):
    """Of the eight articles: the fourth at home in test, all others in train."""
    return "test" if pmcid == "PMC4" else "train"


@pytest.fixture(scope="module")
def articles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bucket")
    write_bucket(folder, num_articles=8)
    source = open_source(str(folder))
    ids = source.list_versions()["version_id"].to_pylist()
    return list(read_articles(source, ids, CorpusConfig(), num_threads=2))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def held(rows) -> Pairs:
    pairs = Pairs()
    for row in rows:
        pairs.add(row)
    return pairs


def rows_of(folder) -> dict[str, list[dict]]:
    """File of pairs → its rows."""
    names = [name for name in folder.files() if not name.startswith("_")]
    return {name: pq.read_table(folder.open(name)).to_pylist() for name in names}


def all_bytes(folder):
    return {name: folder.read(name) for name in folder.files()}


def split_rows(articles, moved):
    """What the files must hold by definition."""
    expected: dict[str, list[dict]] = {}
    for article in articles:
        own = home(article.pmcid)
        split = moved.get(article.pmcid, own)
        name = f"{split}/00007{'' if split == own else '-moved'}.parquet"
        if article.pairs:
            found = [asdict(replace(pair, split=split)) for pair in article.pairs]
            expected.setdefault(name, []).extend(found)
    return expected


def test_a_shard_is_written_with_its_ledger_last(articles, store, monkeypatch):
    folder = store.folder("pairs", "v")
    written = []
    for method in ("write", "take"):
        original = getattr(type(folder), method)

        def noted(self, name, what, original=original):
            written.append(name)
            original(self, name, what)

        monkeypatch.setattr(type(folder), method, noted)
    write_shard(folder, 7, at_home(articles), home)
    assert written == ["train/00007.parquet", "test/00007.parquet", ledger_name(7)]
    assert rows_of(folder) == split_rows(articles, {})
    entries = [asdict(entry) for article in articles for entry in article.entries]
    assert read_ledger(folder, 7).to_pylist() == entries
    pmcids = {article.pmcid for article in articles if article.pairs}
    assert set(folder.files()) == files_of(7, pmcids, {}, home)


def at_home(articles):
    """Articles with their pairs in the splits that `home` says."""
    for article in articles:
        pairs = [replace(pair, split=home(pair.pmcid)) for pair in article.pairs]
        yield replace(article, pairs=held(pairs))


@pytest.mark.parametrize(("rows", "size"), [(1, 10**9), (3, 10**9), (10**9, 1), (4, 2_000)])
def test_row_groups_are_bounded_by_rows_and_by_bytes(articles, store, monkeypatch, rows, size):
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", rows)
    monkeypatch.setattr(shards, "BYTES_PER_GROUP", size)
    folder = store.folder("pairs", "v")
    write_shard(folder, 7, at_home(articles), home)
    assert rows_of(folder) == split_rows(articles, {})
    file = pq.ParquetFile(folder.open("train/00007.parquet"))
    for n in range(file.num_row_groups):
        images = [len(row["image"]) for row in file.read_row_group(n).to_pylist()]
        assert len(images) <= rows
        assert sum(images[:-1]) < size


def test_a_process_killed_on_the_way_leaves_no_ledger(articles, store):
    def dying():
        yield from at_home(articles[:3])
        raise KeyboardInterrupt

    folder = store.folder("pairs", "v")
    with pytest.raises(KeyboardInterrupt):
        write_shard(folder, 7, dying(), home)
    assert folder.files() == {}


MOVES = (
    {},
    {"PMC4": "train"},
    {"PMC1": "test"},
    {"PMC1": "test", "PMC2": "validation", "PMC4": "train"},
    {f"PMC{n}": "validation" for n in range(1, 9)},
)


@pytest.mark.parametrize("then", MOVES)
@pytest.mark.parametrize("first", MOVES)
def test_articles_stand_where_they_should_whatever_stood_there_before(articles, store, first, then):
    folder = store.folder("pairs", "v")
    write_shard(folder, 7, at_home(articles), home)
    for moved in (first, then):
        place_articles(folder, 7, moved, home)
        found, expected = rows_of(folder), split_rows(articles, moved)
        assert found.keys() == expected.keys()
        for name, rows in expected.items():
            assert sorted(found[name], key=by_id) == sorted(rows, key=by_id)
        pmcids = {article.pmcid for article in articles if article.pairs}
        assert set(folder.files()) == files_of(7, pmcids, moved, home)
    before = all_bytes(folder)
    place_articles(folder, 7, then, home)
    assert all_bytes(folder) == before


def by_id(row):
    return row["pair_id"]


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_move_that_was_killed_is_finished_by_the_next(articles, store, monkeypatch, writes):
    folder, whole = store.folder("pairs", "killed"), store.folder("pairs", "whole")
    for place in (folder, whole):
        write_shard(place, 7, at_home(articles), home)
    place_articles(whole, 7, MOVES[3], home)
    left = iter(range(writes))
    original = type(folder).take

    def dying_take(*args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(type(folder), "take", dying_take)
        with pytest.raises(KeyboardInterrupt):
            place_articles(folder, 7, MOVES[3], home)
    ids = [row["pair_id"] for rows in rows_of(folder).values() for row in rows]
    assert set(ids) == {pair.pair_id for article in articles for pair in article.pairs}
    place_articles(folder, 7, MOVES[3], home)
    assert {n: sorted(r, key=by_id) for n, r in rows_of(folder).items()} == {
        n: sorted(r, key=by_id) for n, r in rows_of(whole).items()
    }


def test_moving_an_article_into_train_leaves_the_large_file_alone(articles, store):
    """So that a version that shares it need not hold it once more."""
    folder = store.folder("pairs", "v")
    write_shard(folder, 7, at_home(articles), home)
    before = folder.read("train/00007.parquet")
    place_articles(folder, 7, {"PMC4": "train"}, home)
    assert folder.read("train/00007.parquet") == before
    assert not folder.exists("test/00007.parquet")


@pytest.mark.parametrize("moved", MOVES)
def test_copied_articles_are_the_same_rows_at_home(articles, store, moved):
    base, folder = store.folder("pairs", "base"), store.folder("pairs", "v")
    write_shard(base, 7, at_home(articles), home)
    place_articles(base, 7, moved, home)
    copied = Copied(base, frozenset({"PMC1", "PMC4", "PMC5"}))
    write_shard(folder, 7, at_home(articles[1:3]), home, copied)
    kept = [a for a in articles if a.pmcid in {"PMC1", "PMC2", "PMC3", "PMC4", "PMC5"}]
    found = [row for rows in rows_of(folder).values() for row in rows]
    expected = [row for rows in split_rows(kept, {}).values() for row in rows]
    assert sorted(found, key=by_id) == sorted(expected, key=by_id)
    ledger = read_ledger(folder, 7).to_pylist()
    entries = [asdict(entry) for article in kept for entry in article.entries]
    assert sorted(map(repr, ledger)) == sorted(map(repr, entries))


def test_some_articles_of_a_shard_are_read_again_in_its_place(articles, store):
    folder = store.folder("pairs", "v")
    failed = [replace(article, pairs=held([])) for article in articles[:4]]
    write_shard(folder, 7, at_home([*failed, *articles[4:]]), home)
    rest = frozenset(article.pmcid for article in articles[4:])
    write_shard(folder, 7, at_home(articles[:4]), home, Copied(folder, rest))
    found = {name: sorted(rows, key=by_id) for name, rows in rows_of(folder).items()}
    assert found == {n: sorted(r, key=by_id) for n, r in split_rows(articles, {}).items()}


def test_an_article_that_gives_nothing_when_read_again_takes_its_file_with_it(articles, store):
    folder = store.folder("pairs", "v")
    write_shard(folder, 7, at_home(articles), home)
    rest = frozenset(article.pmcid for article in articles if article.pmcid != "PMC4")
    gone = [replace(article, pairs=held([])) for article in articles if article.pmcid == "PMC4"]
    write_shard(folder, 7, gone, home, Copied(folder, rest))
    assert not folder.exists("test/00007.parquet")
    assert len(read_ledger(folder, 7)) == sum(len(article.entries) for article in articles)


def test_files_tell_their_shard():
    names = ["train/00012.parquet", "test/00012-moved.parquet", "_ledger/00012.parquet"]
    assert {shard_of(name) for name in names} == {12}
    assert {shard_of(n) for n in ("_plan.parquet", "_duplicates.parquet", "x/y")} == {None}
    assert shard_of("train/1234567.parquet") == 1234567
