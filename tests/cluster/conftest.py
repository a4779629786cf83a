"""A head in an environment without figclip, and the walk that was submitted to it."""

import json
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_head import Head, running_head
from walking import ROOT


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with all our dependencies, and without figclip.

    Its one `.pth` file names this environment's packages as a path; the `.pth` files therein,
    an editable install's among them, are not read.
    """
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    site = next((folder / "lib").glob("python3*/site-packages"))
    (site / "dependencies.pth").write_text(packages + "\n")
    python = folder / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import ray, torch, figclip"], cwd=folder, capture_output=True, text=True
    )
    assert "No module named 'figclip'" in found.stderr, found.stderr
    return python


@pytest.fixture(scope="session")
def head(bare_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with running_head(bare_python, tmp_path_factory.mktemp("head")) as head:
        yield head


@pytest.fixture(scope="session")
def submitted(head: Head, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The walk behind `ray job submit`: its store, and what it printed."""
    store = tmp_path_factory.mktemp("submitted")
    words = ["python", "-m", "jobs.quickstart", "smoke", "--store", str(store)]
    done = submit(head, words)
    deadline = time.monotonic() + 60
    while "No available agent" in done.stderr and time.monotonic() < deadline:
        done = submit(head, words)  # the head answers before its agent is there
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    return store, done.stdout


def submit(head: Head, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *[head.python, "-m", "ray.scripts.scripts", "job", "submit"],
            *["--address", head.dashboard, "--working-dir", ".", "--runtime-env-json"],
            *[json.dumps({"env_vars": {"PYTHONPATH": "platform"}}), "--", *words],
        ],
        cwd=ROOT,
        env=head.environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
