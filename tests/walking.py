"""Runs the walk as a person does: `python -m jobs.quickstart` in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
QUICK_REPORTS = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2"}
"""Ray Train takes one checkpoint a round, and waits two seconds between its rounds."""


def start(store: Path, *options: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}",
        **QUICK_REPORTS,
    }
    environment.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.quickstart", "smoke", "--store", str(store), *options],
        cwd=ROOT,
        env=environment,
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(store: Path, *options: str, log: Path, timeout_s: float = 280) -> str:
    """Walk to the end; what it printed."""
    process = start(store, *options, log=log)
    try:
        code = process.wait(timeout=timeout_s)
    finally:
        if process.poll() is None:
            process.kill()
    text = log.read_text()
    assert code == 0, text[-5000:]
    return text


def kill_when(
    condition: Callable[[], bool], store: Path, *options: str, log: Path, timeout_s: float = 200
) -> None:
    """Start the walk and SIGKILL its driver at the moment that `condition` holds."""
    process = start(store, *options, log=log)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, "the walk ended before the kill:\n" + log.read_text()[-5000:]
        assert time.monotonic() < deadline, "no moment to kill:\n" + log.read_text()[-5000:]
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def rows(folder: Path) -> pa.Table:
    """Every row of an artifact's Parquet files, in the order of the files' names."""
    files = [
        path
        for path in sorted(folder.rglob("*.parquet"))
        if not any(part.startswith("_") for part in path.relative_to(folder).parts)
    ]
    return pa.concat_tables([pq.read_table(path) for path in files])


def table_of(text: str) -> list[str]:
    """The lines of the recall table in what the walk printed."""
    return [line for line in text.splitlines() if "recall@" in line]
