"""One trial: a pretraining run of the project's own, with a few values changed, told as it goes.

It knows neither Ray nor the storage. Its folder holds its checkpoints: run again, it goes on.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from figclip.config import Config, UsageError
from figclip.inputs.corpora import CorpusShare
from figclip.store import Folder, Store
from figclip.training.alone import train_alone
from figclip.training.checkpoint import History, Progress, newest_checkpoint
from figclip.training.data import Data, open_data, task_of
from figclip.training.initial import find_initial
from figclip.training.loop import Diverged
from figclip.training.rank import CHECKPOINTS
from figclip.training.recipe import PretrainConfig, check_sizes
from figclip.training.task import Task, Validate
from figclip.training.trackers import TrackerConfig
from figclip.tuning.judging import Downstream, judged
from figclip.tuning.news import News
from figclip.tuning.record import CurvePoint
from figclip.tuning.spaces import Params

log = logging.getLogger(__name__)

Fit = Callable[[PretrainConfig, int], PretrainConfig]
"""A recipe and the number of training pairs → the recipe as the corpus allows it."""
Tell = Callable[[News], None]
Train = Callable[["Setup", Task, "Clock", Tell], News]
"""Trains to the end, judges what was learned, and gives the last news."""


@dataclass(frozen=True)
class Setup:
    """What all trials of a sweep have in common."""

    store: str
    """URL."""
    folder: str
    """Of the sweep's trials, below the store."""
    corpora: tuple[CorpusShare, ...]
    base: PretrainConfig
    fit: Fit
    validate: Validate
    downstream: Downstream | None = None
    """Judges the encoder of every trial at its end, besides the test split."""
    num_cpus: float = 1.0
    """Of one trial."""
    num_gpus: float = 0.0
    num_workers: int = 1
    """Training processes of one trial: one trains in the trial's own process, where it has no GPU
    of its own to feed; more are workers of Ray Train."""

    def config(self, params: Params, seed: int) -> PretrainConfig:
        """Of one trial. `UsageError` names the key, or the value that does not fit."""
        wanted = self.base.with_overrides({**params, "seed": seed})
        fitted = self.fit(wanted, self.data.num_rows)
        for name in params:
            if (found := value_of(fitted, name)) != (value := value_of(wanted, name)):
                raise UsageError(
                    f"{name} {value} does not fit {self.data.num_rows} training pairs, {found} "
                    f"would: change it in the space, or take more pairs"
                )
        return fitted

    @property
    def data(self) -> Data:
        """Opened once in a process."""
        return _data(self.store, self.corpora)

    def check(self, params: Params) -> None:
        """`UsageError` where a trial with these values could not start."""
        config = self.config(params, 0)
        workers = range(self.num_workers, self.num_workers + 1)
        check_sizes(config, num_rows=self.data.num_rows, workers=workers)

    @property
    def uses_workers(self) -> bool:
        """Of Ray Train: where there is more than one of them, or a GPU to feed."""
        return self.num_workers > 1 or self.num_gpus > 0

    @property
    def resources(self) -> dict[str, float]:
        """Of a trial's own process; workers have theirs beside it."""
        return {"CPU": 0.1 if self.uses_workers else self.num_cpus}

    def run(self, number: int) -> Folder:
        return Store(self.store).root / self.folder / f"{number:04d}"

    def give(self, number: int, checkpoint: Path) -> None:
        """Let a trial go on from this checkpoint, whatever it has itself."""
        place = self.run(number) / CHECKPOINTS
        place.clear()
        (place / "checkpoint_0-given").upload(checkpoint)

    def task(self, number: int, params: Params, seed: int) -> Task:
        config, run = self.config(params, seed), self.run(number)
        return task_of(
            self.data,
            config,
            run,
            initial=find_initial(config.init, config.model, run),
            validate=self.validate,
            trackers=TrackerConfig(),
        )


def value_of(config: Config, name: str) -> Any:
    """What a config has under a dotted name, as JSON has it."""
    value: Any = config.model_dump(mode="json")
    for part in name.split("."):
        value = value[part]
    return value


@lru_cache(maxsize=4)
def _data(store: str, corpora: tuple[CorpusShare, ...]) -> Data:
    return open_data(Store(store), corpora)


