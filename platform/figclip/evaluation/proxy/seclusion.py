"""Work in a process that cannot reach any network, and proves it before it begins.

Where the system allows it, the process has a network namespace of its own (`unshare --net`): there
is no interface in it but a loopback that is down, and the kernel refuses whatever any library
tries. In every case, and alone where the system has no such namespaces, an audit hook of Python
refuses to look up names, to connect, to bind, to send, and to start other processes; it does not
see what code in C does past Python's own modules. Which of them holds is part of the result.

What the process finds comes back through a pipe. It is not kept from writing files.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Literal

from figclip.config import UsageError

Isolation = Literal["network namespace", "audit hook"]

ALONE = "figclip.evaluation.proxy.alone"
UNSHARE = (("unshare", "--net"), ("unshare", "--net", "--map-root-user"))
"""The first needs the rights of root; the second a system that gives users namespaces."""


def best_isolation() -> Isolation:
    return "network namespace" if unshare() is not None else "audit hook"


def unshare() -> tuple[str, ...] | None:
    """The words that start a process without a network; None where the system has none."""
    for words in UNSHARE:
        try:
            done = subprocess.run([*words, "true"], capture_output=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return words
    return None


def secluded(
    work: Callable[[str], str], argument: str, *, isolation: Isolation | None = None
) -> str:
    """What `work`, a function of a module, gives for the argument in a process of its own.

    A `UsageError` of the work is raised here as it was. `RuntimeError` where the process could be
    reached from, or died.
    """
    words = unshare() if isolation != "audit hook" else None
    if isolation == "network namespace" and words is None:
        raise UsageError("this system has no network namespaces: leave the isolation to be chosen")
    chosen: Isolation = "network namespace" if words else "audit hook"
    target = f"{work.__module__}:{work.__qualname__}"
    done = subprocess.run(
        [*(words or ()), sys.executable, "-m", ALONE, target, chosen],
        input=argument,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"the secluded process ended with {done.returncode}; see its log above")
    answer = json.loads(done.stdout)
    if "fault" in answer:
        raise UsageError(answer["fault"])
    return answer["value"]
