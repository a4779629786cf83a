"""A sweep in the making: which trial is next, and what is written of it, in Optuna's storage.

Every planned point of a grid is in the storage before the first trial starts; a search draws one
trial after another. A trial that an earlier driver left unfinished is the next to go on, so that a
driver may be killed at any time: what is not finished in the storage is unfinished, and nothing
else decides.
"""

import json
import logging
import secrets
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

from figclip.config import UsageError
from figclip.tuning.news import News
from figclip.tuning.record import (
    ENCODERS,
    SWEEP,
    PaperTable,
    SweepRecord,
    TrialRecord,
    plain_table,
    record_of,
)
from figclip.tuning.spaces import AND, Between, Objectives, Params, Point, spread
from figclip.tuning.storage import open_storage, shown

log = logging.getLogger(__name__)

NUM_STARTUP = 8
"""Trials of a search that are drawn blindly: TPE's own default is 10."""


@dataclass(frozen=True)
class Question:
    """What a sweep asks: with another one its study does not go on."""

    space: str
    question: str
    base: str
    objectives: Objectives
    varied: tuple[str, ...]
    paper: PaperTable | None
    downstream: PaperTable | None
    setting: Mapping[str, Any]
    """All else that a trial's outcome follows from: the base's values, the corpora, what is
    varied."""

    def plain(self) -> dict[str, Any]:
        values = asdict(self) | {
            "paper": plain_table(self.paper),
            "downstream": plain_table(self.downstream),
        }
        found: dict[str, Any] = json.loads(json.dumps(values))
        return found


class SweepStudy:
    """Whoever has it open is the only one to write to the study."""

    def __init__(self, storage: str, name: str, question: Question, *, seed: int = 0) -> None:
        """`UsageError` where the storage cannot be had or holds another question's study."""
        optuna.logging.set_verbosity(logging.WARNING)
        directions = [direction for _, direction in question.objectives]
        self.study: Study = optuna.create_study(
            storage=open_storage(storage),
            study_name=name,
            directions=directions,
            load_if_exists=True,
            sampler=TPESampler(seed=seed),
        )
        self._seed, self._storage = seed, storage
        self.question = question
        self._open(question)
        self._name_the_values([name for name, _ in question.objectives])
        self._adopted: set[int] = set()

    def _open(self, question: Question) -> None:
        asked, mine = self.study.user_attrs.get(SWEEP), question.plain()
        if asked is None and not self.study.get_trials(deepcopy=False):
            asked = mine | {"id": secrets.token_hex(4), "planned": 0}
            self.study.set_user_attr(SWEEP, asked)
        if asked is None:
            raise UsageError(
                f"the study {self.study.study_name!r} in {shown(self._storage)} is not one of "
                f"figclip's: name this sweep otherwise with --name, or another --storage"
            )
        if differing := _differing(asked, mine):
            raise UsageError(
                f"the study {self.study.study_name!r} in {shown(self._storage)} is of another "
                f"question ({', '.join(differing)} differ): name this sweep otherwise with "
                f"--name, or run it as it was to go on with it"
            )
        self.id: str = asked["id"]

    def _name_the_values(self, names: list[str]) -> None:
        """For dashboards, which would else call them objectives 0 and 1."""
        if self.study.metric_names != names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self.study.set_metric_names(names)

    @property
    def record(self) -> SweepRecord:
        return record_of(self.study)

    def plan(self, points: Sequence[Point], keys: Sequence[str], *, planned: int) -> int:
        """Write down the points that the study does not have yet, and how many trials are to be.

        `keys` are Optuna's names of what is varied. How many points were new.
        """
        num_new = 0
        kept = {trial.user_attrs.get("identity") for trial in self.study.get_trials(deepcopy=False)}
        for point in points:
            if point.identity not in kept:
                num_new += 1
                self.study.enqueue_trial(
                    {key: _plain(value) for key, value in keyed(point.params, keys).items()},
                    user_attrs=_attributes(point),
                )
        asked = self.study.user_attrs[SWEEP]
        self.study.set_user_attr(SWEEP, asked | {"planned": planned})
        return num_new

    def next_of_grid(self, points: Sequence[Point], keys: Sequence[str]) -> TrialRecord | None:
        """One that an earlier driver left behind, else the next planned; None at the end."""
        if (left := self._left_behind()) is not None:
            return left
        if not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return None
        return self._asked({key: _choices(points, key) for key in keys})

    def next_of_search(
        self, search: Mapping[str, Between | tuple[Any, ...]], *, num_samples: int, seed: int
    ) -> TrialRecord | None:
        """One that was left behind, one that is planned, or one that is drawn, `num_samples` in
        all; None at the end."""
        if (left := self._left_behind()) is not None:
            return left
        trials = self.study.get_trials(deepcopy=False)
        is_waiting = any(trial.state == TrialState.WAITING for trial in trials)
        num_drawn = sum(trial.user_attrs.get("seed") == seed for trial in trials)
        if num_drawn >= num_samples and not is_waiting:
            return None
        # A draw follows from the sweep's seed, its number and what is finished: a driver that
        # starts anew does not begin the same draws again.
        self.study.sampler = TPESampler(
            seed=self._seed + num_drawn, n_startup_trials=NUM_STARTUP, constant_liar=True
        )
        return self._asked({key: distribution(value) for key, value in search.items()}, seed)

    def _left_behind(self) -> TrialRecord | None:
        for trial in self.record.trials:
            if trial.state == "running" and trial.number not in self._adopted:
                self._adopted.add(trial.number)
                log.info("trial %d goes on after %d samples", trial.number, trial.samples_seen)
                return trial
        return None

    def _asked(self, draws: Mapping[str, BaseDistribution], seed: int = 0) -> TrialRecord:
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        fixed = waiting[0].system_attrs.get("fixed_params", {}) if waiting else None
        names = draws if fixed is None else [name for name in draws if name in fixed]
        trial = self.study.ask({name: draws[name] for name in names})
        self._adopted.add(trial.number)
        if "identity" not in trial.user_attrs:
            params = spread({name: _unplain(value) for name, value in trial.params.items()})
            for name, value in _attributes(Point(params, seed)).items():
                trial.set_user_attr(name, value)
        return next(one for one in self.record.trials if one.number == trial.number)

    def tell(self, number: int, news: News, **facts: str) -> None:
        """What is known of a running trial."""
        trial, curve = self._trial(number), news.curve
        hours = news.seconds / 3600
        told: dict[str, Any] = {
            "curve": [asdict(point) for point in curve],
            "samples_seen": curve[-1].samples_seen if curve else 0,
            "seconds": news.seconds,
            "gpu_hours": hours * news.num_gpus,
            "cpu_hours": hours * news.num_cpus,
            "checkpoint": news.checkpoint,
            **facts,
        }
        if news.params is not None:
            told["params"] = dict(news.params)
        for name, value in told.items():
            if trial.user_attrs.get(name) != value:
                trial.set_user_attr(name, value)
        if len(self.question.objectives) == 1:
            metric = self.question.objectives[0][0]
            reported = trial.storage.get_trial(trial._trial_id).intermediate_values
            for point in curve:
                if point.samples_seen not in reported and metric in point.metrics:
                    trial.report(point.metrics[metric], point.samples_seen)

    def finish(self, number: int, news: News) -> None:
        """It has seen all its samples."""
        self.tell(number, news)
        found = self.record.trials[number]
        measured = dict(news.curve[-1].metrics) if news.curve else {}
        known = measured | {
            "gpu_hours": found.gpu_hours,
            "cpu_hours": found.cpu_hours,
        }
        missing = [name for name, _ in self.question.objectives if name not in known]
        if missing:
            self.fail(number, f"its validation gave no {missing[0]}")
            return
        self.study.tell(number, [known[name] for name, _ in self.question.objectives])

    def prune(self, number: int, reason: str) -> None:
        self._end(number, TrialState.PRUNED, reason)

    def fail(self, number: int, reason: str) -> None:
        log.warning("trial %d has failed: %s", number, reason)
        self._end(number, TrialState.FAIL, reason)

    def _end(self, number: int, state: TrialState, reason: str) -> None:
        self._trial(number).set_user_attr("reason", reason)
        self.study.tell(number, state=state)

    def name_encoder(self, number: int, artifact: str) -> None:
        """A finished trial takes no attributes; the study does."""
        encoders: dict[str, str] = self.study.user_attrs.get(ENCODERS, {})
        self.study.set_user_attr(ENCODERS, encoders | {str(number): artifact})

    def _trial(self, number: int) -> Trial:
        trial = self.study.get_trials(deepcopy=False)[number]
        return Trial(self.study, trial._trial_id)


