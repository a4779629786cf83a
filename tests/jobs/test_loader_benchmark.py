"""What both sides of the loaders' benchmark are given, and how near our crops are to Pillow's."""

import tarfile

import pyarrow.parquet as pq
import pytest

from jobs.benchmarks import loader
from jobs.benchmarks.loader import drawn_photograph, likeness_db, publish


@pytest.fixture(scope="module")
def photograph() -> bytes:
    return drawn_photograph(0)


def test_a_drawn_photograph_weighs_about_what_it_should(photograph):
    assert len(photograph) == pytest.approx(loader.TARGET_BYTES, rel=0.2)


def test_a_training_crop_of_a_jpeg_is_pillows_from_a_whole_decoding_to_65_db(photograph):
    assert likeness_db(photograph) >= 65


def test_both_sides_read_the_same_pairs(photograph, tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "NUM_PAIRS", 5)
    monkeypatch.setattr(loader, "PAIRS_PER_SHARD", 5)
    pictures = [photograph[:100], photograph[:200]]
    publish(tmp_path, pictures)
    (ours,) = (tmp_path / "pairs").rglob("*.parquet")
    rows = pq.read_table(ours, columns=["caption", "image"]).to_pylist()
    (shard,) = (tmp_path / "shards").iterdir()
    with tarfile.open(shard) as tar:
        files = {name: tar.extractfile(name).read() for name in tar.getnames()}
    assert [row["image"] for row in rows] == [files[f"{n:05d}.jpg"] for n in range(5)]
    assert [row["caption"].encode() for row in rows] == [files[f"{n:05d}.txt"] for n in range(5)]
    assert {row["image"] for row in rows} == set(pictures)
