from pathlib import Path

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
from figclip.store import Folder, Store
from figclip.store.resume import keep_own_files

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
        **{"num_actors": 1, "cpus_per_actor": 0.5, **options},
    )


def written_at(folder: Folder, name: str) -> int:
    return Path((folder / name).path).stat().st_mtime_ns


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


def embeddings_of(folder: Folder, name: str) -> tuple[np.ndarray, np.ndarray]:
    table = read_table(folder, name)
    return matrix(table["image_embedding"]), matrix(table["text_embedding"])


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_every_pair_is_embedded_in_order_and_a_cut_off_run_is_continued(store, ray_cluster):
    manifest = embed_all(store, num_actors=2)
    pairs, folder = store.open("pairs", "p"), store.open("embeddings", "v")
    names = split_files(folder, SPLITS)
    assert names == split_files(pairs, SPLITS)
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

    whole = {name: embeddings_of(folder, name) for name in names}
    for name in ("_manifest.json", names[0], names[-1]):  # as if killed before these were written
        folder.fs.delete_file((folder / name).path)
    folder.write(f"train/.{names[0][6:]}.1234.part", b"half a fi")
    kept = {name: written_at(folder, name) for name in names[1:-1]}
    again = embed_all(store, num_actors=1)
    assert {name: written_at(folder, name) for name in names[1:-1]} == kept
    assert (again.counts, again.files.keys()) == (manifest.counts, manifest.files.keys())
    for name in names:
        np.testing.assert_array_equal(embeddings_of(folder, name), whole[name])

    # One actor that takes every CPU of the cluster: nothing else of the flow may need one. Products
    # of matrices that four threads share are rounded otherwise.
    embed_all(store, version="w", num_actors=1, cpus_per_actor=4)
    shared = store.open("embeddings", "w")
    for name in names:
        np.testing.assert_allclose(embeddings_of(shared, name), whole[name], atol=1e-6)


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_a_broken_image_stops_the_run_and_is_named(store, ray_cluster):
    pair_id = broken(store, "validation/00000.parquet", 2, b"\x89PNG no more")
    with pytest.raises(UsageError, match=f"{pair_id} cannot be decoded"):
        embed_all(store)
    assert not store.is_published("embeddings", "v")


@pytest.mark.ray
@pytest.mark.parametrize(
    ("resources", "remedy"),
    [
        ({"num_actors": 2, "cpus_per_actor": 3}, "needs 6 CPUs .* set --num-actors or --cpus-per"),
        ({"gpus_per_actor": 1}, "needs 1 GPUs .* has 0: .* --gpus-per-actor"),
    ],
)
def test_a_cluster_that_is_too_small_is_named_at_once(store, ray_cluster, resources, remedy):
    with pytest.raises(UsageError, match=remedy):
        embed_all(store, **resources)
    assert not store.is_published("embeddings", "v")


def test_what_another_plan_left_behind_is_not_taken_over(tmp_path):
    target = Store(tmp_path).folder("embeddings", "v")
    names = ["test/00000.parquet", "test/00001.parquet"]
    keep_own_files(target, {"encoder": 1}, names)
    target.write(names[0], b"vectors")
    target.write("train/00000.parquet", b"not of this plan")
    keep_own_files(target, {"encoder": 1}, names)
    assert target.files().keys() == {"_plan.json", names[0]}
    keep_own_files(target, {"encoder": 2}, names)
    assert target.files().keys() == {"_plan.json"}


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
    assert actor.write("test/00000.parquet")[1] == 28


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
