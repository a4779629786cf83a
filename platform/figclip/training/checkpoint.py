"""Everything a run needs to go on: weights, optimiser, position and history, whole or absent.

What a step draws (order, crops, dropout) follows from the run's seed and the step's number, and so
does its learning rate and batch: the position says it all, on however many ranks the run goes on.

Unsharded, all is one file. Of a model that is sharded over ranks (FSDP) the tensors are files of
torch.distributed.checkpoint, one or more from every rank, which any number of ranks can read.
"""

import logging
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from figclip.store import Folder

log = logging.getLogger(__name__)

FILE = "state.pt"
SHARDS = ".metadata"
"""What torch.distributed.checkpoint writes last, with a list of its files."""
History = list[dict[str, float]]


class Stateful(Protocol):
    """Whatever else has a state: a gradient scaler, an average of the weights."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Any) -> Any: ...


@dataclass
class Progress:
    """Where a run stands. The loop moves it on."""

    steps_done: int = 0
    samples_seen: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    """Of the steps since the epoch began; on the device, for reading it would wait for that."""
    first_bad_step: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64))
    """The first step whose loss was not finite, counted from 1; 0 while there is none."""
    history: History = field(default_factory=list)
    """One row an epoch: `epoch`, `samples`, `loss`, and what validation found."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Pairs in whose places others stood: pair id → why. Of this rank; in a checkpoint, of all."""

    def leave_out(self, pairs: dict[str, str]) -> None:
        for pair_id in pairs.keys() - self.left_out.keys():
            log.warning("pair %s gives way to another one: %s", pair_id, pairs[pair_id])
        self.left_out |= pairs


def is_sharded(model: nn.Module) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def snapshot(
    model: nn.Module,
    optimizer: Optimizer,
    progress: Progress,
    others: Mapping[str, Stateful] | None = None,
) -> dict[str, Any]:
    """A copy on the CPU, which later steps leave as it is. Every rank of a sharded model calls it.

    The weights' names are those of the bare model, and the optimiser's entries go by them.
    """
    weights, moments = get_state_dict(model, optimizer)
    state = {
        "model": weights,
        "optimizer": moments,
        "others": {name: other.state_dict() for name, other in (others or {}).items()},
        "progress": vars(progress),
    }
    return _copied(state)


def save_checkpoint(folder: Folder, state: dict[str, Any]) -> None:
    """Write an unsharded `snapshot`: the file appears when it is whole.

    `OSError` where the disk does not take it.
    """
    with folder.scratch() as scratch:
        with (scratch / FILE).open("wb") as file:
            _save(state, file)
        folder.take(FILE, scratch / FILE)


def _save(state: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:  # "unexpected pos", for the disk's own error on the way
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def save_shards(folder: Path, state: dict[str, Any], *, rank: int) -> None:
    """Write this rank's part of a sharded `snapshot`; every rank must call it."""
    tensors = {name: state.pop(name) for name in ("model", "optimizer")}
    save(tensors, storage_writer=FileSystemWriter(folder))
    if rank == 0:
        torch.save(state, folder / FILE)


def restore(
    folder: Path,
    model: nn.Module,
    optimizer: Optimizer,
    others: Mapping[str, Stateful] | None = None,
) -> Progress:
    """Fill model, optimiser and the others from a checkpoint, whatever number of ranks wrote it."""
    state = torch.load(folder / FILE, map_location="cpu", weights_only=True)
    if (folder / SHARDS).exists() and is_sharded(model):
        weights, moments = get_state_dict(model, optimizer)
        state |= {"model": weights, "optimizer": moments}
        load(
            {name: state[name] for name in ("model", "optimizer")},
            storage_reader=FileSystemReader(folder),
        )
    elif (folder / SHARDS).exists():
        state |= _joined(folder)
    set_state_dict(
        model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"]
    )
    for name, other in (others or {}).items():
        other.load_state_dict(state["others"][name])
    return Progress(**state["progress"])


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """`model`, `optimizer`, `others` and `progress` of a checkpoint, on the CPU, in this process.

    Nothing but tensors and plain values is unpickled of an unsharded one.
    """
    state = torch.load(folder / FILE, map_location="cpu", weights_only=True)
    return state | _joined(folder) if (folder / SHARDS).exists() else state


def newest_checkpoint(run: Folder) -> str | None:
    """Name of the newest whole one below `run`, whose folders are named by the time."""
    found = sorted(name for name in run.files() if name.count("/") == 1 and name.endswith(FILE))
    for name in reversed(found):
        folder = name.partition("/")[0]
        if _is_whole(run / folder):
            return folder
        log.warning("%s/%s is not whole", run.path, folder)
    return None


@contextmanager
def last_kept(run: Folder) -> Iterator[Path | None]:
    """The newest whole one below `run` as a local copy; None where there is none."""
    newest = newest_checkpoint(run)
    if newest is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="figclip-checkpoint-") as copy:
        yield (run / newest).download(Path(copy))


def keep_alone(run: Folder, state: dict[str, Any]) -> None:
    """Write a checkpoint below `run`, and then drop those before it."""
    name = f"checkpoint_{datetime.now(UTC):%Y-%m-%d_%H-%M-%S.%f}"
    save_checkpoint(run / name, state)
    for older in {path.partition("/")[0] for path in run.files()} - {name}:
        (run / older).clear()


def _is_whole(folder: Folder) -> bool:
    if folder.files()[FILE] == 0:
        return False
    with folder.open(FILE) as file:
        if not zipfile.is_zipfile(file):  # torch.save's format, whose end is written last
            return False
    shards = [name for name in folder.files() if name.endswith(".distcp")]
    if not shards and not folder.exists(SHARDS):
        return True
    return folder.exists(SHARDS) and _has_all_shards(folder)


def _has_all_shards(folder: Folder) -> bool:
    sizes = folder.files()
    with tempfile.TemporaryDirectory() as copy:
        Path(copy, SHARDS).write_bytes(folder.read(SHARDS))
        parts = FileSystemReader(copy).read_metadata().storage_data.values()
    return all(sizes.get(part.relative_path, 0) >= part.offset + part.length for part in parts)


def _joined(folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        dcp_to_torch_save(folder, Path(scratch, FILE))
        return torch.load(Path(scratch, FILE), map_location="cpu", weights_only=True)


def _copied(value: Any) -> Any:
    match value:
        case Tensor():
            return value.detach().to("cpu", copy=True)
        case dict():
            return {key: _copied(part) for key, part in value.items()}
        case list() | tuple():
            return [_copied(part) for part in value]
        case _:
            return value
