"""Types of a whole corpus, told on Ray, gone on with, and drawn."""

import json
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
from figclip.embedding.taxonomy import NAMES, TAXONOMY, keywords_of
from figclip.embedding.telling import Keywords, assign_types, tell_file
from figclip.embedding.vectors import read_embeddings, read_table, split_files
from figclip.evaluation.measures import EvaluationReport
from figclip.evaluation.sets import Sets
from figclip.evaluation.type_report import draw_types, report_types, types_table
from figclip.evaluation.vqa.alone import learn_alone
from figclip.evaluation.whole import WholeConfig, evaluate_whole
from figclip.schema import SPLITS
from figclip.statistics.themes import DARK, LIGHT
from figclip.store import Store
from figclip.tasks import Workers

N, DIM = 60, 16


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    publish_tiny_pairs(store, "p", N)
    publish_tiny_encoder(store, "tiny")
    images, texts = unit_vectors(N, DIM), unit_vectors(N, DIM, seed=1)
    publish_tiny_embeddings(store, "e", "p", images, texts, encoder="tiny")
    return store


def told(store: Store, encoder: str = "tiny", version: str = "t"):
    return assign_types(
        store,
        embeddings_version="e",
        encoder_version=encoder,
        version=version,
        workers=Workers(0.5, 2),
    )


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_every_image_gets_its_type_and_a_cut_off_run_is_continued(store: Store, ray_cluster: None):
    manifest = told(store)
    encoder = Encoder.open(store.open("encoder", "tiny"))
    words, places = keywords_of(TAXONOMY)
    keywords = encoder.encode_texts(words).vectors.astype(np.float64)
    expected = dict.fromkeys(NAMES, 0)
    folder = store.open("image_types", "t")
    for split in SPLITS:
        images = read_embeddings(store, "e", split).images
        types = [NAMES[places[int(np.argmax(keywords @ image))]] for image in images]
        rows = [read_table(folder, name) for name in split_files(folder, [split])]
        assert [row for table in rows for row in table["image_type"].to_pylist()] == types
        for one in types:
            expected[one] += 1
    assert manifest.counts["types"] == expected
    assert manifest.counts["num_pairs"] == N

    names = split_files(folder, SPLITS)
    for name in ("_manifest.json", names[0]):  # as if killed before these were written
        folder.fs.delete_file((folder / name).path)
    kept = Path((folder / names[1]).path).stat().st_mtime_ns
    assert told(store).counts == manifest.counts
    assert Path((folder / names[1]).path).stat().st_mtime_ns == kept
    assert told(store) == store.manifest("image_types", "t")


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_the_whole_evaluation_counts_the_types_of_its_own_embeddings(
    store: Store, ray_cluster: None, tmp_path: Path
):
    told(store, version="e")
    config = WholeConfig(parts=("types", "retrieval"))
    manifest, _ = evaluate_whole(
        store,
        encoders=["tiny"],
        sets=Sets(str(tmp_path / "none")),
        version="all",
        config=config.with_overrides({"zero_shot.num_resamples": 5}),
        command="c",
        learn=learn_alone,
        embeddings="e",
        image_types="e",
    )
    assert "image_types@e" in manifest.inputs
    folder = store.open("evaluation", manifest.version)
    found = EvaluationReport.from_json(folder.read("report.json"))
    assert found.image_types == store.manifest("image_types", "e").counts["types"]
    assert sum(found.image_types.values()) == N
    assert folder.read("types.png").startswith(b"\x89PNG")


def test_keywords_of_another_encoder_are_refused(store: Store):
    publish_tiny_encoder(store, "other")
    with pytest.raises(UsageError, match="lie in another space"):
        told(store, "other")
    assert not store.is_published("image_types", "t")


def test_an_image_whose_vector_is_not_of_numbers_is_named_and_gets_no_type(store: Store):
    images = unit_vectors(N, DIM)
    images[1] = np.nan
    publish_tiny_embeddings(store, "broken", "p", images, unit_vectors(N, DIM), encoder="tiny")
    keywords = Keywords(("a", "b"), NAMES[:2], unit_vectors(2, DIM, seed=9))
    folder = store.open("embeddings", "broken")
    (name, *_) = split_files(folder, SPLITS)
    target = store.folder("image_types", "t")
    with pytest.raises(UsageError, match=r"a vector of pair PMC9000000\.1/F2/g1\.png is not of"):
        tell_file(name, embeddings=folder, target=target, keywords=keywords)
    assert not target.exists(name)


def test_the_report_counts_what_the_artifact_counts_the_most_frequent_first(store: Store):
    counts = dict.fromkeys(NAMES, 0) | {"X-ray": 1_500, "statistical figures": 2_500, "PET": 1_500}
    inputs = ("embeddings@e", "encoder@tiny")
    with store.publishing("image_types", "t", config={}, inputs=inputs) as publication:
        publication.counts.update(num_pairs=5_500, types=counts)
    manifest = report_types(store, types_version="t", version="types-t", command="c")
    assert manifest.counts == {"num_pairs": 5_500, "num_types": 3}
    rows = types_table(counts).rows[1:]
    assert [row[0] for row in rows[:3]] == ["statistical figures", "X-ray", "PET"]
    assert [row[3] for row in rows[:4]] == ["2,500", "1,500", "1,500", "0"]
    assert rows[0][4] == "45 %"
    assert len(rows) == 30
    folder = store.open("evaluation", "types-t")
    assert json.loads(folder.read("types.json"))["types"] == counts
    assert folder.read("types.png") == draw_types(counts, LIGHT) != folder.read("types-dark.png")
    assert folder.read("types-dark.png") == draw_types(counts, DARK)
    assert report_types(store, types_version="t", version="types-t", command="c") == manifest


def test_counts_of_nothing_are_drawn(store: Store):
    assert draw_types(dict.fromkeys(NAMES, 0), LIGHT).startswith(b"\x89PNG")
    assert types_table(dict.fromkeys(NAMES, 0)).rows[1][4] == "–"
