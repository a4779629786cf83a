import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import publish_tiny_pairs, tiny_pairs

from figclip.config import UsageError
from figclip.exports.records import ExportConfig
from figclip.exports.writing import export, read_clusters
from figclip.schema import SPLITS
from figclip.store import Store

N = 40


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    publish_tiny_pairs(store, "p", N)
    return store


def export_all(store: Store, form: str, version: str = "v", **options):
    config = ExportConfig(**{"format": form, "rows_per_file": 6, **options})
    return export(store, version, config, pairs_version="p", num_cpus_per_task=0.5, max_tasks=2)


def digests(store: Store, version: str) -> dict[str, str]:
    folder = store.open("export", version)
    names = [name for name in folder.files() if name != "_manifest.json"]
    return {name: hashlib.sha256(folder.read(name)).hexdigest() for name in names}


@pytest.mark.ray
@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", ["jsonl", "webdataset", "parquet"])
def test_a_cut_off_export_goes_on_and_ends_with_the_same_bytes(store, ray_cluster, form):
    manifest = export_all(store, form)
    expected = {split: sum(p.split == split for p in tiny_pairs(N)) for split in SPLITS}
    assert manifest.counts["splits"] == expected
    assert manifest.counts["num_pairs"] == N == sum(manifest.counts["licenses"].values())
    assert manifest.inputs == ("pairs@p",)
    whole, folder = digests(store, "v"), store.open("export", "v")
    assert "National Library of Medicine" in folder.read("README.md").decode()

    marks = [name for name in whole if name.startswith("__parts/")]
    kept = max(name for name in whole if name.startswith("train/0"))
    for name in ("_manifest.json", "README.md", marks[0]):  # as if killed before these were there
        folder.fs.delete_file((folder / name).path)
    written = folder.fs.get_file_info((folder / kept).path).mtime_ns
    assert export_all(store, form).counts == manifest.counts
    assert folder.fs.get_file_info((folder / kept).path).mtime_ns == written
    assert digests(store, "v") == whole


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_clusters_of_the_pairs_reach_the_export_through_ray(store, ray_cluster):
    pairs = [pair.pair_id for pair in tiny_pairs(N)]
    clusters = {"pair_id": pairs[1:3], "cluster_id": ["c", "c"], "kind": ["exact", "near"]}
    buffer = io.BytesIO()
    pq.write_table(pa.table(clusters), buffer)
    assert read_clusters(store.open("pairs", "p")) is None
    store.folder("pairs", "p").write("_duplicates.parquet", buffer.getvalue())
    export_all(store, "jsonl", with_images=False)
    folder = store.open("export", "v")
    found = {
        figure["pair_id"]: figure["cluster_id"]
        for name in folder.files()
        if name.endswith(".jsonl")
        for line in folder.read(name).splitlines()
        for figure in json.loads(line)["figures"]
    }
    assert found == {pair_id: "c" if pair_id in pairs[1:3] else None for pair_id in pairs}


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_a_damaged_picture_ends_the_export_by_name(store, ray_cluster):
    folder, name = store.folder("pairs", "p"), "test/00000.parquet"
    with folder.open(name) as file:
        table = pq.read_table(file)
    images = table["image"].to_pylist()
    damaged = table.set_column(
        table.schema.get_field_index("image"),
        table.schema.field("image"),
        pa.array([b"\0" * len(images[0]), *images[1:]]),
    )
    buffer = io.BytesIO()
    pq.write_table(damaged, buffer)
    folder.write(name, buffer.getvalue())
    text = json.loads(folder.read("_manifest.json"))
    text["files"][name] = folder.files()[name]
    folder.write("_manifest.json", json.dumps(text).encode())
    with pytest.raises(UsageError, match=f"{table['pair_id'][0]} is neither JPEG nor PNG"):
        export_all(store, "parquet")
    assert not store.is_published("export", "v")


def test_a_published_version_is_kept_and_never_replaced(store):
    config = ExportConfig(format="parquet", rows_per_file=6).model_dump(mode="json")
    with store.publishing("export", "v", config=config, inputs=("pairs@p",)):
        pass
    assert export_all(store, "parquet") == store.manifest("export", "v")
    with pytest.raises(UsageError, match="published already with another config"):
        export_all(store, "jsonl")


def test_pairs_without_rows_of_the_splits_are_refused(store):
    with store.publishing("pairs", "none", config={}):
        pass
    with pytest.raises(UsageError, match="pairs@none holds no pair of the splits test"):
        export(
            store,
            "v",
            ExportConfig(splits=("test",)),
            pairs_version="none",
            num_cpus_per_task=1,
            max_tasks=1,
        )
