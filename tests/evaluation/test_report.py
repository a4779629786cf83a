import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny import publish_tiny_embeddings, publish_tiny_pairs, unit_vectors

from figclip.config import UsageError
from figclip.embedding.vectors import Embeddings, read_table, split_files
from figclip.evaluation.approximate import Graph
from figclip.evaluation.grid_rows import (
    RankedQuery,
    grid_queries,
    grid_ranking,
    grid_rows,
    split_captions,
    split_images,
)
from figclip.evaluation.measures import Measure
from figclip.evaluation.report import EvaluationConfig, evaluate, recall_table, report_text
from figclip.evaluation.retrieval import caption_groups, recall
from figclip.evaluation.sources import pairs_digest
from figclip.store import Store

N, DIM = 60, 16


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    publish_tiny_pairs(store, "p", N)
    vectors = unit_vectors(N, DIM)
    noisy = vectors + 0.1 * unit_vectors(N, DIM, seed=1)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    publish_tiny_embeddings(store, "e", "p", noisy, vectors)
    return store


def evaluated(store: Store, config: EvaluationConfig | None = None, **versions: str):
    names = {"embeddings_version": "e", "pairs_version": "p", "version": "v", **versions}
    chosen = config or EvaluationConfig(num_queries=3, num_resamples=50)
    return evaluate(store, config=chosen, command="c", **names)


def test_an_evaluation_holds_a_table_its_numbers_and_a_picture(store):
    manifest = evaluated(store)
    folder = store.open("evaluation", "v")
    num_pairs = len(split_captions(store.open("pairs", "p"), "test"))
    assert manifest.counts["num_pairs"] == num_pairs
    assert manifest.counts["text_to_image_recall_at_1"] == 1
    assert manifest.counts["chance_at_1"] == pytest.approx(1 / num_pairs)
    text = folder.read("recall.md").decode()
    assert f"{num_pairs} pairs of the test split" in text
    assert "recall@10" in text
    numbers = json.loads(folder.read("recall.json"))
    assert numbers["of_pairs"]["text_to_image"]["expected"]["1"] == 1
    assert Image.open(io.BytesIO(folder.read("grid.png"))).width > 1000


def test_pictures_that_were_learned_from_are_counted_where_the_encoders_pairs_are_known(store):
    """The looks of tiny pairs come again, so that some files are of both splits."""
    evaluated(store)
    text = store.open("evaluation", "v").read("recall.md").decode()
    assert (
        "Pictures were not compared with what it has learned from: it was not trained here" in text
    )
    told = evaluated(store, version="w", trained_on=("p",))
    tables = {
        split: [
            one
            for name in split_files(store.open("pairs", "p"), [split])
            for one in read_table(store.open("pairs", "p"), name, ["image_sha256"])[0].to_pylist()
        ]
        for split in ("train", "test")
    }
    expected = sum(one in tables["train"] for one in tables["test"])
    assert expected > 0
    numbers = json.loads(store.open("evaluation", "w").read("recall.json"))
    assert numbers["num_leaked"] == expected
    said = store.open("evaluation", "w").read("recall.md").decode()
    assert f"has learned from {expected} of these pictures (compared with pairs@p)" in said
    assert told.config["trained_on"] == ["p"]


def test_the_table_says_recall_beside_chance():
    vectors = unit_vectors(50, 8)
    table = recall_table(recall(vectors, vectors))
    header, _, first, *_ = table.splitlines()
    assert [cell.strip() for cell in header.split("|")[2:5]] == [
        "text → image",
        "image → text",
        "chance",
    ]
    cells = [cell.strip() for cell in first.strip("|").split("|")]
    assert cells == ["recall@1", "100.00 %", "100.00 %", "2.00 %", "50.0 × chance", "50.0 × chance"]
    assert len({len(line) for line in table.splitlines()}) == 1


def test_ties_and_repeated_captions_are_spoken_of_only_where_there_are_some():
    vectors = unit_vectors(20, 8)
    unique = recall(vectors, vectors)
    assert "tie" not in report_text(unique, unique, split="test")
    assert "identical caption" not in report_text(unique, unique, split="test")
    doubled = vectors[[*range(19), 0]]
    groups = caption_groups([str(n) for n in [*range(19), 0]])
    text = report_text(recall(vectors, doubled), recall(vectors, doubled, groups=groups), split="x")
    assert "image → text: median rank 1; 2 queries tie" in text
    assert "identical caption counted as right" in text


def test_the_grid_shows_each_captions_nearest_figures_and_its_own_rank():
    found = Embeddings(
        [str(n) for n in range(30)], unit_vectors(30, 4), unit_vectors(30, 4, seed=1)
    )
    captions = [f"caption {n // 2}" for n in range(30)]
    queries = grid_queries(captions, num=10, seed=0)
    ranked = grid_ranking(found, queries, num_shown=3)
    assert [row.query for row in ranked] == queries
    assert len({captions[row.query] for row in ranked}) == 10
    for row in ranked:
        scores = [float(np.dot(image, found.texts[row.query])) for image in found.images]
        order = sorted(range(30), key=lambda n: -scores[n])
        assert list(row.shown) == order[:3]
        assert row.rank == order.index(row.query) + 1


