"""A sweep on Ray Tune: trials side by side, in processes that are used again, all recorded.

Tune places the trials, ends the poor ones early and starts again those whose machine is lost.
Which trials there are, and how they stand, is in the study alone: whatever is killed, the same
sweep started again goes on from there. The driver is the only one to write to it.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.search import Searcher

from figclip.log import configure_logging
from figclip.store import Store
from figclip.store.artifacts import code_revision
from figclip.tuning.losses import memory_is_a_loss
from figclip.tuning.news import News, news_from, result_of
from figclip.tuning.plan import Next
from figclip.tuning.record import SweepRecord
from figclip.tuning.study import SweepStudy
from figclip.tuning.trial import Setup, Tell, Train, run_trial
from figclip.tuning.workers import train_with_workers

log = logging.getLogger(__name__)

RunTrial = Callable[[Setup, dict[str, Any], Tell], None]


@dataclass(frozen=True)
class Limits:
    """How much a sweep may take."""

    at_once: int = 1
    """Trials side by side."""
    hours: float | None = None
    """Of wall time, for this driver."""
    cost: float | None = None
    """Of all trials together, those of earlier drivers among them."""
    price_per_hour: float = 0.0
    """Of a GPU, or of a CPU where the trials have no GPU."""
    max_failures: int = 2
    """Times that a trial is started again after its process or machine is lost."""


def sweep(
    study: SweepStudy,
    setup: Setup,
    next_trial: Callable[[], Next],
    *,
    limits: Limits,
    scheduler: TrialScheduler | None = None,
    run: RunTrial | None = None,
) -> SweepRecord:
    """Run what `next_trial` gives until it gives None, or a limit is reached; the record then."""
    desk = Desk(study, next_trial, limits, pairs=" + ".join(s.artifact for s in setup.corpora))
    if desk.is_idle():
        return study.record
    _quieten_tune()
    metric = study.question.objectives[0][0]
    one_trial = run or partial(_run, metric=metric)

    exchanges = isinstance(scheduler, PopulationBasedTraining)

    def trainable(config: dict[str, Any]) -> None:
        configure_logging()
        told = dict(config["params"]) if exchanges else None

        def tell(news: News) -> None:
            kept = None
            if exchanges and news.checkpoint:
                kept = tune.Checkpoint(news.checkpoint, Store(setup.store).root.fs)
            tune.report(result_of(replace(news, params=told), metric), checkpoint=kept)

        one_trial(setup, config, tell)

    with tempfile.TemporaryDirectory(prefix="figclip-tune-") as folder, memory_is_a_loss():
        tune.Tuner(
            tune.with_resources(trainable, setup.resources),
            tune_config=tune.TuneConfig(
                search_alg=Search(desk),
                scheduler=scheduler or FIFOScheduler(),
                num_samples=-1,
                max_concurrent_trials=limits.at_once,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=folder,
                callbacks=[Ears(desk)],
                stop=Ends(desk),
                checkpoint_config=tune.CheckpointConfig(num_to_keep=4),
                failure_config=tune.FailureConfig(max_failures=limits.max_failures),
                verbose=0,
            ),
        ).fit()
    return study.record


def _quieten_tune() -> None:
    """The study is the record: Tune's own files and tables would say the same once more."""
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # A trial that fails has no metric to tell; Tune would end the whole sweep for it.
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    logging.getLogger("ray.tune").setLevel(logging.ERROR)


def _run(setup: Setup, config: dict[str, Any], tell: Tell, *, metric: str) -> None:
    number, params, seed = config["number"], config["params"], config["seed"]
    if given := tune.get_checkpoint():  # another trial's, under population based training
        with given.as_directory() as folder:
            setup.give(number, Path(folder))
    if setup.uses_workers:
        train: Train = partial(train_with_workers, metric=metric)
        run_trial(setup, number, params, seed, tell, train=train)
    else:
        run_trial(setup, number, params, seed, tell)


