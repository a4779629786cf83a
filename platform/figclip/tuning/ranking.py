"""Which trials are best, and which of the things varied made them so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from figclip.tuning.levels import free_names
from figclip.tuning.record import Direction, SweepRecord, TrialRecord

FEWEST_TO_MODEL = 20
"""Finished trials below which PED-ANOVA's best tenth is a trial or two."""
FEWEST = 3


@dataclass(frozen=True)
class Importance:
    shares: dict[str, float]
    """Of what is varied, the largest first."""
    method: str
    """In words, for who reads the plot."""


def importance(record: SweepRecord) -> Importance | None:
    """Of the first objective; None where fewer than three trials, or nothing that differs."""
    trials = [trial for trial in record.trials if trial.state == "complete"]
    names = [
        name for name in free_names(record) if len({repr(t.params.get(name)) for t in trials}) > 1
    ]
    if len(trials) < FEWEST or not names:
        return None
    if len(trials) >= FEWEST_TO_MODEL and all(set(names) <= t.params.keys() for t in trials):
        shares, method = _by_ped_anova(trials, names, record.objectives[0][1]), "PED-ANOVA"
    else:
        shares = {name: explained(trials, name) for name in names}
        method = "share of the variance between the levels of each alone"
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return Importance(dict(ordered), f"{method}; {len(trials)} trials")


def explained(trials: Sequence[TrialRecord], name: str) -> float:
    """η²: the part of the first objective's variance that lies between the levels of one setting.

    Each level of a number that no two trials share would explain all, so numbers of more levels
    than half the trials are first cut into thirds.
    """
    values = np.array([trial.values[0] for trial in trials])
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return 0.0
    levels = np.array(_levels([trial.params.get(name) for trial in trials]))
    groups = [values[levels == level] for level in np.unique(levels)]
    between = sum(len(group) * (group.mean() - values.mean()) ** 2 for group in groups)
    return float(between) / total


def _levels(settings: Sequence[Any]) -> list[int]:
    distinct = sorted({repr(setting) for setting in settings})
    is_number = all(isinstance(setting, int | float) for setting in settings)
    if not is_number or len(distinct) <= len(settings) / 2:
        return [distinct.index(repr(setting)) for setting in settings]
    order = np.argsort(np.argsort(np.array(settings, dtype=float), kind="stable"))
    return [int(place) for place in order * 3 // len(settings)]


def _by_ped_anova(
    trials: Sequence[TrialRecord], names: Sequence[str], way: Direction
) -> dict[str, float]:
    """Watanabe et al. (2023), arXiv 2304.10255: what sets the best tenth of the trials apart."""
    spaces = {name: _space([trial.params[name] for trial in trials]) for name in names}
    study = optuna.create_study(direction=way)
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                params={name: _plain(trial.params[name]) for name in names},
                distributions=spaces,
                value=trial.values[0],
            )
        )
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def _space(settings: Sequence[Any]) -> BaseDistribution:
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in settings):
        low, high = min(settings), max(settings)
        return FloatDistribution(low, high, log=low > 0 and high >= 10 * low)
    return CategoricalDistribution(sorted({_plain(each) for each in settings}, key=repr))


def _plain(setting: Any) -> Any:
    """What a categorical of Optuna may hold."""
    return setting if isinstance(setting, str | int | float | bool | None) else repr(setting)


@dataclass(frozen=True)
class Point:
    """A finished trial between what it reaches and what it takes."""

    trial: TrialRecord
    cost: float
    quality: float


@dataclass(frozen=True)
class Tradeoff:
    points: tuple[Point, ...]
    front: tuple[Point, ...]
    """Those that no other beats in both, by their cost."""
    cost: str
    quality: str
    is_higher_better: bool


def tradeoff(record: SweepRecord) -> Tradeoff:
    """The first objective against the first other one that is a cost, or against hours."""
    name, way = record.objectives[0]
    others = [n for n, (_, w) in enumerate(record.objectives) if n > 0 and w == "minimize"]
    trials = [trial for trial in record.trials if trial.state == "complete"]
    if others:
        cost, costs = record.objectives[others[0]][0], [t.values[others[0]] for t in trials]
    elif any(trial.gpu_hours for trial in trials):
        cost, costs = "GPU-hours", [trial.gpu_hours for trial in trials]
    else:
        cost, costs = "CPU-hours", [trial.cpu_hours for trial in trials]
    points = [Point(t, c, t.values[0]) for t, c in zip(trials, costs, strict=True)]
    higher = way == "maximize"
    return Tradeoff(tuple(points), tuple(front(points, higher)), cost, name, higher)


def front(points: Sequence[Point], is_higher_better: bool) -> list[Point]:
    """Pareto's: by cost, each better than all cheaper ones. Of equal ones the first stands."""
    sign = -1 if is_higher_better else 1
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, sign * p.quality, p.trial.number)):
        if not found or sign * point.quality < sign * found[-1].quality:
            found.append(point)
    return found
