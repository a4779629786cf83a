"""A killed process, a full disk, a read-only one: nothing partial is published, and why is said."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from figclip.config import UsageError
from figclip.store import Store
from figclip.store.folder import clear_disk_errors

PUBLISH = """
import os, sys, time
from figclip.config import UsageError
from figclip.store import Store

def publish(root, size=10, parquet=False):
    with Store(root).publishing("pairs", "1", config={}, resume=True) as publication:
        folder = publication.folder
        if not folder.exists("00000"):
            folder.write("00000", b"first")
        if parquet:
            import pyarrow as pa, pyarrow.parquet as pq
            folder.fs.create_dir(f"{folder.path}/train")
            table = pa.table({"x": [os.urandom(1000) for _ in range(size // 1000)]})
            pq.write_table(table, f"{folder.path}/train/t.parquet", filesystem=folder.fs)
        folder.write("00001", os.urandom(size))
"""


def child(code: str, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PUBLISH + code, *args]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.timeout(60)
def test_a_process_killed_in_the_middle_of_a_file_leaves_nothing_published(tmp_path: Path):
    stop_before_the_rename = """
fsync, files = os.fsync, []
def stuck(number):
    fsync(number)
    files.append(number)
    if len(files) == 2:
        print("in the second file", flush=True)
        time.sleep(60)
os.fsync = stuck
publish(sys.argv[1])
"""
    process = child(stop_before_the_rename, str(tmp_path))
    assert process.stdout
    assert process.stdout.readline() == "in the second file\n"
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    store = Store(tmp_path)
    assert not store.is_published("pairs", "1")
    folder = store.folder("pairs", "1")
    assert list(Path(folder.path).glob(".00001.*.part")), "the file was not yet in the making"
    assert folder.files() == {"00000": 5}

    assert child("publish(sys.argv[1])", str(tmp_path)).wait() == 0
    assert store.manifest("pairs", "1").files == {"00000": 5, "00001": 10}
    names = {path.name for path in Path(folder.path).iterdir()}
    assert names == {"00000", "00001", "_manifest.json"}


@pytest.mark.timeout(60)
def test_a_publisher_bars_another_process_while_it_lives_and_no_longer(tmp_path: Path):
    stay = """
with Store(sys.argv[1]).publishing("pairs", "1", config={}) as publication:
    publication.folder.write("00000", b"first")
    print("in the body", flush=True)
    time.sleep(60)
"""
    process = child(stay, str(tmp_path))
    assert process.stdout
    assert process.stdout.readline() == "in the body\n"
    told, _ = child(TELL, str(tmp_path), "10", "").communicate(timeout=30)
    assert "pairs@1 is being published by another process" in told
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert child("publish(sys.argv[1])", str(tmp_path)).wait() == 0
    assert Store(tmp_path).manifest("pairs", "1").files == {"00000": 5, "00001": 10}


TELL = """
try:
    publish(sys.argv[1], size=int(sys.argv[2]), parquet=sys.argv[3] == "parquet")
except UsageError as error:
    print(error)
"""
REMEDY = "free some or choose another --store, then run the same command again"


@pytest.mark.parametrize("parquet", ["", "parquet"])
def test_a_file_system_that_takes_no_more_names_the_remedy(parquet: str, tmp_path: Path):
    limit = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n" + TELL
    )
    told, _ = child(limit, str(tmp_path), "200000", parquet).communicate(timeout=60)
    assert told.startswith("no space left for ")
    assert REMEDY in told
    store = Store(tmp_path)
    assert not store.is_published("pairs", "1")
    assert "00001" not in store.folder("pairs", "1").files()
    assert not list(tmp_path.rglob(".*.part"))


def on_a_small_disk(tmp_path: Path, *, read_only: bool, size: str, parquet: str = "") -> str:
    """What the child says on a disk of its own of 1 MB, and then what it has published there."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare")
    options = "ro,size=1m" if read_only else "size=1m"
    mount = f"mount -t tmpfs -o {options} none {tmp_path}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("no right to mount a disk")
    code = (
        PUBLISH + TELL + "from pathlib import Path\n"
        "print(sorted(p.name for p in Path(sys.argv[1]).rglob('*') if p.is_file()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), size, parquet]
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *command],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout


@pytest.mark.parametrize("parquet", ["", "parquet"])
def test_a_full_disk_names_the_remedy_and_publishes_nothing(parquet: str, tmp_path: Path):
    told, left = on_a_small_disk(
        tmp_path, read_only=False, size="2000000", parquet=parquet
    ).splitlines()
    assert told.startswith("no space left for ")
    assert REMEDY in told
    assert "00000" in left
    assert "00001" not in left
    assert "_manifest.json" not in left


def test_a_read_only_disk_names_the_remedy(tmp_path: Path):
    told, left = on_a_small_disk(tmp_path, read_only=True, size="10").splitlines()
    assert told.endswith("is not writable (Read-only file system): choose another --store")
    assert left == "[]"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("ray::f()\n  raise OSError\nOSError: [Errno 28] No space left on device: 'x'", REMEDY),
        (
            "ray::f()\nfigclip.config.UsageError: s3://x: check the network\n\nmore",
            "^s3://x: check the network$",
        ),
        ("When putting: AWS Error ACCESS_DENIED during PutObject", "check bucket, endpoint and"),
    ],
)
def test_a_fault_within_a_task_keeps_its_remedy(text: str, remedy: str):
    """Ray hands on the error of a task as one of its own, with the task's trace as its text."""
    with pytest.raises(UsageError, match=remedy) as caught, clear_disk_errors("here"):
        raise RuntimeError(text)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file"), ValueError("x"), UsageError("do y")]
)
def test_other_errors_travel_up_whole(error: Exception):
    with pytest.raises(type(error)) as caught, clear_disk_errors("here"):
        raise error
    assert caught.value is error