def test_the_grid_has_the_same_captions_by_every_encoder_of_the_same_pairs(store):
    """After Fig. 2B, which shows two encoders below each other."""
    pairs = store.open("pairs", "p")
    captions = split_captions(pairs, "test")
    mine, theirs = (
        [RankedQuery(query, (query, other), (0.5, 0.4), rank) for query in (3, 7)]
        for other, rank in ((1, 1), (2, 5))
    )
    rows = grid_rows({"mine": mine, "theirs": theirs}, pairs, "test", captions)
    assert [(row.encoder, row.rank) for row in rows] == [("mine", 1), ("theirs", 5)] * 2
    assert [row.caption for row in rows] == [captions[n] for n in (3, 3, 7, 7)]
    assert rows[0].images[0] == rows[1].images[0] == split_images(pairs, "test", {3})[3]
    assert rows[0].is_right == (True, False)
    assert [row.encoder for row in grid_rows({"mine": mine}, pairs, "test", captions)] == ["", ""]
    publish_tiny_embeddings(
        store, "f", "p", unit_vectors(N, DIM), unit_vectors(N, DIM, seed=1), encoder="another"
    )
    alone, both = (
        Image.open(
            io.BytesIO(store.open("evaluation", evaluated(store, **words).version).read("grid.png"))
        )
        for words in ({}, {"version": "both", "beside": ("f",)})
    )
    assert both.height > 1.8 * alone.height


def test_images_are_found_by_their_number_in_the_split(store):
    pairs = store.open("pairs", "p")
    tables = [read_table(pairs, name) for name in split_files(pairs, ["train"])]
    images = [image for table in tables for image in table["image"].to_pylist()]
    numbers = {0, 7, 8, 19, len(images) - 1}
    assert split_images(pairs, "train", numbers) == {n: images[n] for n in numbers}


def test_a_split_that_was_not_embedded_is_refused(store):
    folder = store.folder("embeddings", "e")
    for name in split_files(folder, ["test"]):
        Path((folder / name).path).unlink()
    manifest = Path(folder.path) / "_manifest.json"
    values = json.loads(manifest.read_bytes())
    values["files"] = {name: size for name, size in values["files"].items() if "test" not in name}
    manifest.write_text(json.dumps(values))
    with pytest.raises(UsageError, match="embed that split"):
        evaluated(store)
    assert not store.is_published("evaluation", "v")


def test_embeddings_of_other_pairs_are_refused(store):
    publish_tiny_pairs(store, "q", N)
    with pytest.raises(UsageError, match="were not made from pairs@q"):
        evaluated(store, pairs_version="q")


def test_the_same_evaluation_again_is_kept(store):
    assert evaluated(store) == evaluated(store)
    with pytest.raises(UsageError, match="published already"):
        evaluated(store, EvaluationConfig(split="train"))


def test_a_graph_of_neighbours_stands_beside_the_exact_search(store):
    evaluated(store, EvaluationConfig(num_queries=3, with_graph=True, graph=Graph(breadth=200)))
    folder = store.open("evaluation", "v")
    found = json.loads(folder.read("recall.json"))["approximate"]
    assert found["text_to_image"]["1"] == 1
    assert found["loss"] == {"1": 0, "5": 0, "10": 0}
    assert "(HNSW) finds recall@1 100.00 % text → image" in folder.read("recall.md").decode()


def test_every_number_has_its_interval_n_encoder_checksum_and_command(store):
    """Both of the embeddings beside each other; the checksum is of what the pairs say."""
    publish_tiny_embeddings(store, "f", "p", unit_vectors(N, DIM), unit_vectors(N, DIM, seed=1))
    evaluated(store, beside=("f",))
    folder = store.open("evaluation", "v")
    plain = json.loads(folder.read("recall.json"))
    found = [Measure(**one) for one in plain["measures"]]
    assert [one.of for one in found] == ["e"] * 6 + ["f"] * 6
    for one in found:
        assert one.low <= one.value <= one.high
        assert (one.encoder, one.set, one.n) == ("encoder@none", "p, test", 12)
        assert len(one.checksum) == 64
    assert len({one.checksum for one in found}) == 1
    assert plain["command"] == "c"
    text = folder.read("recall.md").decode()
    assert text.count(found[0].checksum[:12]) == 12
    assert text.splitlines()[-1].startswith("Made by `c`, code ")


def test_the_checksum_of_pairs_is_of_their_ids_pictures_and_captions(tmp_path):
    store = Store(tmp_path)
    sums = []
    for version, changed in (
        ("a", {}),
        ("b", {}),
        ("c", {"caption": "no"}),
        ("d", {"image_sha256": "0"}),
    ):
        publish_tiny_pairs(store, version, 20)
        folder = store.folder("pairs", version)
        (name,) = split_files(folder, ["test"])
        rows = read_table(folder, name).to_pylist()
        rows[-1] |= changed
        pq.write_table(
            pa.Table.from_pylist(rows, read_table(folder, name).schema), (folder / name).path
        )
        sums.append(pairs_digest(folder, "test"))
    assert sums[0] == sums[1]
    assert len({*sums}) == 3
