"""A write to S3 that is interrupted, killed or barred replaces nothing and leaves no data.

The server is a process of its own: pyarrow closes a forgotten stream with Python's lock held, on
which a server in this process would wait.
"""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow.fs as pafs
import pytest
from s3_process import writer

from figclip.store import Folder, Store
from figclip.store import folder as folder_module

pytestmark = pytest.mark.timeout(60)

numbers = count()
PIECE = 1000
"""Bytes that these tests have uploaded at once, so that few bytes are many pieces."""

OLD, NEW = b"old" * 1000, os.urandom(2 * PIECE + 1)
LARGE = os.urandom(11 * 2**20)
"""More than pyarrow keeps back, and than one piece has as it is."""


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "UPLOAD_BYTES", PIECE)


@pytest.fixture
def client(moto_process: str) -> Any:
    return writer(moto_process)


@pytest.fixture
def store(moto_process: str, client: Any) -> Store:
    bucket = f"whole-{next(numbers)}"
    client.create_bucket(Bucket=bucket)
    host = moto_process.removeprefix("http://")
    options = f"endpoint_override={host}&scheme=http&region=us-east-1"
    return Store(f"s3://test:test@{bucket}/some?{options}")


@pytest.fixture
def folder(store: Store) -> Folder:
    """Of one file, `train/a`, that is old."""
    folder = store.folder("pairs", "1")
    folder.write("train/a", OLD)
    return folder


def objects(client: Any, folder: Folder) -> dict[str, bytes]:
    """What the bucket holds: path below the folder → bytes, but for marks of folders."""
    bucket, _, prefix = folder.path.partition("/")
    listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    keys = [entry["Key"] for entry in listed if not entry["Key"].endswith("/")]
    return {
        key.removeprefix(f"{prefix}/"): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
    }


def write(folder: Folder, scratch: Path) -> None:
    folder.write("train/a", NEW)


def take(folder: Folder, scratch: Path) -> None:
    (scratch / "new").write_bytes(NEW)
    folder.take("train/a", scratch / "new")


def upload(folder: Folder, scratch: Path) -> None:
    (scratch / "train").mkdir(exist_ok=True)
    (scratch / "train" / "a").write_bytes(NEW)
    folder.upload(scratch)


every_way = pytest.mark.parametrize("change", [write, take, upload])
Change = Callable[[Folder, Path], None]


def at_every_line(what: Callable[[], None], body: Callable[[], None]) -> None:
    """Call `what` before each line of code that writes to a folder."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in (folder_module.__file__, folder_module.shutil.__file__):
            return None
        if event == "line":
            what()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        body()
    finally:
        sys.settrace(before)


def interrupted(body: Callable[[], None], *, at: int) -> bool:
    """Whether the body came as far as the line of that number, before which it was interrupted."""
    lines = count()

    def interrupt() -> None:
        if next(lines) == at:
            raise KeyboardInterrupt

    try:
        at_every_line(interrupt, body)
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.usefixtures("small_pieces")
@every_way
def test_an_interruption_anywhere_leaves_the_old_file_or_the_new_one_and_no_other(
    change: Change, folder: Folder, client: Any, tmp_path: Path
):
    found = []
    for line in count():
        folder.write("train/a", OLD)
        if not interrupted(lambda: change(folder, tmp_path), at=line):
            break
        found.append(objects(client, folder)["train/a"])
        assert found[-1] in (OLD, NEW), f"half a file, at line {line}"
        assert folder.files() == {"train/a": len(found[-1])}
        if change is take and found[-1] == OLD:
            assert (tmp_path / "new").read_bytes() == NEW
    assert len(found) > 10
    assert OLD in found
    assert objects(client, folder)["train/a"] == NEW
    folder.discard_parts()
    assert set(objects(client, folder)) == {"train/a"}


@pytest.mark.usefixtures("small_pieces")
@every_way
def test_a_reader_sees_the_old_file_until_it_sees_the_new_one(
    change: Change, folder: Folder, client: Any, tmp_path: Path
):
    seen: list[bytes] = []
    at_every_line(
        lambda: seen.append(objects(client, folder)["train/a"]), lambda: change(folder, tmp_path)
    )
    changed = seen.index(NEW) if NEW in seen else len(seen)
    assert seen == [OLD] * changed + [NEW] * (len(seen) - changed)
    assert changed > 10
    assert objects(client, folder) == {"train/a": NEW}


class _Unreadable(io.BytesIO):
    """A file on a disk that fails after the first piece."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("change", [take, upload])
