"""The live views of sweeps: optuna-dashboard on their storage, TensorBoard on their curves.

Neither asks who looks, so they listen on loopback unless somebody plainly wants otherwise. Each is
a child of this process and ends with it.
"""

import ipaddress
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import FrameType

from figclip.config import UsageError
from figclip.tuning.optuna_board import STORAGE

log = logging.getLogger(__name__)

START_S = 90.0
END_S = 5.0


@dataclass(frozen=True)
class Board:
    """A server of pages: how it is started, and where it will answer."""

    name: str
    command: Sequence[str]
    host: str
    port: int
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def require_package(module: str, extra: str, what: str) -> None:
    """`UsageError` that names the extra, where the package is not installed."""
    if find_spec(module) is None:
        raise UsageError(f"{what} needs `pip install 'figclip[{extra}]'`")


def require_loopback(host: str, *, expose: bool) -> None:
    """`UsageError` where others could reach the pages and nobody has said that they may."""
    if not is_loopback(host) and not expose:
        raise UsageError(
            f"--host {host} lets everybody who reaches this machine read and change the sweeps, "
            f"for the dashboards ask for no password: keep 127.0.0.1 and come by `ssh -L`, or put "
            f"them behind a proxy that asks, and say --expose"
        )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def optuna_dashboard(storage: str, host: str, port: int) -> Board:
    """optuna-dashboard of an Optuna storage, named by its URL."""
    require_package("optuna_dashboard", "dashboard", "the dashboard")
    command = [sys.executable, "-m", "figclip.tuning.optuna_board", host, str(port)]
    return Board("optuna-dashboard", command, host, port, {STORAGE: storage})


def tensorboard(folder: str, host: str, port: int) -> Board:
    """TensorBoard of all runs below a folder."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder]
    command += ["--host", host, "--port", str(port), "--load_fast", "false"]
    return Board("TensorBoard", command, host, port)


@contextmanager
def running(boards: Sequence[Board]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The boards as children; the body begins when all answer, and they end with it.

    `UsageError` where a port is taken or a board ends before it answers.
    """
    for board in boards:
        _refuse_taken(board)
    children: list[subprocess.Popen[bytes]] = []
    try:
        for board in boards:
            here = os.pathsep.join(path for path in sys.path if path)  # this very package
            environment = os.environ | {"PYTHONPATH": here} | board.environment
            children.append(subprocess.Popen([*board.command], env=environment))
        for board, child in zip(boards, children, strict=True):
            _wait(board, child)
        yield children
    finally:
        end(children)


def end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask each to go, and after a while make it."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + END_S
    for child in children:
        try:
            child.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def serve(boards: Sequence[Board]) -> None:
    """Until Ctrl-C, SIGTERM, or the end of one of them, which is a `UsageError`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with running(boards) as children:
            for board in boards:
                log.info("%s: %s", board.name, board.url)
            while all(child.poll() is None for child in children):
                time.sleep(0.2)
            _complain_of_ended(boards, children)
    except KeyboardInterrupt:
        log.info("the dashboards have ended")
    finally:
        signal.signal(signal.SIGTERM, before)


def answers(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _refuse_taken(board: Board) -> None:
    family = socket.AF_INET6 if ":" in board.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((board.host, board.port))
    except OSError as error:
        raise UsageError(
            f"{board.name} cannot listen on {board.host}:{board.port} ({error.strerror}): choose "
            f"another port"
        ) from error


def _wait(board: Board, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    host = "localhost" if board.host in ("0.0.0.0", "::", "") else board.host
    while not answers(host, board.port):
        if child.poll() is not None or time.monotonic() > deadline:
            raise UsageError(f"{board.name} did not start; its own words stand above")
        time.sleep(0.1)


def _complain_of_ended(
    boards: Sequence[Board], children: Sequence[subprocess.Popen[bytes]]
) -> None:
    gone = [b.name for b, child in zip(boards, children, strict=True) if child.poll() is not None]
    raise UsageError(f"{', '.join(gone)} ended by itself; its own words stand above")
