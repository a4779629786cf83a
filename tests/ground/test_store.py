"""Artifacts are whole or absent, on a disk and on S3 alike."""

import json
import pickle
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip import __version__
from figclip.config import UsageError
from figclip.store import MANIFEST, Folder, Store
from figclip.store import artifacts as store_module
from figclip.store.folder import only_one_process

numbers = count()


def publish(
    store: Store,
    version: str = "1",
    *,
    config: dict[str, Any] | None = None,
    resume: bool = False,
    body: Callable[[Folder], object] = lambda folder: None,
) -> None:
    with store.publishing("pairs", version, config=config or {}, resume=resume) as publication:
        publication.folder.write("train/00000.bin", b"data")
        publication.folder.write("_plan.json", b"{}")
        publication.counts["num_pairs"] = 7
        body(publication.folder)


def test_an_artifact_is_published_with_all_that_is_known_of_it(store: Store):
    config = {"seed": 1, "kinds": ("fig", "table"), "rate": 0.5, "none": None}
    with store.publishing("pairs", "2026.11", config=config, inputs=("raw@1",)) as publication:
        publication.folder.write("train/00000.bin", b"data")
        (publication.folder / "train").write("1.bin", b"")
        publication.counts["num_pairs"] = np.int64(7)
        assert not store.is_published("pairs", "2026.11")
    assert store.is_published("pairs", "2026.11")
    manifest = store.manifest("pairs", "2026.11")
    assert (manifest.name, manifest.version) == ("pairs", "2026.11")
    assert manifest.config == {"seed": 1, "kinds": ["fig", "table"], "rate": 0.5, "none": None}
    assert manifest.inputs == ("raw@1",)
    assert manifest.counts == {"num_pairs": 7}
    assert manifest.files == {"train/00000.bin": 4, "train/1.bin": 0}
    folder = store.open("pairs", "2026.11")
    assert folder.read("train/00000.bin") == b"data"
    assert (folder.exists("train/1.bin"), folder.exists("train"), folder.exists("x")) == (1, 0, 0)


def test_a_crash_in_the_body_publishes_nothing_and_the_next_try_starts_empty(store: Store):
    def crash(folder: Folder) -> None:
        folder.write("half", b"")
        raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        publish(store, body=crash)
    assert not store.is_published("pairs", "1")
    assert store.versions("pairs") == []
    with pytest.raises(UsageError, match=r"pairs@1 is not published.*: none"):
        store.open("pairs", "1")
    publish(store)
    assert set(store.manifest("pairs", "1").files) == {"train/00000.bin", "_plan.json"}


def test_a_try_that_resumes_finds_what_the_last_one_left(store: Store):
    def crash(folder: Folder) -> None:
        folder.write("shard", b"kept")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(store, body=crash)
    publish(store, resume=True, body=lambda folder: folder.read("shard") == b"kept" or 1 / 0)
    assert store.open("pairs", "1").read("shard") == b"kept"


def test_a_published_version_is_never_written_again(store: Store):
    publish(store)
    for resume in (True, False):
        with pytest.raises(UsageError, match=r"published already; a new run needs a new version"):
            publish(store, resume=resume, body=lambda folder: pytest.fail("the body ran"))
    assert store.open("pairs", "1").read("train/00000.bin") == b"data"


def all_files(folder: Folder) -> dict[str, bytes]:
    return {name: folder.read(name) for name in folder.files()}


@pytest.mark.parametrize("resume", [False, True])
def test_what_another_published_meanwhile_is_not_published_over(
    store: Store, resume: bool, monkeypatch: pytest.MonkeyPatch
):
    """As where a disk or S3 knows no locks, so that two bodies run at once."""
    monkeypatch.setattr(store_module, "only_one_process", lambda *_: nullcontext())
    first: dict[str, bytes] = {}

    def publish_another(folder: Folder) -> None:
        publish(store, config={"first": True}, body=lambda folder: folder.write("x", b"1"))
        first.update(all_files(folder))

    with pytest.raises(UsageError, match="published already"):
        publish(store, config={"first": False}, resume=resume, body=publish_another)
    assert store.manifest("pairs", "1").config == {"first": True}
    assert set(first) == {"train/00000.bin", "_plan.json", "x", MANIFEST}
    assert all_files(store.open("pairs", "1")) == first