def test_a_file_that_cannot_be_read_to_its_end_replaces_nothing(
    change: Change,
    folder: Folder,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    opened = Path.open

    def failing(path: Path, mode: str = "r", **options: Any) -> Any:
        return _Unreadable(LARGE) if mode == "rb" else opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", failing)
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: opened(path, "wb").write(data))
    with pytest.raises(OSError, match="Input/output"):
        change(folder, tmp_path)
    assert objects(client, folder) == {"train/a": OLD}
    assert [path for path in tmp_path.rglob("*") if path.is_file()], "the file is lost"


@pytest.mark.parametrize("name", ["a", "deep/ü d", "deep/1+1=2%20&?.x"])
@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "small", "large"])
def test_any_file_of_any_name_goes_up_as_it_is(name: str, data: bytes, folder: Folder, client: Any):
    folder.write(name, data)
    assert objects(client, folder) == {"train/a": OLD, name: data}


DIE = """
import sys, time
import pyarrow.fs as pafs
from figclip.store import Folder

class Stuck(pafs.S3FileSystem):
    def move(self, source, target):
        print("uploaded", flush=True)
        time.sleep(60)

fs = Stuck(access_key="test", secret_key="test", region="us-east-1", scheme="http",
           endpoint_override=sys.argv[1])
Folder(fs, sys.argv[2]).write("train/a", b"new")
"""


def test_what_a_killed_process_had_uploaded_is_no_data_and_is_discarded(
    store: Store, folder: Folder, client: Any, moto_process: str
):
    command = [sys.executable, "-c", DIE, moto_process.removeprefix("http://"), folder.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    assert process.stdout.readline() == "uploaded\n"
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    assert len(objects(client, folder)) == 2
    assert objects(client, folder)["train/a"] == OLD
    assert folder.files() == {"train/a": len(OLD)}
    with store.publishing("pairs", "1", config={}, resume=True):
        assert objects(client, folder) == {"train/a": OLD}
    assert store.manifest("pairs", "1").files == {"train/a": len(OLD)}


def test_only_parts_and_only_those_of_the_folder_are_discarded(
    store: Store, folder: Folder, client: Any
):
    parts = [".x.1.part", "train/.ü d.2.part", "train/deep/.x.3.part"]
    others = ["x.part", "train/.x", ".part/x", "_x.part", "train/.x.part.parquet"]
    bucket, _, prefix = folder.path.partition("/")
    neighbour = store.folder("pairs", "10")
    client.put_object(Bucket=bucket, Key=f"{prefix}0/.x.4.part", Body=b"y")
    for name in parts + others:
        client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=b"x")
    assert set(folder.files()) == {"train/a", *others}
    folder.discard_parts()
    assert set(objects(client, folder)) == {"train/a", *others}
    assert set(objects(client, neighbour)) == {".x.4.part"}
    store.folder("pairs", "none").discard_parts()


def test_a_writer_whose_part_is_discarded_fails_and_replaces_nothing(
    folder: Folder, client: Any, moto_process: str
):
    class Late(pafs.S3FileSystem):
        def move(self, source: str, target: str) -> None:
            folder.discard_parts()
            super().move(source, target)

    host = moto_process.removeprefix("http://")
    late = Late(access_key="test", secret_key="test", scheme="http", endpoint_override=host)
    with pytest.raises(OSError, match="train/a"):
        Folder(late, folder.path).write("train/a", NEW)
    assert objects(client, folder) == {"train/a": OLD}


@pytest.mark.usefixtures("small_pieces")
def test_what_is_too_large_for_a_copy_goes_to_its_place_and_not_by_halves(
    folder: Folder, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(folder_module, "COPIED_BYTES", len(NEW) - 1)
    take(folder, tmp_path)
    assert objects(client, folder) == {"train/a": NEW}
    for line in count():
        folder.write("train/a", OLD)
        if not interrupted(lambda: take(folder, tmp_path), at=line):
            break
        assert objects(client, folder).get("train/a", OLD) in (OLD, NEW)
    assert line > 10
