"""Workers of Ray Train that teach an encoder to answer; each keeps nothing but its rank."""

import tempfile
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.config import ScalingConfig

from figclip.config import UsageError
from figclip.evaluation.vqa.learning import Diverged, Learned, Lesson, learn
from figclip.log import configure_logging
from figclip.training.checkpoint import FILE
from figclip.training.group import trained
from figclip.training.rank import CHECKPOINTS
from figclip.training.worker import last_reported, own_device


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
    result = trained(partial(_trainer, lesson, num_workers, cpus_per_worker, use_gpu, max_failures))
    told: Any = result.return_value
    if isinstance(told, str):
        raise UsageError(told)
    return Learned(*map(tuple, told))


def _trainer(
    lesson: Lesson, num_workers: int, cpus_per_worker: float, use_gpu: bool, max_failures: int
) -> TorchTrainer:
    work: Any = partial(run_worker, lesson)
    return TorchTrainer(
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

    def last_checkpoint(self) -> AbstractContextManager[Path | None]:
        return last_reported(self._run)

    def keep(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        if state is None:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory(prefix="figclip-checkpoint-") as folder:
            torch.save(state, Path(folder, FILE))
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))
