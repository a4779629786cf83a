"""Checkpoints on their way to Ray Train: the training goes on while one is written."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray.train
from ray.train import Checkpoint, CheckpointUploadMode
from torch import nn
from torch.optim import Optimizer

from figclip.store import Folder
from figclip.training.checkpoint import (
    Progress,
    is_sharded,
    save_checkpoint,
    save_shards,
    snapshot,
)

Write = Callable[[Folder], None]


class Uploads:
    """One rank's checkpoints, written one at a time by a thread of Ray Train.

    Ray Train counts a checkpoint when every rank's part is written, and keeps the one before until
    then. What fails in the thread fails the run.
    """

    def __init__(self, target: Folder, rank: int) -> None:
        self._target, self._rank = target, rank
        self._free = threading.Semaphore()

    def send(
        self, metrics: dict[str, Any], model: nn.Module, optimizer: Optimizer, progress: Progress
    ) -> None:
        """Copy the state and return; every rank must call it, after the same step.

        It waits while an earlier checkpoint is still being written: a second copy would take as
        much memory as the first.
        """
        self._free.acquire()
        write: Write | None = None
        if is_sharded(model):
            local = Path(tempfile.mkdtemp(prefix="figclip-shards-"))
            save_shards(local, snapshot(model, optimizer, progress), rank=self._rank)
            write = partial(_move, local)
        elif self._rank == 0:
            write = partial(save_checkpoint, state=snapshot(model, optimizer, progress))
        if write is None:
            self._free.release()
            ray.train.report(metrics, checkpoint_upload_mode=CheckpointUploadMode.ASYNC)
            return
        ray.train.report(
            metrics,
            checkpoint=Checkpoint.from_directory(tempfile.mkdtemp(prefix="figclip-checkpoint-")),
            checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
            checkpoint_upload_fn=partial(self._upload, write),
        )

    def _upload(self, write: Write, _: Checkpoint, name: str) -> Checkpoint:
        try:
            write(self._target / name)
        finally:
            self._free.release()
        return Checkpoint(f"{self._target.path}/{name}", self._target.fs)


def _move(local: Path, target: Folder) -> None:
    try:
        target.upload(local)
    finally:
        shutil.rmtree(local, ignore_errors=True)