@pytest.mark.parametrize("resume", [False, True])
def test_what_was_published_between_the_look_and_the_emptying_is_not_emptied(
    store: Store, resume: bool, monkeypatch: pytest.MonkeyPatch
):
    """The other one publishes, and lets go of the lock, just before this one takes it."""
    first: dict[str, bytes] = {}

    @contextmanager
    def published_meanwhile(folder: Folder, what: str) -> Iterator[None]:
        monkeypatch.setattr(store_module, "only_one_process", only_one_process)
        publish(store)
        first.update(all_files(folder))
        yield

    monkeypatch.setattr(store_module, "only_one_process", published_meanwhile)
    with pytest.raises(UsageError, match="published already"):
        publish(store, resume=resume, body=lambda folder: pytest.fail("the body ran"))
    assert first
    assert all_files(store.open("pairs", "1")) == first


def test_on_a_disk_nobody_else_publishes_a_version_in_the_making(tmp_path: Path):
    store = Store(tmp_path)

    def publish_another(folder: Folder) -> None:
        publish(store, "2")
        before = all_files(folder)
        for resume in (True, False):
            with pytest.raises(UsageError, match="pairs@1 is being published by another process"):
                publish(store, resume=resume, body=lambda folder: pytest.fail("the body ran"))
        assert all_files(folder) == before

    publish(store, body=publish_another)
    assert store.versions("pairs") == ["2", "1"]
    assert set(store.open("pairs", "1").files()) == {"train/00000.bin", "_plan.json", MANIFEST}


def test_the_same_call_again_has_nothing_to_do(store: Store):
    config = {"kinds": ("fig",), "seed": 1}
    assert not store.already_published("pairs", "1", config)
    publish(store, config=config)
    assert store.already_published("pairs", "1", config)
    assert store.already_published("pairs", "1", {"seed": 1, "kinds": ["fig"]})
    for other, inputs in (({"seed": 2}, ()), (config, ("raw@1",))):
        with pytest.raises(UsageError, match="already with another config or other inputs"):
            store.already_published("pairs", "1", other, inputs)


def test_files_that_are_lost_or_cut_are_noticed(store: Store):
    publish(store)
    folder = store.folder("pairs", "1")
    folder.write("train/00000.bin", b"dat")
    with pytest.raises(UsageError, match=r"damaged: train/00000\.bin .*run its job again"):
        store.open("pairs", "1")
    folder.write("train/00000.bin", b"DATA")
    store.open("pairs", "1")
    folder.fs.delete_file(f"{folder.path}/_plan.json")
    with pytest.raises(UsageError, match=r"damaged: _plan\.json"):
        store.open("pairs", "1")
    folder.write(MANIFEST, b"{}")
    with pytest.raises(UsageError, match=r"manifest of pairs@1 .* is damaged"):
        store.manifest("pairs", "1")


def test_versions_stand_in_the_order_of_their_publication(store: Store):
    for version in ("b", "a", "10", "9"):
        publish(store, version)
    (store.root / "pairs" / "unfinished").write("x", b"")
    assert store.versions("pairs") == ["b", "a", "10", "9"]
    assert store.versions("nothing") == []
    with pytest.raises(UsageError, match="published versions of pairs: b, a, 10, 9"):
        store.manifest("pairs", "8")


def test_folders_go_up_and_come_down_as_they_are(store: Store, tmp_path: Path):
    here = tmp_path / "here"
    files = {"a": b"1", "b/c.txt": b"", "b/ü d": b"\0" * 10}
    for name, data in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)
    folder = store.root / "anywhere"
    folder.upload(here)
    assert folder.files() == {name: len(data) for name, data in sorted(files.items())}
    there = folder.download(tmp_path / "there")
    assert {
        path.relative_to(there).as_posix(): path.read_bytes()
        for path in there.rglob("*")
        if path.is_file()
    } == files
    if isinstance(folder.fs, pafs.LocalFileSystem):
        assert there == Path(folder.path)
    folder.clear()
    assert folder.files() == {}
    folder.clear()


def test_pyarrow_takes_the_data_and_leaves_what_begins_with_an_underscore(store: Store):
    table = pa.table({"x": [1, 2]})
    with store.publishing("pairs", "1", config={}) as publication:
        folder = publication.folder
        folder.write("_ledger/t.parquet", b"is not read")
        folder.fs.create_dir(f"{folder.path}/train")
        pq.write_table(table, f"{folder.path}/train/t.parquet", filesystem=folder.fs)
    folder = store.open("pairs", "1")
    assert pq.read_table(folder.path, filesystem=folder.fs).equals(table)


