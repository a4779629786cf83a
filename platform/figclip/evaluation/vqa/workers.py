"""Workers of Ray Train that teach an encoder to answer; each keeps nothing but its rank."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import ray.train
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.config import ScalingConfig
from ray.train.v2.api.exceptions import WorkerGroupError
from ray.train.v2.api.result import Result

from figclip.config import UsageError
from figclip.evaluation.vqa.learning import Diverged, Learned, Lesson, learn
from figclip.log import configure_logging
from figclip.training.checkpoint import FILE, newest_checkpoint
from figclip.training.rank import CHECKPOINTS
from figclip.training.worker import own_device


def learn_with_workers(
    lesson: Lesson,
    *,
    num_workers: int = 1,
    cpus_per_worker: float = 1.0,
    use_gpu: bool = False,
    max_failures: int = 1,
) -> Learned:
    """Learn with workers of the cluster, from the run's last checkpoint where there is one.

    A worker group that fails is started again `max_failures` times. `UsageError` where the run has
    no future, `OSError` where the disk does not take it.
    """
    work: Any = partial(run_worker, lesson)
    trainer = TorchTrainer(
        work,
        scaling_config=ScalingConfig(
            num_workers=num_workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": cpus_per_worker, **({"GPU": 1} if use_gpu else {})},
        ),
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        run_config=RunConfig(
            name=CHECKPOINTS,  # Ray Train resumes where a run of this name is in this place
            storage_path=lesson.run.path,
            storage_filesystem=lesson.run.fs,
            failure_config=FailureConfig(max_failures=max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    try:
        result = cast(Result, trainer.fit())
    except WorkerGroupError as error:
        for failure in error.worker_failures.values():
            if isinstance(failure, UsageError | OSError):
                raise failure from error
        raise
    told: Any = result.return_value
    if isinstance(told, str):
        raise UsageError(told)
    return Learned(*map(tuple, told))


def run_worker(lesson: Lesson) -> tuple[list[int], list[float]] | str:
    """What rank 0 learned, in plain values; or the run's fault, where it would come again.

    A fault is a value because Ray Train tries again after an exception, whatever its type.
    """
    configure_logging()  # a worker is a process of its own, and this is its entry point
    try:
        found = learn(lesson, TrainRank(lesson))
    except Diverged as error:
        return str(error)
    return list(found.answers), list(found.losses)


class TrainRank:
    def __init__(self, lesson: Lesson) -> None:
        context = ray.train.get_context()
        self.number, self.num_ranks = context.get_world_rank(), context.get_world_size()
        self.device = own_device()
        self._run = lesson.run / CHECKPOINTS

    @contextmanager
    def last_checkpoint(self) -> Iterator[Path | None]:
        if (checkpoint := ray.train.get_checkpoint()) is None:
            if (newest := newest_checkpoint(self._run)) is None:
                yield None
                return
            checkpoint = Checkpoint(f"{self._run.path}/{newest}", self._run.fs)
        with checkpoint.as_directory() as folder:
            yield Path(folder)

    def keep(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        if state is None:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory(prefix="figclip-checkpoint-") as folder:
            torch.save(state, Path(folder, FILE))
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))
