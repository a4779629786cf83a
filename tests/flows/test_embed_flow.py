import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tiny import publish_tiny_encoder, publish_tiny_pairs

from figclip.config import UsageError
from figclip.embedding.bulk import FileEmbedder, FileTask, embed, embedded_file
from figclip.embedding.encoder import Encoder
from figclip.embedding.vectors import matrix, read_embeddings, read_table, split_files
from figclip.schema import SPLITS
from figclip.store import Store

N = 60


@pytest.fixture
def store(tmp_path) -> Store:
    torch.set_num_threads(1)
    store = Store(tmp_path / "store")
    publish_tiny_pairs(store, "p", N)
    publish_tiny_encoder(store, "e")
    return store


def embed_all(store: Store, version: str = "v", **options):
    return embed(
        store,
        pairs_version="p",
        encoder_version="e",
        version=version,
        batch_size=3,
        **{"num_actors": 2, "cpus_per_actor": 0.5, **options},
    )


def broken(store: Store, name: str, row: int, data: bytes) -> str:
    """Put other bytes in place of an image; its pair's id."""
    folder = store.folder("pairs", "p")
    table = read_table(folder, name)
    images = table["image"].to_pylist()
    images[row] = data
    column = table.schema.get_field_index("image")
    pq.write_table(
        table.set_column(column, table.schema.field(column), [images]), (folder / name).path
    )
    manifest = store.folder("pairs", "p")
    text = manifest.read("_manifest.json").decode()
    old = store.manifest("pairs", "p").files[name]
    size = manifest.files()[name]
    manifest.write("_manifest.json", text.replace(f'"{name}": {old}', f'"{name}": {size}').encode())
    return table["pair_id"][row].as_py()


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_every_pair_is_embedded_in_order_beside_its_file(store, ray_cluster):
    manifest = embed_all(store)
    pairs, folder = store.open("pairs", "p"), store.open("embeddings", "v")
    assert split_files(folder, SPLITS) == split_files(pairs, SPLITS)
    assert manifest.counts["num_pairs"] == N
    assert manifest.counts["dim"] == 16
    assert manifest.inputs == ("pairs@p", "encoder@e")
    encoder = Encoder.open(store.open("encoder", "e"), device="cpu")
    for split in SPLITS:
        found = read_embeddings(store, "v", split)
        assert manifest.counts["splits"][split] == len(found.pair_ids)
        tables = [read_table(pairs, name) for name in split_files(pairs, [split])]
        rows = [row for table in tables for row in table.to_pylist()]
        assert found.pair_ids == [row["pair_id"] for row in rows]
        images = encoder.encode_images([row["image"] for row in rows])
        texts = encoder.encode_texts([row["caption"] for row in rows]).vectors
        np.testing.assert_allclose(found.images, images, atol=1e-5)
        np.testing.assert_allclose(found.texts, texts, atol=1e-5)


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_a_rerun_keeps_finished_files_and_makes_the_missing_ones(store, ray_cluster):
    embed_all(store, "whole")
    embed_all(store, "cut")
    cut = store.folder("embeddings", "cut")
    names = split_files(cut, SPLITS)
    for name in ("_manifest.json", names[0], names[-1]):  # as if killed before these were written
        cut.fs.delete_file((cut / name).path)
    cut.write(f"train/.{names[0][6:]}.1234.part", b"half a fi")
    kept = {name: os.stat((cut / name).path).st_mtime_ns for name in names[1:-1]}
    embed_all(store, "cut")
    assert {name: os.stat((cut / name).path).st_mtime_ns for name in names[1:-1]} == kept
    whole = store.folder("embeddings", "whole")
    assert (
        store.manifest("embeddings", "cut").files.keys()
        == store.manifest("embeddings", "whole").files.keys()
    )
    for name in names:
        for column in ("image_embedding", "text_embedding"):
            np.testing.assert_array_equal(
                matrix(read_table(cut, name)[column]), matrix(read_table(whole, name)[column])
            )


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_what_another_plan_left_behind_is_not_taken_over(store, ray_cluster):
    publish_tiny_encoder(store, "other", seed=1)
    embed_all(store)
    folder = store.folder("embeddings", "v")
    folder.fs.delete_file((folder / "_manifest.json").path)
    old = read_table(folder, "test/00000.parquet")
    embed(
        store,
        pairs_version="p",
        encoder_version="other",
        version="v",
        splits=["test"],
        num_actors=1,
        cpus_per_actor=0.5,
    )
    assert {name.split("/")[0] for name in split_files(folder, SPLITS)} == {"test"}
    new = read_table(folder, "test/00000.parquet")
    assert np.abs(matrix(new["image_embedding"]) - matrix(old["image_embedding"])).max() > 0.01


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_a_broken_image_stops_the_run_and_is_named(store, ray_cluster):
    pair_id = broken(store, "validation/00000.parquet", 2, b"\x89PNG no more")
    with pytest.raises(UsageError, match=f"{pair_id} cannot be decoded"):
        embed_all(store)
    assert not store.is_published("embeddings", "v")


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_actors_that_take_every_cpu_still_finish(store, ray_cluster):
    manifest = embed_all(store, num_actors=4, cpus_per_actor=1)
    assert manifest.counts["num_pairs"] == N


def test_a_full_disk_comes_back_as_its_number(store, tmp_path):
    target = store.root / "embeddings" / "full"

    class FullFolder(type(target)):
        def write(self, name, data):
            raise OSError(28, "No space left on device")

    task = FileTask(
        store.open("pairs", "p"),
        store.open("encoder", "e"),
        FullFolder(target.fs, target.path),
        batch_size=4,
        precision="fp32",
    )
    actor = FileEmbedder(task, device="cpu", num_threads=1)
    answer = actor({"name": np.array(["test/00000.parquet"])})
    assert answer["errno"].tolist() == [28]


def test_an_encoder_that_diverged_embeds_nothing(store):
    encoder = Encoder.open(store.open("encoder", "e"), device="cpu")
    with torch.no_grad():
        encoder._clip.visual.head.proj.weight.fill_(torch.nan)
    with pytest.raises(UsageError, match="did its training diverge"):
        embedded_file(
            encoder, store.open("pairs", "p"), "test/00000.parquet", batch_size=4, num_threads=1
        )


def test_a_published_version_is_kept_and_never_replaced(store):
    with store.publishing(
        "embeddings",
        "v",
        config={"splits": list(SPLITS), "precision": "fp32"},
        inputs=("pairs@p", "encoder@e"),
    ):
        pass
    assert embed_all(store) == store.manifest("embeddings", "v")
    with pytest.raises(UsageError, match="published already"):
        embed_all(store, splits=["test"])


def test_splits_without_pairs_are_refused(store):
    with pytest.raises(UsageError, match="no pair of the splits none"):
        embed_all(store, splits=["none"])


@pytest.mark.parametrize("batch_size", [1, 5, 100])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_batches_and_threads_do_not_change_a_files_embeddings(store, batch_size, num_threads):
    encoder = Encoder.open(store.open("encoder", "e"), device="cpu")
    pairs = store.open("pairs", "p")
    name = "train/00000.parquet"
    rows = read_table(pairs, name)
    found = embedded_file(encoder, pairs, name, batch_size=batch_size, num_threads=num_threads)
    assert found["pair_id"].equals(rows["pair_id"])
    expected = encoder.encode_images(rows["image"].to_pylist())
    np.testing.assert_allclose(matrix(found["image_embedding"]), expected, atol=1e-5)
