"""What is exported, read by the tools that it is for."""

import io
import json
from argparse import Namespace

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny import publish_tiny_pairs, tiny_pairs

from figclip.exports.parts import plan_parts, shard_sizes, write_part
from figclip.exports.records import ExportConfig
from figclip.schema import SPLITS
from figclip.store import Folder, Store

pytestmark = pytest.mark.reference

N = 60
PAIRS = tiny_pairs(N)
BY_SPLIT = {split: [pair for pair in PAIRS if pair.split == split] for split in SPLITS}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("readers"))
    publish_tiny_pairs(store, "p", N)
    return store


def written(store: Store, form: str) -> Folder:
    """All that an export consists of, but for its page and its manifest."""
    pairs, target = store.open("pairs", "p"), store.folder("export", form)
    config = ExportConfig(format=form, rows_per_file=10)
    clusters = pa.table({"pair_id": [PAIRS[0].pair_id], "cluster_id": ["c0"]})
    parts = plan_parts(pairs, config)
    counts = {part.name: write_part(pairs, target, part, config, clusters) for part in parts}
    if form == "webdataset":
        for name, data in shard_sizes(counts).items():
            target.write(name, data)
    target.write("README.md", b"# Figures and captions\n")
    target.write("_manifest.json", b'{"name": "export"}')
    return target


@pytest.fixture(scope="module")
def tars(store) -> Folder:
    return written(store, "webdataset")


@pytest.fixture(scope="module")
def tables(store) -> Folder:
    return written(store, "parquet")


@pytest.fixture(autouse=True)
def _caches_in_the_tests_own_folder(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def pixels_of(image: Image.Image) -> bytes:
    return image.convert("RGB").tobytes()


def expected_pixels(split: str) -> dict[str, bytes]:
    return {p.caption: pixels_of(Image.open(io.BytesIO(p.image))) for p in BY_SPLIT[split]}


def open_clip_arguments(folder: Folder, split: str) -> Namespace:
    last = max(json.loads(folder.read(f"{split}/sizes.json")))
    shards = f"{folder.path}/{split}/{{00000..{last.removesuffix('.tar')}}}.tar"
    return Namespace(
        train_data=shards,
        val_data=shards,
        train_num_samples=None,
        val_num_samples=None,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        batch_size=6,
        workers=0,
        world_size=1,
        seed=0,
    )


def through_open_clip(folder: Folder, split: str, *, is_train: bool) -> tuple[int, list]:
    """`num_samples`, and pixels by caption, from the very loader that open_clip trains with."""
    from open_clip_train.data import get_wds_dataset

    info = get_wds_dataset(
        open_clip_arguments(folder, split), pixels_of, is_train, tokenizer=lambda text: [text]
    )
    info.set_epoch(0)
    rows = [row for images, texts in info.dataloader for row in zip(texts, images, strict=True)]
    return info.dataloader.num_samples, rows


def test_open_clips_training_loader_reads_every_pair(tars):
    num_samples, rows = through_open_clip(tars, "train", is_train=True)
    # It knows from sizes.json how many there are: 36 pairs are six whole batches.
    assert len(BY_SPLIT["train"]) == num_samples == len(rows) == 36
    assert dict(rows) == expected_pixels("train")


@pytest.mark.parametrize("split", SPLITS)
def test_open_clips_evaluation_loader_reads_every_pair(tars, split):
    _, rows = through_open_clip(tars, split, is_train=False)
    assert [text for text, _ in rows] == [pair.caption for pair in BY_SPLIT[split]]
    assert dict(rows) == expected_pixels(split)


def test_webdataset_itself_gives_the_bytes_of_the_pairs(tars):
    import webdataset

    shards = sorted(f"{tars.path}/{n}" for n in tars.files() if n.endswith(".tar"))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    pairs = {pair.pair_id: pair for pair in PAIRS}
    assert len(samples) == N
    for sample in samples:
        pair = pairs.pop(json.loads(sample["json"])["pair_id"])
        assert sample["png"] == pair.image
        assert sample["txt"].decode() == pair.caption


def test_datasets_loads_the_folder_of_parquet_with_its_pictures(tables, tmp_path):
    import datasets

    found = datasets.load_dataset(tables.path, cache_dir=str(tmp_path))
    assert isinstance(found["train"].features["image"], datasets.Image)
    for split, pairs in BY_SPLIT.items():
        rows = list(found[split])
        assert [row["pair_id"] for row in rows] == [pair.pair_id for pair in pairs]
        assert {row["caption"]: pixels_of(row["image"]) for row in rows} == expected_pixels(split)
        for row, pair in zip(rows, pairs, strict=True):
            for name in set(row) - {"image", "cluster_id"}:
                assert row[name] == getattr(pair, name), name
    assert [row["cluster_id"] for row in found["train"]][:2] == ["c0", None]


def test_datasets_knows_pictures_of_a_single_parquet_file(tables, tmp_path):
    import datasets

    path = f"{tables.path}/test/00000.parquet"
    found = datasets.Dataset.from_parquet(path, cache_dir=str(tmp_path))
    assert found.features == datasets.Features.from_arrow_schema(pq.read_schema(path))
    assert pixels_of(found[0]["image"]) == expected_pixels("test")[found[0]["caption"]]


def test_pandas_reads_the_bytes_of_the_pairs(tables):
    frame = pd.read_parquet(f"{tables.path}/validation")
    pairs = BY_SPLIT["validation"]
    assert frame["pair_id"].tolist() == [pair.pair_id for pair in pairs]
    assert [image["bytes"] for image in frame["image"]] == [pair.image for pair in pairs]
    assert [list(mentions) for mentions in frame["mentions"]] == [p.mentions for p in pairs]
    years = np.array([pair.year for pair in pairs], float)
    np.testing.assert_array_equal(frame["year"].to_numpy(float), years)


def test_duckdb_reads_the_bytes_of_the_pairs(tables):
    query = f"""
        SELECT pair_id, caption, license, image.bytes, mentions[1], cluster_id
        FROM '{tables.path}/*/*.parquet' ORDER BY pair_id
    """
    expected = [
        (p.pair_id, p.caption, p.license, p.image, p.mentions[0], "c0" if p is PAIRS[0] else None)
        for p in sorted(PAIRS, key=lambda pair: pair.pair_id)
    ]
    assert duckdb.sql(query).fetchall() == expected


def test_pandas_and_datasets_read_the_lines(store, tmp_path):
    import datasets

    folder = written(store, "jsonl")
    frame = pd.read_json(f"{folder.path}/train/00000.jsonl", lines=True)
    figures = [figure for row in frame["figures"] for figure in row]
    first = BY_SPLIT["train"][:8]
    assert [figure["fig_caption"] for figure in figures] == [pair.caption for pair in first]
    for figure, pair in zip(figures, first, strict=True):
        assert folder.read(figure["graphic_ref"]) == pair.image
    files = {split: f"{folder.path}/{split}/*.jsonl" for split in SPLITS}
    found = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path))
    articles = {split: len({p.pmcid for p in pairs}) for split, pairs in BY_SPLIT.items()}
    assert {split: rows.num_rows for split, rows in found.items()} == articles
