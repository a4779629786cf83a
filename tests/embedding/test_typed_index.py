"""An index whose rows know the type of their image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import (
    publish_tiny_embeddings,
    publish_tiny_encoder,
    publish_tiny_pairs,
    unit_vectors,
)

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.embedding.image_types import nearest_keywords
from figclip.embedding.index.build import build_index
from figclip.embedding.index.filters import Filters
from figclip.embedding.index.opened import open_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.embedding.taxonomy import NAMES
from figclip.embedding.telling import Keywords, embedded_keywords, tell_file
from figclip.embedding.vectors import read_embeddings, read_table, split_files
from figclip.schema import SPLITS
from figclip.store import Store

N, DIM = 60, 16


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    publish_tiny_pairs(store, "p", N)
    images, texts = unit_vectors(N, DIM), unit_vectors(N, DIM, seed=1)
    publish_tiny_embeddings(store, "e", "p", images, texts, encoder="x")
    publish_types(store, "t", "e")
    return store


def publish_types(store: Store, version: str, embeddings: str) -> Keywords:
    """Types of three keywords, without a cluster."""
    keywords = Keywords(("a", "b", "c"), NAMES[:3], unit_vectors(3, DIM, seed=9))
    folder = store.open("embeddings", embeddings)
    inputs = (f"embeddings@{embeddings}", "encoder@x")
    with store.publishing("image_types", version, config={}, inputs=inputs) as publication:
        for name in split_files(folder, SPLITS):
            tell_file(name, embeddings=folder, target=publication.folder, keywords=keywords)
    return keywords


def built(store: Store, types: str | None, version: str = "i"):
    config = IndexConfig(num_probes=5)
    return build_index(
        store,
        embeddings_version="e",
        pairs_version="p",
        version=version,
        config=config,
        types_version=types,
    )


def test_a_search_for_a_type_finds_all_of_that_type_and_no_other(store: Store):
    manifest = built(store, "t")
    assert manifest.inputs == ("embeddings@e", "pairs@p", "image_types@t")
    index = open_index(store, "i")
    truth: dict[str, set[str]] = {name: set() for name in NAMES[:3]}
    keywords = unit_vectors(3, DIM, seed=9)
    for split in SPLITS:
        found = read_embeddings(store, "e", split)
        places, _ = nearest_keywords(found.images, keywords)
        for pair_id, place in zip(found.pair_ids, places, strict=True):
            truth[NAMES[place]].add(pair_id)
    assert all(truth.values())
    query = unit_vectors(1, DIM, seed=5)[0]
    for name, pair_ids in truth.items():
        hits = index.search(query, k=N, filters=Filters(image_types=(name,)))
        assert {hit.pair_id for hit in hits} == pair_ids
        assert {hit.row["image_type"] for hit in hits} == {name}
    assert index.search(query, k=N, filters=Filters(image_types=(NAMES[20],))) == []


def test_a_filter_by_type_stands_beside_another_filter(store: Store):
    built(store, "t")
    index = open_index(store, "i")
    query = unit_vectors(1, DIM, seed=5)[0]
    licenses = Filters(licenses=("CC0", "CC BY"))
    hits = index.search(query, k=N, filters=replace(licenses, image_types=(NAMES[0],)))
    found = index.search(query, k=N, filters=licenses)
    both = [one for one in found if one.row["image_type"] == NAMES[0]]
    assert {one.pair_id for one in hits} == {one.pair_id for one in both}
    assert 0 < len(hits) < N


def test_an_index_without_types_refuses_the_filter_and_says_what_to_do(store: Store):
    built(store, None, "plain")
    index = open_index(store, "plain")
    query = unit_vectors(1, DIM)[0]
    with pytest.raises(UsageError, match=r"no image types.*jobs\.evaluate types.*--types"):
        index.search(query, filters=Filters(image_types=("X-ray",)))
    assert "image_type" not in index.search(query)[0].row


def test_a_type_that_is_none_is_refused_by_the_index(store: Store):
    built(store, "t")
    hostile = Filters(image_types=("X-ray' OR 1 = 1",))
    with pytest.raises(UsageError, match="no image type"):
        open_index(store, "i").search(unit_vectors(1, DIM)[0], filters=hostile)


def test_types_of_other_embeddings_are_refused(store: Store):
    images, texts = unit_vectors(N, DIM, seed=7), unit_vectors(N, DIM, seed=8)
    publish_tiny_embeddings(store, "other", "p", images, texts, encoder="x")
    publish_types(store, "of-others", "other")
    with pytest.raises(UsageError, match="were not told of embeddings@e"):
        built(store, "of-others")


def test_keywords_are_embedded_as_the_encoder_embeds_them_alone(tmp_path: Path):
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    encoder = Encoder.open(store.open("encoder", "tiny"))
    keywords = embedded_keywords(encoder)
    assert len(keywords.words) == len(keywords.types) == len(keywords.vectors)
    for place in (0, 17, -1):
        alone = encoder.encode_texts([keywords.words[place]]).vectors[0]
        np.testing.assert_allclose(keywords.vectors[place], alone, atol=1e-5)


def test_a_file_of_types_has_the_pairs_of_its_embeddings_in_order(store: Store):
    embeddings, types = store.open("embeddings", "e"), store.open("image_types", "t")
    for name in split_files(embeddings, SPLITS):
        told = read_table(types, name)
        assert told["pair_id"].equals(read_table(embeddings, name)["pair_id"])
        assert told.column_names == ["pair_id", "image_type", "keyword", "cosine"]
