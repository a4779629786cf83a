"""Who ends a trial early, or carries the better weights on: Tune's schedulers, told of the past.

A driver that starts anew gives them what the study knows of the trials before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from figclip.config import UsageError
from figclip.tuning.record import CurvePoint
from figclip.tuning.spaces import AND, Between, Budget
from figclip.tuning.study import SweepStudy

REDUCTION = 2
"""Of the trials that reach a rung, one of so many goes on."""


def scheduler_of(
    budget: Budget, study: SweepStudy, *, total_samples: int, epoch_samples: int
) -> TrialScheduler:
    """Trials are compared by the study's first objective, at equal samples.

    `epoch_samples` is the least that any trial may have seen after its first epoch.
    """
    common: dict[str, Any] = {"time_attr": "samples_seen", "metric": "metric", "mode": "max"}
    match budget.scheduler:
        case "asha":
            rungs = {"max_t": total_samples, "grace_period": epoch_samples}
            return Halving(study, **common, **rungs, reduction_factor=REDUCTION)
        case "median":
            return MedianStoppingRule(**common, grace_period=epoch_samples)
        case "pbt":
            return Population(
                **common,
                perturbation_interval=epoch_samples,
                hyperparam_mutations={"params": mutations(budget)},
            )
        case _:
            return FIFOScheduler()


def mutations(budget: Budget) -> dict[str, Any]:
    """What population based training draws anew or moves a little."""
    joined = [key for key in budget.search if AND in key]
    if joined or not budget.search:
        raise UsageError("population based training changes single values of a search")
    return {
        name: tune.loguniform(value.low, value.high)
        if isinstance(value, Between) and value.log
        else tune.uniform(value.low, value.high)
        if isinstance(value, Between)
        else list(value)
        for name, value in budget.search.items()
    }


class Halving(ASHAScheduler):
    """Asynchronous successive halving that remembers the trials of earlier drivers."""

    def __init__(self, study: SweepStudy, **options: Any) -> None:
        super().__init__(**options)
        # Ray 2.60 has no other door: a bracket judges by what it has been told of others.
        self._bracket: Any = self._brackets[0]
        self._metric_name = study.question.objectives[0][0]
        trials = [trial for trial in study.record.trials if trial.seed == 0]
        for trial in trials:
            if trial.state != "running":
                self._remember(f"recorded-{trial.number}", trial.curve)
        self._running = {one.number: one.curve for one in trials if one.state == "running"}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        super().on_trial_add(tune_controller, trial)
        self._remember(trial.trial_id, self._running.get(trial.config["number"], ()))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Those that confirm, with other seeds than the first, run to their end; and who has seen
        all samples is not stopped at the last of them, but ends by itself, complete."""
        if trial.config["seed"] or result[self._time_attr] >= self._max_t:
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        if not trial.config["seed"]:
            super().on_trial_complete(tune_controller, trial, result)

    def _remember(self, trial_id: str, curve: Sequence[CurvePoint]) -> None:
        for point in curve:
            if (value := point.metrics.get(self._metric_name)) is not None:
                self._bracket.on_result(_Named(trial_id), point.samples_seen, value)


@dataclass(frozen=True)
class _Named:
    """All that a bracket asks of a trial."""

    trial_id: str


class Population(PopulationBasedTraining):
    """A poor trial goes on with the weights of a good one and values near its own.

    Jaderberg et al. 2017, arXiv 1711.09846.
    """

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Tune refuses a search beside it, which would learn from values that change on the way;
        the study, which hands out the trials, learns nothing from these."""
        without_search: Any = SimpleNamespace(search_alg=None)
        super().on_trial_add(without_search, trial)

    def _get_new_config(self, trial: Trial, trial_to_clone: Trial) -> tuple[dict[str, Any], Any]:
        config, operations = super()._get_new_config(trial, trial_to_clone)
        return config | {name: trial.config[name] for name in ("number", "seed")}, operations
