"""Versions of an artifact that hold files for one another, on a disk and on S3 alike."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from figclip.config import UsageError
from figclip.store import Store


def publish(store: Store, version: str, own: dict[str, bytes], shared: dict[str, str]) -> None:
    with store.publishing("pairs", version, config={"v": version}) as publication:
        for name, data in own.items():
            publication.folder.write(name, data)
        publication.shared.update(shared)


@pytest.fixture
def three(store: Store) -> Store:
    """Version 3 holds one file itself, and shares one with each of its forerunners."""
    publish(store, "1", {"train/a": b"first", "train/b": b"second", "_note": b"1"}, {})
    publish(store, "2", {"train/b": b"other"}, {"train/a": "1"})
    publish(store, "3", {"train/c": b"third"}, {"train/a": "1", "train/b": "2"})
    return store


def test_a_version_reads_what_others_hold_as_its_own(three: Store):
    folder = three.open("pairs", "3")
    names = ["train/a", "train/b", "train/c"]
    assert [folder.read(name) for name in names] == [b"first", b"other", b"third"]
    assert [name for name in folder.files() if name.startswith("train/")] == names
    inner = folder / "train"
    assert (inner.read("a"), sorted(inner.files())) == (b"first", ["a", "b", "c"])
    assert inner.exists("b")
    assert not inner.exists("z")
    assert not folder.exists("_note")


def test_nothing_is_copied(three: Store):
    assert set(three.folder("pairs", "3").files()) == {"train/c", "_manifest.json"}
    manifest = three.manifest("pairs", "3")
    assert manifest.shared == {"train/a": "1", "train/b": "2"}
    assert manifest.files == {"train/a": 5, "train/b": 5, "train/c": 5}


def test_a_file_of_its_own_goes_before_a_shared_one(store: Store):
    publish(store, "1", {"a": b"old"}, {})
    publish(store, "2", {"a": b"newer"}, {"a": "1"})
    assert store.open("pairs", "2").read("a") == b"newer"
    assert store.manifest("pairs", "2").shared == {}


def test_the_loss_of_a_version_that_holds_files_is_told_with_its_name(three: Store):
    three.folder("pairs", "1").clear()
    with pytest.raises(UsageError, match=r"train/a .* pairs@1 holds them for it"):
        three.open("pairs", "3")


def test_only_what_a_published_version_holds_can_be_shared(store: Store):
    with pytest.raises(UsageError, match="pairs@0 is not published"):
        publish(store, "1", {}, {"a": "0"})
    publish(store, "1", {"a": b""}, {})
    with pytest.raises(UsageError, match="pairs@1 holds no file 'b'"):
        publish(store, "2", {}, {"b": "1"})
    assert store.versions("pairs") == ["1"]


def test_a_download_brings_all_files_together(three: Store, tmp_path: Path):
    here = three.open("pairs", "3").download(tmp_path / "here")
    found = {path.name: path.read_bytes() for path in (here / "train").iterdir()}
    assert found == {"a": b"first", "b": b"other", "c": b"third"}


def test_a_local_file_is_moved_to_a_folder_whole(store: Store, tmp_path: Path):
    folder = store.root / "x"
    with folder.scratch() as scratch:
        (scratch / "new").write_bytes(b"new" * 1000)
        assert folder.files() == {}
        folder.write("deep/a", b"old")
        folder.take("deep/a", scratch / "new")
        assert not list(scratch.iterdir())
    assert folder.files() == {"deep/a": 3000}
    folder.delete("deep/a")
    folder.delete("deep/a")
    assert folder.files() == {}


def test_what_a_killed_process_left_in_scratch_is_no_data_and_is_discarded(tmp_path: Path):
    folder = Store(tmp_path).root / "x"
    left = tmp_path / "x" / ".scratch.77.abc"
    left.mkdir(parents=True)
    (left / "train-00000.parquet").write_bytes(b"half")
    assert folder.files() == {}
    folder.discard_parts()
    assert not left.exists()


def test_parquet_is_read_through_the_folder(store: Store):
    import pyarrow as pa

    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1]}), buffer)
    publish(store, "1", {"t.parquet": buffer.getvalue().to_pybytes()}, {})
    publish(store, "2", {}, {"t.parquet": "1"})
    with store.open("pairs", "2").open("t.parquet") as file:
        assert pq.read_table(file)["x"].to_pylist() == [1]
