"""The servers that the benchmark of serving compares, each started alone and ended again."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figclip.config import UsageError
from jobs.benchmarks.serve_side import free_ports

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 60.0
QUIET = {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "HF_HUB_OFFLINE": "1"}
"""Nobody outside is told of what is measured here."""


@dataclass(frozen=True)
class Server:
    """One that answers."""

    url: str
    api: str
    """As `serve_bench.py` calls it."""
    model: str
    pid: int
    """Its processes are this one and all below it."""


@contextmanager
def infinity(python: Path, model: Path, log_file: Path) -> Iterator[Server]:
    """The peer, of its own virtual environment, as it is started by default."""
    command = python.parent / "infinity_emb"
    if not command.is_file():
        raise UsageError(f"no {command}: --infinity is the python of an environment that has it")
    [port] = free_ports(1)
    words = [
        *("v2", "--model-id", str(model), "--served-model-name", "clip"),
        *("--device", "cpu", "--host", "127.0.0.1", "--port", str(port)),
    ]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [str(command), *words],
            env={**os.environ, **QUIET, "PYTHONPATH": ""},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_answering(f"{url}/models", process, log_file)
        yield Server(url, "infinity", "clip", process.pid)
    finally:
        _end(process)


@contextmanager
def ours(model: Path, folder: Path, log_file: Path, **words: Any) -> Iterator[Server]:
    """Our service with these words of `serve run`."""
    folder.mkdir(parents=True, exist_ok=True)
    told = json.dumps({"encoder": str(model), "store": str(folder), **words})
    pipe = subprocess.PIPE
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.benchmarks.serve_side", str(folder), told],
            stdin=pipe,
            stdout=pipe,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = process.stdout.readline()
        if not line.strip().isdecimal():
            raise UsageError(f"our server did not start: {_tail(log_file)}")
        url = f"http://127.0.0.1:{int(line)}"
        _wait_until_answering(f"{url}/readyz", process, log_file)
        yield Server(url, "openai", str(model), process.pid)
    finally:
        process.stdin.close()
        _end(process)


def _wait_until_answering(url: str, process: subprocess.Popen[Any], log_file: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise UsageError(f"a server ended at its start: {_tail(log_file)}")
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise UsageError(f"a server did not answer in {START_TIMEOUT_S:.0f} s: {_tail(log_file)}")


def _tail(log_file: Path) -> str:
    return log_file.read_text(errors="replace")[-1_000:]


def _end(process: subprocess.Popen[Any]) -> None:
    """Politely, if it has not been asked already."""
    if process.stdin is None:
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
