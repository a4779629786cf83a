"""What people mistype or point elsewhere, through the command line: one sentence, and no harm."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from figclip.store import Store

ROOT = Path(__file__).parents[2]


def ingest(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m jobs.ingest` in another process, with a store of its own and no credentials."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS", "RAY"))}
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "jobs.ingest", *words, "--store", str(place / "store")],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=place,
        env={**environment, "PYTHONPATH": path},
    )


def all_files(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def bucket_of_one(place: Path) -> Path:
    """As much of a bucket as is looked at before any work begins."""
    (place / "bucket" / "metadata").mkdir(parents=True)
    (place / "bucket" / "metadata" / "PMC1.1.json").write_text("{}")
    return place / "bucket"


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("laptop --source nowhere", "nowhere: there is no such folder; name the one that holds"),
        ("laptop --source empty", "is empty; name a source that holds articles"),
        ("laptop --source letters", "is not in the layout of the PMC Cloud Service (it has no"),
        (
            "laptop --source s3://some --endpoint http://127.0.0.1:9",
            "its list cannot be reached at http://127.0.0.1:9",
        ),
        (
            "laptop --source s3://some --endpoint 127.0.0.1:9",
            "one looks like http://localhost:9000",
        ),
        (
            "desktop --source empty",
            "unknown preset 'desktop'; presets: cloud, laptop, pmc15m, or a .json",
        ),
        (
            "lost.json --source empty",
            "lost.json: no such config file; presets: cloud, laptop, pmc15m",
        ),
        ("letters/odd.json", "unknown: Extra inputs are not permitted; this config has: licenses"),
    ],
)
def test_what_cannot_be_ingested_ends_at_once_in_one_sentence(
    words: str, remedy: str, tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("Dear reader")
    (tmp_path / "letters" / "odd.json").write_text('{"unknown": 1}')
    before = all_files(tmp_path)
    start = time.monotonic()
    done = ingest(tmp_path, *words.split())
    assert time.monotonic() - start < 30  # most of it to import what the job needs
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("jobs.ingest: ")
    assert remedy in done.stderr
    assert done.stderr.count("\n") == 1
    assert all_files(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("laptop --no-such-key 1", "--no-such-key"),
        ("laptop --max-tasks many", "many"),
    ],
)
def test_an_option_that_does_not_fit_is_named_and_help_is_offered(
    words: str, said: str, tmp_path: Path
):
    done = ingest(tmp_path, *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "--help" in done.stderr
    assert "Traceback" not in done.stderr
    assert all_files(tmp_path) == {}


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_a_version_that_another_config_has_taken_is_left_as_it_is(tmp_path: Path):
    source = bucket_of_one(tmp_path)
    with Store(tmp_path / "store").publishing("pairs", "v", config={"other": 1}) as publication:
        publication.folder.write("train/00000.parquet", b"rows")
    before = all_files(tmp_path)
    done = ingest(tmp_path, "laptop", "--source", str(source), "--version", "v")
    assert done.returncode == 2
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("jobs.ingest: ")]
    assert "pairs@v" in said
    assert "published already with another config" in said
    assert "a new run needs a new version" in said
    assert "Traceback" not in done.stderr
    assert all_files(tmp_path) == before
