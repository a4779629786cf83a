"""Our training step beside open_clip's: the same model, batch and precision, the two in turn.

    python -m jobs.benchmark train_step --shared ../shared
    python -m jobs.benchmark train_step --device cuda

On a CPU each side is a process of its own and counts CPU seconds: open_clip's is
`bench/bench_openclip.py` of the shared folder, which writes down the tensors that ours then takes.
Where it is natural, captions are as long as real ones: open_clip pads them, ours does not.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from figclip.config import UsageError
from jobs.benchmarks.figures import Figures

log = logging.getLogger(__name__)

ROUNDS = 3
"""In each both sides take turns, so that what disturbs the machine disturbs both."""
STEPS, WARMUP = 3, 1
THREADS = 1
"""CPU seconds of one thread: several would count their waiting for one another."""
TEXT_LEN = 256
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Setting:
    """What both sides do, and the arguments by which open_clip's side is told so."""

    arguments: tuple[str, ...] = ()
    is_natural: bool = True
    """Captions as long as real ones, or all as long as texts may be."""


SETTINGS = {
    "ratio_natural": Setting(is_natural=True),
    "ratio_full": Setting(is_natural=False),
    # At full length, so that nothing is won by unpadding.
    "cached_ratio": Setting(("--accum", "4", "--batch", "8"), is_natural=False),
}


def train_step(shared: Path, folder: Path, names: Sequence[str] | None = None) -> Figures:
    """Samples per CPU second of ours over those of open_clip; the rates besides.

    `names` of `SETTINGS`; None: all.
    """
    peer = shared / "bench" / "bench_openclip.py"
    if not peer.is_file():
        raise UsageError(f"no {peer}: name the folder that has the peer's script with --shared")
    unknown = set(names or ()) - SETTINGS.keys()
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))}: no part; parts are {', '.join(SETTINGS)}")
    full = folder / "full_lengths.txt"
    full.write_text(f"{TEXT_LEN}\n")
    figures: Figures = {}
    for name in names or SETTINGS:
        setting = SETTINGS[name]
        lengths = shared / "bench" / "caption_lengths.txt" if setting.is_natural else full
        arguments = (*setting.arguments, "--text-len", str(TEXT_LEN), "--lengths", str(lengths))
        for precision in PRECISIONS:
            figures |= _compared(peer, folder, name, arguments, precision)
    return figures


def _compared(
    peer: Path, folder: Path, name: str, arguments: Sequence[str], precision: str
) -> Figures:
    work = folder / f"{name}-{precision}"
    work.mkdir()
    common = ("--precision", precision, "--steps", str(STEPS), "--warmup", str(WARMUP))
    told = (*common, "--threads", str(THREADS), "--workdir", str(work), "--dump")
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(_rate([str(peer), *arguments, *told]))
        ours.append(_rate(["-m", "jobs.benchmarks.train_step_side", str(work), *common]))
        log.info("%s %s: ours %.2f, open_clip %.2f", name, precision, ours[-1], theirs[-1])
    suffix = "" if precision == "fp32" else f"_{precision}"
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {
        f"{name}{suffix}": round(median(ratios), 3),
        f"{name}{suffix}_least": round(min(ratios), 3),
        f"{name}{suffix}_ours_per_cpu_s": round(median(ours), 2),
        f"{name}{suffix}_open_clip_per_cpu_s": round(median(theirs), 2),
    }


def _rate(command: Sequence[str]) -> float:
    """Samples per CPU second of one process, by its own account in the last line it prints."""
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
    done = subprocess.run(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment, check=False
    )
    if done.returncode:
        raise UsageError(f"{' '.join(command)} ended with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return float(found["samples_per_cpu_s"])
