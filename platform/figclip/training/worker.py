"""A worker of Ray Train as a rank: Ray Data reads for it, Ray Train keeps its checkpoints."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import Checkpoint
from ray.train.torch import get_device

from figclip.inputs.batches import quieten_ray_data, read_batches
from figclip.inputs.lanes import Span
from figclip.inputs.reader import Batch
from figclip.log import configure_logging
from figclip.store import Folder
from figclip.training.checkpoint import Progress, newest_checkpoint
from figclip.training.learner import Learner
from figclip.training.loop import Diverged, Worker
from figclip.training.rank import CHECKPOINTS
from figclip.training.task import Task
from figclip.training.uploads import Uploads


def run_worker(task: Task) -> str | None:
    """The run's fault, where it has one that would come again.

    It is a value because Ray Train tries again after an exception, whatever its type.
    """
    configure_logging()  # a worker is a process of its own, and this is its entry point
    quieten_ray_data()
    worker = Worker(task, TrainRank(task))
    try:
        worker.train()
    except Diverged as error:
        return str(error)
    finally:
        worker.close()
    return None


class TrainRank:
    def __init__(self, task: Task) -> None:
        context = ray.train.get_context()
        self.number, self.num_ranks = context.get_world_rank(), context.get_world_size()
        self.device = own_device()
        self._task = task
        self._uploads = Uploads(task.run / CHECKPOINTS, self.number)

    def batches(self, spans: Sequence[Span]) -> Iterator[Batch]:
        return read_batches(
            self._task.readers(),
            spans,
            cpus_per_read=self._task.cpus_per_read,
            max_reads=self._task.reads_per_worker,
        )

    def last_checkpoint(self) -> AbstractContextManager[Path | None]:
        return last_reported(self._task.run / CHECKPOINTS)

    def report(self, metrics: dict[str, Any], learner: Learner, progress: Progress) -> None:
        self._uploads.send(metrics, learner, progress)


@contextmanager
def last_reported(run: Folder) -> Iterator[Path | None]:
    """Ray Train's last checkpoint as a local folder; where it knows of none, the newest below
    `run`."""
    if (checkpoint := ray.train.get_checkpoint()) is None:
        if (newest := newest_checkpoint(run)) is None:
            yield None
            return
        checkpoint = Checkpoint(f"{run.path}/{newest}", run.fs)
    with checkpoint.as_directory() as folder:
        yield Path(folder)


def own_device() -> torch.device:
    """The GPU that Ray gave to this worker, or the CPU."""
    device = get_device()
    assert isinstance(device, torch.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
