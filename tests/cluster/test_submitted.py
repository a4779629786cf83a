"""On a head started by `ray start --head`, in an environment where figclip is not installed."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest
from walking import QUICK_REPORTS, ROOT, table_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(800)]


@dataclass(frozen=True)
class Head:
    python: Path
    address: str
    dashboard: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def head(bare_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    temporary = Path(f"/tmp/fc{os.getpid()}")  # short: sockets have paths of 107 bytes at most
    gcs, dashboard = free_port(), free_port()
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "RAY_ADDRESS", "VIRTUAL_ENV")
    }
    environment["PATH"] = f"{bare_python.parent}{os.pathsep}{environment['PATH']}"
    own = tmp_path_factory.mktemp("head")
    log, token = own / "head.log", own / "token"
    token.write_text(secrets.token_hex(32))
    environment |= QUICK_REPORTS
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    process = subprocess.Popen(
        [
            *[bare_python, "-m", "ray.scripts.scripts", "start", "--head", "--block"],
            *["--port", str(gcs), "--dashboard-port", str(dashboard)],
            *["--ray-client-server-port", str(free_port()), "--num-cpus", "2"],
            *["--object-store-memory", str(600 * 2**20), "--temp-dir", str(temporary)],
            *["--disable-usage-stats"],
        ],
        env=environment,
        cwd=bare_python.parent,
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{dashboard}"
    try:
        # 401: the head answers, and this question came without the token.
        wait_for(lambda: httpx.get(f"{url}/api/version").status_code in (200, 401), log=log)
        yield Head(bare_python, f"127.0.0.1:{gcs}", url, environment)
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def submitted(head: Head, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The walk behind `ray job submit`: its store, and what it printed."""
    store = tmp_path_factory.mktemp("submitted")
    done = subprocess.run(
        [
            *[head.python, "-m", "ray.scripts.scripts", "job", "submit"],
            *["--address", head.dashboard, "--working-dir", ".", "--runtime-env-json"],
            *[json.dumps({"env_vars": {"PYTHONPATH": "platform"}}), "--"],
            *["python", "-m", "jobs.quickstart", "smoke", "--store", str(store)],
        ],
        cwd=ROOT,
        env=head.environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    return store, done.stdout


def test_a_submitted_walk_ends_with_the_table_of_a_local_one(
    submitted: tuple[Path, str], undisturbed: tuple[Path, str]
):
    (_, text), (_, local) = submitted, undisturbed
    assert len(table_of(text)) == 3
    assert table_of(text) == table_of(local)


def test_the_openai_client_is_answered_by_serve_run(head: Head, submitted: tuple[Path, str]):
    store, _ = submitted
    with serving(head, "serve_apps.embeddings:app", f"store={store}") as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
        (model,) = [model.id for model in client.models.list()]
        answer = client.embeddings.create(model=model, input=["chest CT", "a bar chart"])
        assert len(answer.data) == 2
        norms = [sum(x * x for x in item.embedding) for item in answer.data]
        assert norms == pytest.approx([1, 1], abs=1e-4)


def test_curl_is_answered_by_the_search_page(head: Head, submitted: tuple[Path, str]):
    store, _ = submitted
    with serving(head, "serve_apps.search:app", f"store={store}") as url:
        page = subprocess.run(
            ["curl", "-sS", "--fail", f"{url}/?q=chest+CT"], capture_output=True, text=True
        )
        assert page.returncode == 0, page.stderr
        assert "<figure" in page.stdout or "<article" in page.stdout
        assert "pmc.ncbi.nlm.nih.gov" in page.stdout


class serving:
    """`serve run TARGET ...` on the head, until the block ends."""

    def __init__(self, head: Head, target: str, *arguments: str) -> None:
        self.head, self.target, self.arguments = head, target, arguments

    def __enter__(self) -> str:
        self.environment = {
            **self.head.environment,
            "RAY_ADDRESS": self.head.address,
            "PYTHONPATH": str(ROOT / "platform"),
        }
        self.log = Path(f"/tmp/fc{os.getpid()}-serve.log")
        self.process = subprocess.Popen(
            [
                *[self.head.python, "-m", "ray.serve.scripts", "run", "--working-dir", "."],
                *["--runtime-env-json", json.dumps({"env_vars": {"PYTHONPATH": "platform"}})],
                *[self.target, *self.arguments],
            ],
            cwd=ROOT,
            env=self.environment,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        url = "http://127.0.0.1:8000"
        wait_for(lambda: httpx.get(f"{url}/healthz").status_code == 200, log=self.log)
        return url

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)
        subprocess.run(
            [
                *[self.head.python, "-m", "ray.serve.scripts", "shutdown", "-y"],
                *["--address", self.head.dashboard],
            ],
            env=self.environment,
            capture_output=True,
            timeout=60,
        )


def free_port() -> int:
    """A free port below the range that Ray gives its workers."""
    for port in range(7300 + os.getpid() % 500, 9900):
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError("no free port")


_given: set[int] = set()


def wait_for(condition, *, log: Path, timeout_s: float = 150) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-5000:])
