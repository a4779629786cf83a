"""A Ray head of its own, started by `ray start --head` and asked with a token."""

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from walking import QUICK_REPORTS


@dataclass(frozen=True)
class Head:
    python: Path
    address: str
    dashboard: str
    environment: dict[str, str]


@contextmanager
def running_head(bare_python: Path, own: Path) -> Iterator[Head]:
    """`own` is a folder for its log and its token."""
    temporary = Path(f"/tmp/fc{os.getpid()}")  # short: sockets have paths of 107 bytes at most
    gcs, dashboard = free_port(), free_port()
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "RAY_ADDRESS", "VIRTUAL_ENV")
    }
    environment["PATH"] = f"{bare_python.parent}{os.pathsep}{environment['PATH']}"
    log, token = own / "head.log", own / "token"
    token.write_text(secrets.token_hex(32))
    environment |= QUICK_REPORTS
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    process = subprocess.Popen(
        [
            *[bare_python, "-m", "ray.scripts.scripts", "start", "--head", "--block"],
            *["--port", str(gcs), "--dashboard-port", str(dashboard)],
            *["--ray-client-server-port", str(free_port()), "--num-cpus", "2"],
            # The default is one port a machine, and any other Ray here may hold it.
            *["--dashboard-agent-listen-port", str(free_port())],
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
            process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            process.kill()


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


def wait_for(condition: Callable[[], bool], *, log: Path, timeout_s: float = 150) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-5000:])
