"""Vectors in memory find what the table finds."""

import sys

import numpy as np
import pytest
from tiny import publish_tiny_embeddings, publish_tiny_pairs, unit_vectors

from figclip.config import UsageError
from figclip.embedding.index import memory
from figclip.embedding.index.build import build_index
from figclip.embedding.index.filters import EVERYTHING, Filters
from figclip.embedding.index.opened import FigureIndex, open_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.store import Store

N, DIM = 400, 16
QUERIES = unit_vectors(20, DIM, seed=9)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    publish_tiny_pairs(store, "p", N)
    vectors = unit_vectors(N, DIM)
    publish_tiny_embeddings(store, "e", "p", vectors, unit_vectors(N, DIM, seed=1))
    build_index(
        store,
        embeddings_version="e",
        pairs_version="p",
        version="i",
        config=IndexConfig(num_probes=3),
    )
    return store


@pytest.fixture(scope="module")
def table(store: Store) -> FigureIndex:
    return open_index(store, "i")


def test_one_partition_is_exact_with_filters_and_without(store: Store, table: FigureIndex):
    memory_ = open_index(store, "i", kind="memory")
    some = Filters(licenses=("CC0",), first_year=2012)
    for query in QUERIES:
        for filters, which in ((EVERYTHING, "image"), (some, "image"), (EVERYTHING, "text")):
            one, other = (
                index.nearest(query, k=12, which=which, filters=filters)
                for index in (memory_, table)
            )
            assert one.places.tolist() == other.places.tolist()
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_partitions_are_opened_until_the_nearest_are_found(
    store: Store, table: FigureIndex, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "SMALLEST_IVF", 100)
    monkeypatch.setattr(memory, "ROWS_PER_PARTITION", 20)
    many = open_index(store, "i", kind="memory")
    found = shared = 0
    for query in QUERIES:
        exact = table.nearest(query, k=10).places.tolist()
        assert many.nearest(query, k=10, exact=True).places.tolist() == exact
        shared += len(set(exact) & set(many.nearest(query, k=10).places.tolist()))
        found += 10
    assert shared / found > 0.9
    rare = Filters(first_year=2019, licenses=("CC0",))
    assert len(many.nearest(QUERIES[0], k=N, filters=rare).places) == table.count(rare) > 0


def test_without_faiss_it_says_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"figclip\[evaluation\]"):
        open_index(store, "i", kind="memory")
