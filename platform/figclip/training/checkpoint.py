"""Everything a run needs to go on: weights, optimiser, position and history, in one file."""

import logging
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from figclip.store import Folder

log = logging.getLogger(__name__)

FILE = "state.pt"
History = list[dict[str, float]]


@dataclass
class Progress:
    """Where a run stands. The loop moves it on."""

    steps_done: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    """Of the steps since the epoch began; on the device, for reading it would wait for that."""
    history: History = field(default_factory=list)
    """One row an epoch: `epoch`, `samples`, `loss`, and what validation found."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Pairs in whose places others stood: pair id → why. Of this rank; in a checkpoint, of all."""

    def leave_out(self, pairs: dict[str, str]) -> None:
        for pair_id in pairs.keys() - self.left_out.keys():
            log.warning("pair %s gives way to another one: %s", pair_id, pairs[pair_id])
        self.left_out |= pairs


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: Optimizer, progress: Progress
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
    }
    torch.save(state, folder / FILE)


def load_checkpoint(state: dict[str, Any], model: nn.Module, optimizer: Optimizer) -> Progress:
    """Fill the model and the optimiser with what `read_checkpoint` gave."""
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"])


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """`model`, `optimizer` and `progress` of a checkpoint, on the CPU.

    Nothing but tensors and plain values is unpickled.
    """
    return torch.load(folder / FILE, map_location="cpu", weights_only=True)


def newest_checkpoint(run: Folder) -> dict[str, Any] | None:
    """The newest whole one below `run`, whose folders are named by the time; None without any."""
    found = sorted(name for name in run.files() if name.count("/") == 1 and name.endswith(FILE))
    for name in reversed(found):
        with tempfile.TemporaryDirectory() as copy:
            folder = (run / name.partition("/")[0]).download(Path(copy))
            if zipfile.is_zipfile(folder / FILE):  # torch.save's format, whose end is written last
                return read_checkpoint(folder)
            log.warning("%s/%s is not whole", run.path, name)
    return None