def distribution(value: Between | tuple[Any, ...]) -> BaseDistribution:
    match value:
        case Between(low=int(low), high=int(high), log=is_log):
            return IntDistribution(low, high, log=is_log)
        case Between(low=low, high=high, log=is_log):
            return FloatDistribution(float(low), float(high), log=is_log)
        case _:
            return CategoricalDistribution([_plain(one) for one in value])


def _attributes(point: Point) -> dict[str, Any]:
    return {
        "identity": point.identity,
        "params": dict(point.params),
        "seed": point.seed,
        "label": list(point.label),
    }


def keyed(params: Params, keys: Sequence[str]) -> dict[str, Any]:
    """`{"a": 1, "b": 1}` → `{"a & b": 1}`."""
    firsts = {key: key.split(AND)[0] for key in keys}
    return {key: params[first] for key, first in firsts.items() if first in params}


def _choices(points: Sequence[Point], key: str) -> CategoricalDistribution:
    values = [_plain(value) for point in points for value in keyed(point.params, [key]).values()]
    return CategoricalDistribution(list(dict.fromkeys(values)))


def _plain(value: Any) -> Any:
    """As Optuna's choices may be: a list or a table as its JSON."""
    is_scalar = value is None or isinstance(value, bool | int | float | str)
    return value if is_scalar else json.dumps(value)


def _unplain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "[{":
        return json.loads(value)
    return value


def _differing(asked: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    found = []
    for name, value in mine.items():
        if name in ("paper", "downstream", "question") or asked.get(name) == value:
            continue
        if name == "setting":
            theirs = asked.get("setting", {})
            found += [
                key for key in value.keys() | theirs.keys() if theirs.get(key) != value.get(key)
            ]
        else:
            found.append(name)
    return sorted(found)
