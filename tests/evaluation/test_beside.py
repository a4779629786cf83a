"""Recall of several embeddings in one table, and what the manifests say of their encoders."""

import json
import re

import numpy as np
import pytest
from tiny import publish_tiny_embeddings, publish_tiny_pairs, unit_vectors

from figclip.config import UsageError
from figclip.embedding.vectors import read_embeddings, read_table, split_files
from figclip.evaluation.beside import pairs_of
from figclip.evaluation.report import EvaluationConfig, evaluate
from figclip.evaluation.retrieval import recall
from figclip.store import Store

DIM = 8


@pytest.fixture
def store(tmp_path) -> Store:
    """Embeddings `own` and `other` of sixty pairs, `few` of thirty; an encoder that is known."""
    store = Store(tmp_path)
    inputs = ("pairs@p", "pairs@p-panels")
    with store.publishing("encoder", "known", config={}, inputs=inputs) as publication:
        publication.counts["samples_seen"] = 1_234
    for pairs, num in (("p", 60), ("q", 30)):
        publish_tiny_pairs(store, pairs, num)
    for version, pairs, num, encoder in (
        ("own", "p", 60, "known"),
        ("other", "p", 60, "elsewhere"),
        ("few", "q", 30, "known"),
    ):
        sides = [unit_vectors(num, DIM, seed=len(version) + side) for side in (0, 1)]
        publish_tiny_embeddings(store, version, pairs, *sides, encoder=encoder)
    return store


def evaluated(store: Store, *beside: str):
    return evaluate(
        store,
        embeddings_version="own",
        pairs_version="p",
        version="v",
        config=EvaluationConfig(num_queries=2, num_resamples=50),
        command="c",
        beside=beside,
    )


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_line_holds_the_recall_of_its_own_embeddings(store):
    manifest = evaluated(store, "other", "few")
    folder = store.open("evaluation", "v")
    lines = folder.read("recall.md").decode().splitlines()
    table = [cells(line) for line in lines if " of " in line and line.startswith("|")]
    found = {
        version: read_embeddings(store, version, "test") for version in ("own", "other", "few")
    }
    for row, (version, vectors) in zip(table, found.items(), strict=True):
        expected = recall(vectors.images, vectors.texts)
        shares = [expected.text_to_image.expected[k] for k in (1, 5, 10)]
        shares += [expected.image_to_text.expected[k] for k in (1, 5, 10)]
        shares.append(1 / len(vectors.pair_ids))
        assert row[0] == f"{len(vectors.pair_ids)} of {pairs_of(store, version)}"
        assert row[4:] == [f"{100 * share:.2f} %" for share in shares]
    known = ["known", "p + p-panels", "1,234"]
    assert [row[1:4] for row in table] == [known, ["elsewhere", "?", "?"], known]
    assert manifest.inputs == ("embeddings@own", "pairs@p", "embeddings@other", "embeddings@few")
    assert [line["pairs"] for line in manifest.counts["beside"]] == ["p", "p", "q"]
    numbers = json.loads(folder.read("recall.json"))["beside"]
    assert numbers[0]["result"] == json.loads(folder.read("recall.json"))["of_pairs"]


def test_without_others_there_is_one_table(store):
    manifest = evaluated(store)
    text = store.open("evaluation", "v").read("recall.md").decode()
    assert "Recall@k beside" not in text
    assert "beside" not in manifest.counts


def test_embeddings_without_the_split_are_refused_and_named(store):
    publish_tiny_pairs(store, "small", 4)  # two articles, both of the train split
    vectors = unit_vectors(4, DIM)
    publish_tiny_embeddings(store, "small", "small", vectors, vectors)
    with pytest.raises(UsageError, match=r"embeddings@small .* no pair of the split 'test'"):
        evaluated(store, "small")
    assert not store.is_published("evaluation", "v")


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_stored_vector_that_is_not_of_numbers_is_named_by_its_pair(store, side, value):
    publish_tiny_pairs(store, "r", 60)
    sides = [unit_vectors(60, DIM, seed=side) for side in (0, 1)]
    ids = [
        pair_id
        for name in split_files(store.open("pairs", "r"), ("train", "validation", "test"))
        for pair_id in read_table(store.open("pairs", "r"), name, ["pair_id"])[0].to_pylist()
    ]
    sides[side][[-5, -2], 3] = value  # of the test split
    publish_tiny_embeddings(store, "broken", "r", *sides, encoder="known")
    named = f"embeddings@broken: a vector of pair {re.escape(ids[-5])} .* nor are 1 more: embed"
    with pytest.raises(UsageError, match=named):
        evaluated(store, "broken")
    assert not store.is_published("evaluation", "v")