def test_stores_and_folders_pickle(store: Store):
    publish(store)
    again = pickle.loads(pickle.dumps(store))
    assert again.versions("pairs") == ["1"]
    assert pickle.loads(pickle.dumps(store.open("pairs", "1"))).read("_plan.json") == b"{}"


def test_a_config_that_is_no_json_fails_before_the_work(store: Store):
    with pytest.raises(AttributeError):
        publish(store, config={"path": Path("x")}, body=lambda folder: pytest.fail("it ran"))
    assert store.root.files() == {}


@pytest.mark.parametrize(
    "word", ["", ".", "..", "../x", "a/b", "/a", "_x", ".x", "a b", "a\n", "ü"]
)
def test_a_name_that_is_no_folder_name_is_refused_before_anything_is_deleted(
    word: str, tmp_path: Path
):
    store = Store(tmp_path / "artifacts")
    publish(store)
    for name, version in ((word, "1"), ("pairs", word)):
        with (
            pytest.raises(UsageError, match="cannot name an artifact or a version"),
            store.publishing(name, version, config={}),
        ):
            pytest.fail("the body ran")
    assert store.open("pairs", "1").read("train/00000.bin") == b"data"


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,9}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    version=names,
    config=st.dictionaries(st.text(), json_values, max_size=3),
    counts=st.dictionaries(st.text(), json_values, max_size=3),
)
@settings(max_examples=30, deadline=None)
def test_a_manifest_keeps_every_plain_value(
    tmp_path_factory: pytest.TempPathFactory,
    version: str,
    config: dict[str, Any],
    counts: dict[str, Any],
):
    store = Store(tmp_path_factory.mktemp("law"))
    with store.publishing("any", version, config=config) as publication:
        publication.counts.update(counts)
    manifest = store.manifest("any", version)
    assert (manifest.config, manifest.counts) == (config, counts)
    assert store.versions("any") == [version]


def test_a_place_that_cannot_be_a_store_is_refused_at_once(
    tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "file"
    file.touch()
    for url, remedy in [
        (file, "is a file; a store is a folder"),
        ("nowhere://x", "name a folder or s3://bucket/prefix"),
        (re.sub("store-[0-9]+", "no-such-bucket", s3_url), "no bucket 'no-such-bucket'; make it"),
    ]:
        with pytest.raises(UsageError, match=remedy):
            Store(url)
    with pytest.raises(UsageError, match=r"not writable \(Not a directory\): choose another"):
        publish(Store(file / "below"))


def test_faults_of_s3_in_the_body_name_the_remedy(s3_url: str, s3_client: Any):
    store = Store(s3_url)

    def lose_the_bucket(folder: Folder) -> None:
        bucket = folder.path.partition("/")[0]
        for entry in s3_client.list_objects_v2(Bucket=bucket)["Contents"]:
            s3_client.delete_object(Bucket=bucket, Key=entry["Key"])
        s3_client.delete_bucket(Bucket=bucket)
        folder.write("more", b"x")

    with pytest.raises(UsageError, match="check bucket, endpoint and credentials"):
        publish(store, body=lose_the_bucket)


def test_the_endpoint_may_stand_in_the_environment(
    s3_url: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
):
    publish(Store(s3_url))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    assert Store(s3_url.partition("?")[0] + "?region=us-east-1").versions("pairs") == ["1"]


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_code_revision_is_that_of_the_checkout_that_tracks_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = tmp_path / "checkout" / "store.py"
    code.parent.mkdir()
    code.touch()
    monkeypatch.setattr(store_module, "__file__", str(code))
    assert store_module.code_revision() == f"figclip {__version__}"
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Somebody else's")
    assert store_module.code_revision() == f"figclip {__version__}"  # installed below a checkout
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Track it")
    assert store_module.code_revision() == git(tmp_path, "rev-parse", "HEAD")
    code.write_text("changed")
    assert store_module.code_revision() == git(tmp_path, "rev-parse", "HEAD") + "+changes"
    monkeypatch.setenv("PATH", "")
    assert store_module.code_revision() == f"figclip {__version__}"


def test_a_manifest_is_json_that_people_can_read(tmp_path: Path):
    publish(Store(tmp_path), config={"title": "Größe"})
    text = (tmp_path / "pairs" / "1" / MANIFEST).read_text(encoding="utf-8")
    assert "Größe" in text
    assert json.loads(text)["counts"] == {"num_pairs": 7}
