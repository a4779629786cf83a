"""The trials of a sweep in their order: a grid's points, or what is drawn and then confirmed."""

from figclip.training.pretrain import PretrainConfig
from figclip.tuning.record import TrialRecord
from figclip.tuning.spaces import Budget, Params, Point, grid_points
from figclip.tuning.study import SweepStudy


class Plan:
    """Which trial is next, as the study stands."""

    def __init__(self, study: SweepStudy, budget: Budget, base: PretrainConfig) -> None:
        self._study, self._budget = study, budget
        self._base = base_params(budget, base)
        self._points = list(grid_points(budget, budget.num_seeds))

    @property
    def checked(self) -> list[Params]:
        """What is known beforehand of the trials' values."""
        return self._budget.points() or [self._base]

    def write(self) -> None:
        """Into the study, before any trial starts."""
        if not self._budget.search:
            self._study.plan(self._points, self._budget.keys, planned=len(self._points))
            return
        first = Point(self._base, 0)
        self._study.plan([first], self._budget.keys, planned=self._budget.num_samples)

    def next(self) -> TrialRecord | None:
        if not self._budget.search:
            return self._study.next_of_grid(self._points, self._budget.keys)
        return self._study.next_of_search(
            self._budget.search, num_samples=self._budget.num_samples, seed=0
        )


def base_params(budget: Budget, base: PretrainConfig) -> Params:
    """The base's own values of what is varied."""
    values = base.model_dump(mode="json")
    found = {}
    for name in budget.varied:
        inner = values
        for part in name.split("."):
            inner = inner[part]
        found[name] = inner
    return found