class Desk:
    """Hands out the trials and writes down what is told of them."""

    def __init__(
        self, study: SweepStudy, next_trial: Callable[[], Next], limits: Limits, *, pairs: str
    ) -> None:
        self.study, self._next, self._limits, self._pairs = study, next_trial, limits, pairs
        self._revision, self._began = code_revision(), time.monotonic()
        self._numbers: dict[str, int] = {}
        self._last: dict[int, News] = {}
        self._ended: set[int] = set()
        self._held: Next = None

    def is_idle(self) -> bool:
        """There is nothing to do, and nothing to wait for."""
        self._held = None if self.is_over_budget() else self._next()
        return self._held is None

    def hand_out(self, tune_id: str) -> Next:
        trial = None if self.is_over_budget() else self._held or self._next()
        self._held = None
        if trial is not None and trial != "wait":
            self._numbers[tune_id] = trial.number
        return trial

    def is_over_budget(self) -> bool:
        hours = (time.monotonic() - self._began) / 3600
        if self._limits.hours is not None and hours >= self._limits.hours:
            return True
        return self._limits.cost is not None and self.cost() >= self._limits.cost

    def cost(self) -> float:
        trials = self.study.record.trials
        hours = sum(one.gpu_hours for one in trials) or sum(one.cpu_hours for one in trials)
        return hours * self._limits.price_per_hour

    def hear(self, tune_id: str, news: News) -> None:
        number = self._numbers[tune_id]
        if number in self._ended:
            return
        self._last[number] = news
        self.study.tell(number, news, revision=self._revision, pairs=self._pairs)
        if news.fault:
            self._ended.add(number)
            self.study.fail(number, news.fault)
        elif news.is_over:
            self._ended.add(number)
            self.study.finish(number, news)

    def end(self, tune_id: str) -> None:
        """Its process is done with it: finished, or stopped on the way."""
        number = self._numbers[tune_id]
        if number in self._ended or self.is_over_budget():
            return  # what a limit stopped is unfinished, and goes on with the next driver
        self._ended.add(number)
        news = self._last.get(number)
        if news is None or not news.curve:
            self.study.fail(number, "it ended without a single epoch")
            return
        seen = news.curve[-1].samples_seen
        self.study.prune(number, f"behind the others after {seen:,} samples")

    def fail(self, tune_id: str, reason: str) -> None:
        number = self._numbers[tune_id]
        if number not in self._ended:
            self._ended.add(number)
            self.study.fail(number, reason)


class Search(Searcher):
    """What Tune asks for its next trial."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def suggest(self, trial_id: str) -> Any:
        trial = self._desk.hand_out(trial_id)
        if trial is None:
            return Searcher.FINISHED
        if trial == "wait":
            return None
        return {"number": trial.number, "params": dict(trial.params), "seed": trial.seed}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """The desk hears of it through `Ears`, with the reason."""

    def save(self, checkpoint_path: str) -> None:
        """The study is saved already."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing of Tune's own state is ever read."""


class Ears(tune.Callback):
    """What Tune tells of its trials."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "news" in result:
            self._desk.hear(trial.trial_id, news_from(result))

    def on_trial_complete(self, iteration: int, trials: Any, trial: Trial, **info: Any) -> None:
        self._desk.end(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: Any, trial: Trial, **info: Any) -> None:
        self._desk.fail(trial.trial_id, reason_of(trial))


class Ends(tune.Stopper):
    """Tune asks after every result whether the sweep is over."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._desk.is_over_budget()


def reason_of(trial: Trial) -> str:
    """What went wrong, in a line. Tune tells it in a file of its own alone."""
    path = Path(trial.pickled_error_file or "")
    if not path.is_file():
        return "it failed"
    error: Any = cloudpickle.loads(path.read_bytes())
    if isinstance(error, RayActorError):
        if "low on memory" in str(error):
            return "out of memory: its process was killed"
        return "its process was lost: killed, perhaps for want of memory, or gone with its machine"
    cause: Any = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"
