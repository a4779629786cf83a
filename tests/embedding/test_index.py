import io
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from tiny import publish_tiny_embeddings, publish_tiny_pairs, tiny_pairs, unit_vectors

from figclip.config import UsageError
from figclip.embedding.index.build import build_index
from figclip.embedding.index.filters import Filters, sql_text
from figclip.embedding.index.lance import LanceEngine
from figclip.embedding.index.opened import FigureIndex, open_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.embedding.vectors import read_embeddings
from figclip.schema import SPLITS
from figclip.store import Store

N, DIM = 60, 16


def built(store: Store, n: int = N, dim: int = DIM, config: IndexConfig | None = None):
    publish(store, n, dim)
    return build(store, config)


def publish(store: Store, n: int, dim: int = DIM) -> None:
    publish_tiny_pairs(store, "p", n)
    publish_tiny_embeddings(store, "e", "p", unit_vectors(n, dim), unit_vectors(n, dim, seed=1))


def build(store: Store, config: IndexConfig | None = None, version: str = "i"):
    return build_index(
        store,
        embeddings_version="e",
        pairs_version="p",
        version=version,
        config=config or IndexConfig(),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    built(store)
    return store


@pytest.fixture(scope="module")
def index(store) -> FigureIndex:
    return open_index(store, "i")


@pytest.fixture(scope="module")
def embeddings(store):
    return [read_embeddings(store, "e", split) for split in SPLITS]


@pytest.mark.parametrize("which", ["image", "text"])
def test_search_equals_sorting_every_figure_by_its_cosine(index, embeddings, which):
    ids = [pair_id for part in embeddings for pair_id in part.pair_ids]
    vectors = np.concatenate(
        [part.images if which == "image" else part.texts for part in embeddings]
    )
    for query in unit_vectors(5, DIM, seed=7):
        scores = vectors @ query
        order = np.argsort(-scores)[:10]
        hits = index.search(query, k=10, which=which)
        assert [hit.pair_id for hit in hits] == [ids[i] for i in order]
        np.testing.assert_allclose([hit.score for hit in hits], scores[order], atol=1e-5)


def test_a_hit_carries_the_pair_and_its_thumbnail(index, embeddings):
    pairs = {pair.pair_id: pair for pair in tiny_pairs(N)}
    [hit] = index.search(embeddings[0].images[0], k=1)
    pair = pairs[hit.pair_id]
    assert hit.pair_id == embeddings[0].pair_ids[0]
    assert hit.score == pytest.approx(1, abs=1e-5)
    assert hit.row.pop("part") == "figure"
    assert hit.row.pop("figure_pair_id") == hit.row.pop("panel_label") == ""
    for name, value in hit.row.items():
        assert value == getattr(pair, name), name
    assert {"pmcid", "version", "doi", "license", "caption", "label", "split"} <= set(hit.row)
    thumbnail = Image.open(io.BytesIO(index.thumbnail(hit.pair_id)))
    assert thumbnail.format == "JPEG"
    assert thumbnail.size == (pair.width, pair.height)


def test_a_filter_is_applied_before_the_search(index):
    query = unit_vectors(1, DIM, seed=3)[0]
    filters = Filters(licenses=("CC0",), first_year=2015)
    hits = index.search(query, k=10, filters=filters)
    assert len(hits) == min(10, index.count(filters))
    assert all(hit.row["license"] == "CC0" and hit.row["year"] >= 2015 for hit in hits)


def test_a_vector_that_is_no_direction_of_the_space_is_an_error(index):
    with pytest.raises(ValueError, match="vectors of 16"):
        index.search(unit_vectors(1, 8)[0])
    with pytest.raises(ValueError, match="finite"):
        index.search(np.full(DIM, np.nan))
    with pytest.raises(ValueError, match="zero"):
        index.search(np.zeros(DIM))


def test_one_pair_is_had_by_its_id(index, embeddings):
    pair_id = embeddings[2].pair_ids[1]
    row = index.get(pair_id)
    assert row is not None
    assert row["pair_id"] == pair_id
    assert row["split"] == "test"
    np.testing.assert_array_equal(index.vector(pair_id), embeddings[2].images[1])
    np.testing.assert_array_equal(index.vector(pair_id, "text"), embeddings[2].texts[1])
    assert index.get("PMC1.1/it's/none") is None
    assert index.vector("none") is None
    assert index.count() == N


def test_a_text_with_quotes_stays_one_literal(index):
    assert sql_text("it's") == "'it''s'"
    hostile = Filters(journals=("' OR 1=1 --", "it's"))
    assert index.count(hostile) == 0
    assert index.search(unit_vectors(1, DIM)[0], filters=hostile) == []


def test_searching_leaves_the_artifact_as_it_was_published(store, index):
    index.search(unit_vectors(1, DIM)[0])
    index.get("none")
    files = store.manifest("index", "i").files
    assert store.open("index", "i").files() == files | {"_manifest.json": files_size(store)}


def files_size(store: Store) -> int:
    return store.folder("index", "i").files()["_manifest.json"]


def test_a_large_table_is_indexed_and_its_recall_recorded(tmp_path):
    store = Store(tmp_path)
    config = IndexConfig(index_rows=300, rows_per_partition=50, num_probes=20)
    manifest = built(store, 400, 32, config)
    for which in ("image", "text"):
        found = manifest.counts["search"][which]
        assert found["recall_at_10_vs_exact"] >= 0.99
        assert found["nprobes"] >= 1
        assert found["refine"] >= 1
    index = open_index(store, "i")
    hits = recall = 0
    for query in unit_vectors(20, 32, seed=11):
        exact = {hit.pair_id for hit in index.search(query, exact=True)}
        recall += len(exact & {hit.pair_id for hit in index.search(query)})
        hits += 10
    assert recall / hits > 0.9


def test_a_filter_on_a_large_table_finds_all_it_lets_through(tmp_path):
    store = Store(tmp_path)
    config = IndexConfig(index_rows=300, rows_per_partition=20, num_probes=5, few_rows=15)
    built(store, 400, 32, config)
    index = open_index(store, "i")
    for filters in (Filters(licenses=("CC0",)), Filters(first_year=2011, last_year=2011)):
        num = index.count(filters)
        assert num > 15
        hits = index.search(unit_vectors(1, 32)[0], k=400, filters=filters)
        assert len({hit.pair_id for hit in hits}) == num


BUILD = """
import sys
from figclip.embedding.index.build import build_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.store import Store

build_index(
    Store(sys.argv[1]), embeddings_version="e", pairs_version="p", version="i", config=IndexConfig()
)
"""


@pytest.mark.timeout(200)
def test_a_build_killed_halfway_is_not_there_and_its_rerun_finds_the_same(tmp_path):
    store = Store(tmp_path)
    publish(store, 400)
    build(store, version="uninterrupted")
    with subprocess.Popen([sys.executable, "-c", BUILD, store.url]) as process:
        while process.poll() is None and not store.folder("index", "i").files():
            time.sleep(0.002)
        process.kill()
    assert store.folder("index", "i").files()
    assert not store.is_published("index", "i")
    build(store)
    again, whole = open_index(store, "i"), open_index(store, "uninterrupted")
    query = unit_vectors(1, DIM)[0]
    assert again.search(query, k=400) == whole.search(query, k=400)
    assert again.count() == 400


def test_the_same_build_again_does_nothing_and_another_is_refused(store):
    before = store.manifest("index", "i")
    assert build(store) == before
    with pytest.raises(UsageError, match="published already"):
        build(store, IndexConfig(thumbnail_side=64))


def test_an_index_that_brute_force_contradicts_is_not_published(tmp_path, monkeypatch):
    store = Store(tmp_path)
    nearest = LanceEngine._nearest
    monkeypatch.setattr(
        LanceEngine, "_nearest", lambda self, query, k, *rest: nearest(self, query, k - 1, *rest)
    )
    with pytest.raises(RuntimeError, match="brute force"):
        built(store)
    assert not store.is_published("index", "i")


def test_embeddings_of_other_pairs_are_refused(store, tmp_path):
    other = Store(tmp_path)
    shutil.copytree(f"{store.url}/embeddings", tmp_path / "embeddings")
    publish_tiny_pairs(other, "q", N)
    with pytest.raises(UsageError, match="were not made from pairs@q"):
        build_index(
            other, embeddings_version="e", pairs_version="q", version="i", config=IndexConfig()
        )
    publish_tiny_pairs(other, "p", N + 2)
    with pytest.raises(UsageError, match="embed these pairs anew"):
        build(other)


def test_code_length_that_does_not_divide_the_vectors_is_refused(tmp_path):
    config = IndexConfig(index_rows=0, dims_per_code=5, num_probes=2)
    with pytest.raises(UsageError, match="does not divide"):
        built(Store(tmp_path), 260, DIM, config)


FULL_DISK = """
import resource, sys
from figclip.config import UsageError
from figclip.embedding.index.build import build_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.store import Store

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    build_index(
        Store(sys.argv[1]),
        embeddings_version="e",
        pairs_version="p",
        version="full",
        config=IndexConfig(),
    )
except UsageError as error:
    print(error)
"""


def test_a_full_disk_is_said_in_a_sentence_and_nothing_is_published(store):
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, store.url], capture_output=True, text=True, timeout=120
    )
    assert "no space left" in run.stdout, run.stderr
    assert not store.is_published("index", "full")
