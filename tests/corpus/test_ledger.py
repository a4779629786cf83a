"""What a ledger says of its corpus, beside plain loops over its lines."""

import hashlib
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.corpus.ledger import failed_articles, home_of, outcome, whole_ledger
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.shards import ledger_name, parquet_bytes
from figclip.schema import LEDGER_SCHEMA, Entry, table_of
from figclip.store import Store

CONFIG = CorpusConfig(validation_fraction=0.2, test_fraction=0.3)

graphics = st.tuples(
    st.sampled_from(["published", "rejected", "failed"]), st.integers(0, 5)
)  # state, picture
articles = st.dictionaries(st.integers(1, 30), st.lists(graphics, max_size=4), max_size=12)


def entries_of(pmcid: str, found: list[tuple[str, int]]) -> list[Entry]:
    is_published = any(state == "published" for state, _ in found)
    state, reason = ("published", "") if is_published else ("rejected", "no_pairs")
    entries = [Entry(pmcid, 1, "", "", state, reason, "", len(found), len(found))]
    for n, (state, picture) in enumerate(found):
        image = {
            "image_sha256": hashlib.sha256(bytes([picture])).hexdigest(),
            "image_fingerprint": hashlib.sha256(bytes([picture])).digest(),
        }
        known = image if state == "published" else {}
        reason = "" if state == "published" else f"{state}_somehow"
        entries.append(Entry(pmcid, 1, f"F{n}", f"{n}.jpg", state, reason, "", **known))
    return entries


def written(store: Store, corpus: dict[int, list], per_shard: int):
    """The ledger as shards hold it, read as one."""
    folder = store.folder("pairs", "v")
    names = sorted(corpus)
    numbers = range(0, max(1, -(-len(names) // per_shard)))
    for number in numbers:
        here = names[number * per_shard : (number + 1) * per_shard]
        rows = [entry for n in here for entry in entries_of(f"PMC{n}", corpus[n])]
        folder.write(ledger_name(number), parquet_bytes(table_of(rows, LEDGER_SCHEMA)))
    return whole_ledger(folder, numbers)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("ledger"))


@given(corpus=articles, per_shard=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_outcome_is_that_of_plain_loops(store, corpus, per_shard):
    ledger = written(store, corpus, per_shard)
    found = outcome(ledger, CONFIG)
    pairs = [
        (f"PMC{n}", f"PMC{n}.1/F{k}/{k}.jpg", picture)
        for n, items in corpus.items()
        for k, (state, picture) in enumerate(items)
        if state == "published"
    ]
    assert found.counts["num_pairs"] == len(pairs)
    assert found.counts["num_versions"] == found.counts["num_articles"] == len(corpus)
    assert found.counts["num_figures"] == sum(map(len, corpus.values()))
    states = Counter(state for items in corpus.values() for state, _ in items)
    assert found.counts["num_failed"] == states["failed"]
    assert found.counts["rejections"] == {
        f"{state}_somehow": states[state] for state in ("failed", "rejected") if states[state]
    }
    assert failed_articles(ledger) == sorted(
        f"PMC{n}" for n, items in corpus.items() if any(s == "failed" for s, _ in items)
    )

    pictures = Counter(picture for *_, picture in pairs)
    expected = {
        name: min(other for _, other, p in pairs if p == picture)
        for _, name, picture in pairs
        if pictures[picture] > 1
    }
    rows = found.duplicates.to_pylist()
    assert {row["pair_id"]: row["cluster_id"] for row in rows} == expected
    assert found.counts["num_duplicates"] == len(expected) == len(rows)

    home = home_of(CONFIG)
    splits = {pmcid: found.moved.get(pmcid, home(pmcid)) for pmcid, *_ in pairs}
    for one, _, picture in pairs:
        assert {splits[other] for other, _, p in pairs if p == picture} == {splits[one]}
    by_split = Counter(splits[pmcid] for pmcid, *_ in pairs)
    assert {name: part["pairs"] for name, part in found.counts["splits"].items()} == {
        split: by_split[split] for split in ("train", "validation", "test")
    }
    files = set().union(*found.files.values())
    assert len(files) == sum(map(len, found.files.values()))
    places = {(pmcid, splits[pmcid], splits[pmcid] != home(pmcid)) for pmcid, *_ in pairs}
    assert sum(name.endswith("-moved.parquet") for name in files) <= sum(m for *_, m in places)
    folders = {name.partition("/")[0] for name in files} - {"_ledger"}
    assert folders == {split for _, split, _ in places}


@given(corpus=articles)
@settings(max_examples=20, deadline=None)
def test_how_the_articles_are_cut_into_shards_changes_no_split(store, corpus):
    one, other = (outcome(written(store, corpus, size), CONFIG) for size in (1, 5))
    assert (one.moved, one.counts) == (other.moved, other.counts)
    assert one.duplicates.equals(other.duplicates)


def test_an_empty_corpus_has_an_outcome(store):
    found = outcome(written(store, {}, 1), CONFIG)
    assert found.counts["num_pairs"] == 0
    assert found.counts["note"].startswith("only 0 articles")
    assert isinstance(found.duplicates, pa.Table)
