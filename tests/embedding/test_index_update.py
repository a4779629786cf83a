"""An index that goes on from another: rows kept, dropped and appended, and files left alone."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import publish_these_pairs, publish_tiny_embeddings, tiny_pairs, unit_vectors

from figclip.config import UsageError
from figclip.embedding.index.build import build_index
from figclip.embedding.index.filters import Filters
from figclip.embedding.index.opened import FigureIndex, open_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.schema import SPLITS, Pair
from figclip.store import Manifest, Store

N, DIM = 60, 16
PAIRS = tiny_pairs(N + 20)
VECTORS = {
    pair.pair_id: vector for pair, vector in zip(PAIRS, unit_vectors(len(PAIRS), DIM), strict=True)
}
QUERY = unit_vectors(1, DIM, seed=5)[0]


def publish(store: Store, version: str, pairs: list[Pair], encoder: str = "x") -> None:
    """Pairs and their embeddings; a pair has the same vector in every version."""
    publish_these_pairs(store, version, pairs)
    in_files = [pair.pair_id for split in SPLITS for pair in pairs if pair.split == split]
    vectors = np.stack([VECTORS[pair_id] for pair_id in in_files])
    publish_tiny_embeddings(store, version, version, vectors, vectors, encoder=encoder)


def build(
    store: Store,
    version: str,
    *,
    base: str | None = None,
    of: str | None = None,
    config: IndexConfig | None = None,
) -> Manifest:
    return build_index(
        store,
        embeddings_version=of or version,
        pairs_version=of or version,
        version=version,
        base_version=base,
        config=config or IndexConfig(num_probes=5),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    publish(store, "1", PAIRS[:N])
    build(store, "1")
    return store


def followed(pairs: list[Pair]) -> list[Pair]:
    """Ten are withdrawn, three have changed, twenty are new."""
    changed = [replace(pair, license="CC BY-ND") for pair in pairs[10:13]]
    return [*changed, *pairs[13:]]


def told(index: FigureIndex) -> list[tuple]:
    """All that a search shows of all figures, the best first."""
    hits = index.search(QUERY, k=200)
    return [(hit.pair_id, round(hit.score, 5), sorted(hit.row.items(), key=str)) for hit in hits]


def test_an_index_that_goes_on_finds_what_one_made_anew_finds(store: Store):
    publish(store, "2", followed(PAIRS))
    manifest = build(store, "2", base="1")
    build(store, "anew", of="2")
    assert manifest.inputs == ("embeddings@2", "pairs@2", "index@1")
    counts = {name: manifest.counts[name] for name in ("num_kept", "num_dropped", "num_appended")}
    assert counts == {"num_kept": N - 13, "num_dropped": 13, "num_appended": 23}
    one, other = open_index(store, "2"), open_index(store, "anew")
    assert told(one) == told(other)
    for filters in (Filters(), Filters(licenses=("CC BY-ND",)), Filters(first_year=2013)):
        assert one.matching(filters).num_figures == other.matching(filters).num_figures
        assert one.matching(filters).num_pictures == other.matching(filters).num_pictures
        assert one.facets(filters) == other.facets(filters)
    words = ["ring"]
    assert {one.rows([p])[0]["pair_id"] for p in one.worded(words, k=99).places} == {
        other.rows([p])[0]["pair_id"] for p in other.worded(words, k=99).places
    }


def test_the_base_is_as_it_was_and_its_rows_are_on_the_disk_once(store: Store):
    before = told(open_index(store, "1"))
    files = store.open("index", "1").files()
    publish(store, "2", followed(PAIRS))
    build(store, "2", base="1")
    assert store.open("index", "1").files() == files
    assert told(open_index(store, "1")) == before
    root = Path(store.url, "index")
    old = [path.relative_to(root / "1") for path in (root / "1").rglob("data/*.lance")]
    new = [path.relative_to(root / "2") for path in (root / "2").rglob("data/*.lance")]
    assert len(new) == len(old) + 1
    assert all((root / "1" / path).samefile(root / "2" / path) for path in old)


def test_an_index_outlives_the_one_it_goes_on_from(store: Store):
    publish(store, "2", followed(PAIRS))
    build(store, "2", base="1")
    before = told(open_index(store, "2"))
    store.folder("index", "1").clear()
    assert told(open_index(store, "2")) == before


def test_nothing_new_appends_nothing(store: Store):
    publish(store, "same", PAIRS[:N])
    manifest = build(store, "same", base="1")
    assert manifest.counts["num_kept"] == N
    assert manifest.counts["num_appended"] == manifest.counts["num_dropped"] == 0
    assert told(open_index(store, "same")) == told(open_index(store, "1"))


def test_new_rows_join_the_pictures_that_are_there(store: Store):
    """Drawn pairs repeat their pictures: what was a picture stays one, whoever shows it again."""
    publish(store, "2", followed(PAIRS))
    build(store, "2", base="1")
    facts = open_index(store, "2").facts
    pictures = {pair.image_fingerprint for pair in followed(PAIRS)}
    assert facts.num_pictures == len(pictures) < facts.num_figures


def test_vectors_of_another_encoder_or_other_columns_are_refused(store: Store):
    publish(store, "other", PAIRS[:N], encoder="y")
    with pytest.raises(UsageError, match=r"encoder@x.*encoder@y.*leave --base out"):
        build(store, "other", base="1")
    assert not store.is_published("index", "other")
    with pytest.raises(UsageError, match="index@none is not published"):
        build(store, "more", base="none", of="1")


def test_many_appended_rows_train_the_index_anew_and_few_do_not(tmp_path: Path):
    store = Store(tmp_path)
    config = IndexConfig(index_rows=300, rows_per_partition=100, num_probes=5, max_unindexed=40)
    pairs = tiny_pairs(400)
    VECTORS.update(zip([p.pair_id for p in pairs], unit_vectors(400, DIM), strict=True))
    publish(store, "1", pairs[:300])
    publish(store, "2", pairs[:330])
    publish(store, "3", pairs)
    build(store, "1", config=config)
    for version, base in (("2", "1"), ("3", "2")):
        manifest = build(store, version, base=base, config=config)
        assert manifest.counts["search"]["image"]["recall_at_10_vs_exact"] >= 0.99
        found = open_index(store, version).search(
            VECTORS[pairs[-1 if version == "3" else 329].pair_id]
        )
        assert found[0].score == pytest.approx(1, abs=1e-5)
    tables = [open_index(store, version)._table for version in "123"]
    unindexed = [table.index_stats("image_embedding_idx").num_unindexed_rows for table in tables]
    assert unindexed == [0, 30, 0]


FOLLOW = """
import sys
from figclip.embedding.index.build import build_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.store import Store

build_index(
    Store(sys.argv[1]),
    embeddings_version="2",
    pairs_version="2",
    version="2",
    base_version="1",
    config=IndexConfig(num_probes=5),
)
"""


@pytest.mark.timeout(200)
def test_an_update_killed_halfway_leaves_the_base_and_its_rerun_is_whole(store: Store):
    publish(store, "2", followed(PAIRS))
    before = told(open_index(store, "1"))
    started = Path(store.url, "index", "2")
    with subprocess.Popen([sys.executable, "-c", FOLLOW, store.url]) as process:
        while process.poll() is None and not [*started.rglob("*.lance")]:
            time.sleep(0.002)
        process.kill()
    assert not store.is_published("index", "2")
    assert told(open_index(store, "1")) == before
    build(store, "2", base="1")
    build(store, "anew", of="2")
    assert told(open_index(store, "2")) == told(open_index(store, "anew"))
