"""Jobs as processes of their own, with a Ray of their own, of which nothing is left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from walking import ROOT


@contextmanager
def driver(
    words: list[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m` and `words`; its output is added to `log`."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=plain_environment() | dict(environment or {}),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        end(process)


def plain_environment() -> dict[str, str]:
    """That of this process, with our code on the path and no Ray to join."""
    found = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    found.pop("RAY_ADDRESS", None)
    return found


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, if it still runs, and wait until what it had started is gone as well."""
    theirs = below(process.pid)
    if process.poll() is None:
        process.kill()
    process.wait(timeout=30)
    # Ray's agents may ask their dead head for a minute before they give up.
    _, left_over = psutil.wait_procs(theirs, timeout=90)
    alive = [process for process in left_over if not _has_ended(process)]
    for left in alive:
        with suppress(psutil.NoSuchProcess):
            left.kill()
    assert not alive, f"they outlived their driver: {alive}"


def below(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def _has_ended(process: psutil.Process) -> bool:
    """Also where whoever inherited it has not asked yet how it ended."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
