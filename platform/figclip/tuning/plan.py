"""The trials of a sweep in their order: a grid's points, or what is drawn and then confirmed."""

from dataclasses import replace
from typing import Literal

from figclip.config import UsageError
from figclip.training.recipe import PretrainConfig
from figclip.tuning.record import SweepRecord, TrialRecord
from figclip.tuning.spaces import Budget, Params, Point, grid_points
from figclip.tuning.study import SweepStudy, distribution, keyed
from figclip.tuning.trial import value_of

Next = TrialRecord | Literal["wait"] | None
"""A trial; or none before those that run have ended; or none ever."""


class Plan:
    """Which trial is next, as the study stands.

    A search begins with the base's own values. When all it draws has ended, the best and the base
    are trained anew with other seeds: a search finds luck, too, and on fresh seeds there is none
    left in the difference between the two.
    """

    def __init__(self, study: SweepStudy, budget: Budget, base: PretrainConfig) -> None:
        self._study, self._budget = study, budget
        self._base = {name: value_of(base, name) for name in budget.varied}
        self._points = list(grid_points(budget, budget.num_seeds))

    @property
    def known(self) -> list[Params]:
        """Values that are known before any trial starts."""
        return self._budget.points() or [self._base]

    def write(self) -> None:
        """Into the study. `UsageError` where the search could not draw the base itself."""
        budget = self._budget
        if not budget.search:
            self._study.plan(self._points, budget.keys, planned=len(self._points))
            return
        for key, value in keyed(self._base, budget.keys).items():
            if not distribution(budget.search[key])._contains(_internal(budget, key, value)):
                raise UsageError(f"the base has {key} {value}, which the search does not draw")
        num_confirming = 2 * budget.num_seeds if self._confirms else 0
        planned = budget.num_samples + num_confirming
        self._study.plan([Point(self._base, 0)], budget.keys, planned=planned)

    def next(self) -> Next:
        if not self._budget.search:
            return self._study.next_of_grid(self._points, self._budget.keys)
        found = self._study.next_of_search(
            self._budget.search, num_samples=self._budget.num_samples, seed=0
        )
        if found is not None or not self._confirms:
            return found
        record = self._study.record
        if any(trial.state == "running" for trial in record.trials):
            return "wait"
        points = confirming(record, self._base, self._budget.num_seeds)
        if not points or not self._study.plan(points, self._budget.keys, planned=record.planned):
            return None
        return self.next()

    @property
    def _confirms(self) -> bool:
        return self._budget.scheduler != "pbt" and self._budget.num_seeds > 1


def confirming(record: SweepRecord, base: Params, num_seeds: int) -> list[Point]:
    """The best of the first seed, and the base, with the seeds that follow."""
    drawn = tuple(trial for trial in record.trials if trial.seed == 0)
    winner = best(replace(record, trials=drawn))
    if winner is None:
        return []
    params = [winner.params, *([base] if winner.params != base else [])]
    return [Point(one, seed) for seed in range(1, num_seeds + 1) for one in params]


def best(record: SweepRecord) -> TrialRecord | None:
    """By the mean of the first objective over the seeds, where several were asked: the values that
    were asked with the most seeds are compared, and their best seed stands for them."""
    complete = [trial for trial in record.trials if trial.state == "complete"]
    if not complete:
        return None
    sign = 1.0 if record.objectives[0][1] == "maximize" else -1.0
    groups: dict[str, list[TrialRecord]] = {}
    for trial in complete:
        groups.setdefault(Point(trial.params, 0).identity, []).append(trial)
    most = max(len(group) for group in groups.values())

    def mean(group: list[TrialRecord]) -> float:
        return sign * sum(trial.values[0] for trial in group) / len(group)

    chosen = max((group for group in groups.values() if len(group) == most), key=mean)
    return max(chosen, key=lambda trial: sign * trial.values[0])


def _internal(budget: Budget, key: str, value: object) -> float:
    try:
        return float(distribution(budget.search[key]).to_internal_repr(value))
    except ValueError:
        return float("nan")
