"""A trial whose training processes are workers of Ray Train, told to Tune as they report."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray.train import Checkpoint
from ray.train.v2.api.config import ScalingConfig
from ray.tune.integration.ray_train import TuneReportCallback
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from figclip.training.checkpoint import History, Progress, newest_checkpoint, read_checkpoint
from figclip.training.pretrain import fit
from figclip.training.rank import CHECKPOINTS
from figclip.training.task import Task
from figclip.tuning.judging import judged
from figclip.tuning.news import News, result_of
from figclip.tuning.trial import Clock, Setup, Tell, curve_of, finished, news_of


def train_with_workers(setup: Setup, task: Task, clock: Clock, tell: Tell, *, metric: str) -> News:
    """Train to the end with workers of Ray Train, and judge what was learned; the last news.

    Its epochs reach Tune on the way through `TellsTune`, the last one by `tell` as well.
    """
    share = setup.num_gpus
    workers = ScalingConfig(
        num_workers=setup.num_workers,
        use_gpu=share > 0,
        resources_per_worker={"CPU": setup.num_cpus, **({"GPU": share} if share else {})},
    )
    before = News(
        curve=(),
        seconds=clock.seconds,
        checkpoint="",
        num_cpus=setup.num_cpus * setup.num_workers,
        num_gpus=share * setup.num_workers,
    )
    ears = TellsTune(before, _history(task), metric)
    state = fit(task, workers, 1, callbacks=[ears])
    progress = Progress(**state["progress"])
    clock.lap(progress)
    news = news_of(setup, task, progress, clock)
    tell(news)
    return finished(news, _judged(setup, task), clock.stop())


def _judged(setup: Setup, task: Task) -> dict[str, float]:
    """By a task that has what one worker had: the trial's own process has next to nothing."""
    device = torch.device("cuda" if setup.num_gpus else "cpu")
    # Tune keeps what a trial starts within the trial's own share, which has no room for a worker.
    nowhere: Any = None
    function: Any = judged
    judging = ray.remote(function).options(
        num_cpus=setup.num_cpus,
        num_gpus=setup.num_gpus,
        scheduling_strategy=PlacementGroupSchedulingStrategy(placement_group=nowhere),
    )
    found: dict[str, float] = ray.get(
        judging.remote(task, setup.data.test, setup.downstream, device=device)
    )
    return found


def _history(task: Task) -> History:
    """What an earlier try has behind it."""
    place = task.run / CHECKPOINTS
    if (newest := newest_checkpoint(place)) is None:
        return []
    with tempfile.TemporaryDirectory(prefix="figclip-checkpoint-") as copy:
        state = read_checkpoint((place / newest).download(Path(copy)))
    history: History = state["progress"]["history"]
    return history


class TellsTune(TuneReportCallback):
    """Lives in the process that leads the workers; what it tells comes out of the trial's own."""

    def __init__(self, before: News, history: History, metric: str) -> None:
        super().__init__()
        self._before, self._history, self._metric = before, list(history), metric
        self._began = time.monotonic()

    def after_report(
        self, run_context: Any, metrics: Sequence[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        row = {name: value for name, value in metrics[0].items() if name != "steps"}
        num_epochs = int(self._history[-1]["epoch"]) if self._history else 0
        if row.get("epoch", 0) <= num_epochs:
            return  # a checkpoint within an epoch
        self._history.append(row)
        news = replace(
            self._before,
            curve=curve_of(self._history, ()),
            seconds=self._before.seconds + time.monotonic() - self._began,
            checkpoint=checkpoint.path if checkpoint else "",
        )
        self._training_actor_item_queue.put(result_of(news, self._metric))