def run_trial(
    setup: Setup, number: int, params: Params, seed: int, tell: Tell, *, train: Train | None = None
) -> None:
    """Train one trial to its end, from its last checkpoint where it has one.

    A fault that would come again (divergence, no memory, values that do not fit) is told; what a
    lost machine or disk raises is not, for it is worth another try.
    """
    last: list[News] = []

    def told(news: News) -> None:
        last[:] = [news]
        tell(news)

    try:
        clock = Clock(setup.run(number))  # before the first work, whose time is the trial's own
        task = setup.task(number, params, seed)
        tell((train or train_here)(setup, task, clock, told))
    except (Diverged, UsageError, MemoryError, torch.OutOfMemoryError) as error:
        kind = "out of memory: " if isinstance(error, MemoryError | torch.OutOfMemoryError) else ""
        fault = f"{kind}{error}".strip().rstrip(":") or type(error).__name__
        before = last[0] if last else News((), 0.0, "")
        tell(replace(before, is_over=False, fault=fault))


def train_here(setup: Setup, task: Task, clock: "Clock", tell: Tell) -> News:
    """Train in this process, and judge here; the last news."""
    torch.set_num_threads(max(1, int(setup.num_cpus)))
    news = News((), 0.0, "")

    def told(progress: Progress) -> None:
        nonlocal news
        clock.lap(progress)
        if len(progress.history) > len(news.curve):  # no checkpoint within an epoch
            news = news_of(setup, task, progress, clock)
            tell(news)

    train_alone(task, told, device=torch.device("cpu"))
    found = judged(task, setup.data.test, setup.downstream, device=torch.device("cpu"))
    return finished(news, found, clock.stop())


class Clock:
    """How long a trial has trained, and each of its epochs; kept beside its checkpoints."""

    FILE = "clock.json"

    def __init__(self, run: Folder) -> None:
        self._run, self._last = run, time.monotonic()
        kept = json.loads(run.read(self.FILE)) if run.exists(self.FILE) else {}
        self.seconds: float = kept.get("seconds", 0.0)
        self.epochs: list[float] = kept.get("epochs", [])
        """Seconds of each, its validation among them."""
        self._in_epoch: float = kept.get("in_epoch", 0.0)

    def lap(self, progress: Progress) -> None:
        """At a checkpoint: what was spent since the last one is of the epoch that it is of."""
        now = time.monotonic()
        self.seconds += now - self._last
        self._in_epoch += now - self._last
        self._last = now
        if len(progress.history) > len(self.epochs):
            self.epochs.append(self._in_epoch)
            self._in_epoch = 0.0
        self._keep()

    def stop(self) -> float:
        """At the end: all seconds, those of the last judgement among them."""
        now = time.monotonic()
        self.seconds += now - self._last
        self._last = now
        self._keep()
        return self.seconds

    def _keep(self) -> None:
        kept = {"seconds": self.seconds, "epochs": self.epochs, "in_epoch": self._in_epoch}
        self._run.write(self.FILE, json.dumps(kept).encode())


def news_of(setup: Setup, task: Task, progress: Progress, clock: Clock) -> News:
    return News(
        curve=curve_of(progress.history, clock.epochs),
        seconds=clock.seconds,
        checkpoint=f"{(task.run / CHECKPOINTS).path}/{newest_checkpoint(task.run / CHECKPOINTS)}",
        num_cpus=setup.num_cpus * setup.num_workers,
        num_gpus=setup.num_gpus * setup.num_workers,
    )


def finished(news: News, held_out: Mapping[str, float], seconds: float) -> News:
    """Its last point with what it was judged by at its end, which nothing is chosen by."""
    *before, last = news.curve
    curve = (*before, replace(last, metrics={**last.metrics, **held_out}))
    return replace(news, curve=curve, seconds=seconds, is_over=True)


def curve_of(history: History, epoch_seconds: Sequence[float]) -> tuple[CurvePoint, ...]:
    """The run's own record of its epochs, with how long each took where that is known."""
    found = []
    for number, row in enumerate(history):
        metrics = {name: value for name, value in row.items() if name not in ("epoch", "samples")}
        if number < len(epoch_seconds):
            metrics["epoch_seconds"] = epoch_seconds[number]
        found.append(CurvePoint(int(row["samples"]), int(row["epoch"]), metrics))
    return tuple(found)
