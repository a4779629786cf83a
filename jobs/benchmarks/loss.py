"""Time and memory of InfoNCE, forward and backward, beside two plain cross-entropies.

`python -m jobs.benchmarks.loss times|memory cpu|cuda` is one measurement in this very process, for
which torch alone is needed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from figclip.training.loss import clip_loss
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.processes import peak_rss

DIM = 512
TIMED, MANY = 8_192, 65_536
"""Pairs of a batch."""
ROUNDS = 5
SCALE = 50.0
CLOSENESS = 0.7
"""Share of its image in a text, beside as much noise as a unit vector has."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def loss(device: str) -> Figures:
    """Each measurement in a fresh process; the times on the CPU are those of one thread."""
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    return _fresh("times", device, one_thread) | _fresh("memory", device, dict(os.environ))


def _fresh(measurement: str, device: str, environment: dict[str, str]) -> Figures:
    command = [sys.executable, "-m", "jobs.benchmarks.loss", measurement, device]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def plain_loss(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Figure 3 of CLIP as it is mostly written: both matrices of logits, whole."""
    pairs = torch.arange(len(image), device=image.device)
    to_text, to_image = scale * image @ text.T, scale * text @ image.T
    return (F.cross_entropy(to_text, pairs) + F.cross_entropy(to_image, pairs)) / 2


def times(device: str, *, num_pairs: int = TIMED, rounds: int = ROUNDS) -> Figures:
    """Median seconds (of CPU time, on the CPU) of each side, taken in turn, and their ratios.

    `tiled` is the loss as training calls it, whose constant store for logits holds those of so few
    pairs; `recomputed` is what it does to those that do not fit.
    """
    sides: dict[str, Loss] = {
        "plain": plain_loss,
        "tiled": clip_loss,
        "recomputed": partial(clip_loss, num_kept=0),
    }
    leaves = _features(num_pairs, device)
    for side in sides.values():
        _seconds(side, leaves)
    found = {name: [] for name in sides}  # type: dict[str, list[float]]
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(_seconds(side, leaves))
    of = {name: median(seconds) for name, seconds in found.items()}
    return {
        **{f"{name}_s_8k": seconds for name, seconds in of.items()},
        "tiled_ratio": of["tiled"] / of["plain"],
        "recomputed_ratio": of["recomputed"] / of["plain"],
    }


def memory(device: str, *, num_pairs: int = MANY) -> Figures:
    """MB that the process has held at most: resident, or allocated on the GPU."""
    duration_s = _seconds(clip_loss, _features(num_pairs, device))
    if device == "cpu":
        return {"rss_mb_64k": peak_rss(os.getpid()) / 1e6, "s_64k": duration_s}
    return {"gpu_mb_64k": torch.cuda.max_memory_allocated() / 1e6, "s_64k": duration_s}


def _features(num_pairs: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = F.normalize(torch.randn(num_pairs, DIM, generator=generator), dim=1)
    text = torch.randn(num_pairs, DIM, generator=generator).div_(DIM**0.5)
    text = F.normalize(text.add_(image, alpha=CLOSENESS), dim=1)
    image, text, scale = (x.to(device) for x in (image, text, torch.tensor(SCALE)))
    return image.requires_grad_(), text.requires_grad_(), scale.requires_grad_()


def _seconds(side: Loss, leaves: tuple[Tensor, Tensor, Tensor]) -> float:
    on_cpu = leaves[0].device.type == "cpu"
    clock = time.process_time if on_cpu else _synchronised
    start = clock()
    side(*leaves).backward()
    found = clock() - start
    for leaf in leaves:
        leaf.grad = None
    return found


def _synchronised() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    print(json.dumps({"times": times, "memory": memory}[sys.argv[1]](sys.argv[2])))
