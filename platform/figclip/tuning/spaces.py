"""A question about a recipe: what is varied, from which base, and what the paper found."""

import difflib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field, PositiveInt, model_validator

from figclip.config import Config, UsageError, dotted_names
from figclip.tuning.record import Direction, PaperTable

AND = " & "
"""Joins the keys that take one value together."""

Params = Mapping[str, Any]
"""Dotted config name → plain value."""
Objectives = tuple[tuple[str, Direction], ...]


class Between(Config):
    """A number to be drawn; a whole one where both ends are whole."""

    low: int | float
    high: int | float
    log: bool = False
    """Evenly on a logarithmic scale."""


class Budget(Config):
    """One size of a question: what it is asked of, and how often."""

    base: str
    """Preset of `jobs.pretrain`."""
    fixed: dict[str, Any] = Field(default_factory=dict)
    """What every trial has instead of the base's."""
    grid: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Values of dotted names, each with each. Names joined by ` & ` take one value together."""
    rows: tuple[dict[str, Any], ...] = ()
    """Or the points of the grid one by one."""
    labels: tuple[tuple[str | int | float, ...], ...] = ()
    """Of the points, in the words of the paper's first columns; unset: the values."""
    search: dict[str, Between | tuple[Any, ...]] = Field(default_factory=dict)
    """Or what is drawn: between two numbers, or one of several values."""
    num_samples: PositiveInt = 1
    """Trials of a search."""
    num_seeds: PositiveInt = 3
    """Of every point of a grid; of a search, of the best point and of the base at the end."""
    scheduler: Literal["none", "asha", "median", "pbt"] = "none"
    """Who ends a trial early: nobody, successive halving, the median of the others; or population
    based training, which carries the better weights on with changed values."""

    @model_validator(mode="after")
    def _check(self) -> "Budget":
        if sum(map(bool, (self.grid, self.rows, self.search))) != 1:
            raise ValueError("a budget has one of `grid`, `rows` and `search`")
        if self.labels and len(self.labels) != len(self.rows):
            raise ValueError("as many labels as rows")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """What is varied, as it is written."""
        named = (*self.grid, *self.search, *(key for row in self.rows for key in row))
        return tuple(dict.fromkeys(named))

    @property
    def varied(self) -> tuple[str, ...]:
        """Dotted names."""
        return tuple(dict.fromkeys(name for key in self.keys for name in key.split(AND)))

    def points(self) -> list[Params]:
        """Of the grid, in the order of the table."""
        if self.rows:
            return [spread(row) for row in self.rows]
        axes = [[(key, value) for value in values] for key, values in self.grid.items()]
        return [spread(dict(point)) for point in itertools.product(*axes)] if axes else []

    @property
    def asked(self) -> dict[str, Any]:
        """What makes it another question; more samples or seeds do not."""
        return self.model_dump(mode="json", exclude={"num_samples", "num_seeds"})

    def label(self, params: Params) -> tuple[str | float, ...]:
        if self.labels:
            return tuple(self.labels[self.points().index(params)])
        first = [params.get(key.split(AND)[0]) for key in self.keys]
        return tuple(value if isinstance(value, int | float) else str(value) for value in first)


class Space(Config):
    """One question."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    question: str
    """One sentence."""
    metric: str = "mean_recall"
    """What is to grow, of the numbers of a validation."""
    with_cost: bool = False
    """A second objective: hours of GPUs (of CPUs, where there are none), to be few."""
    paper: PaperTable | None = None
    """What the paper found."""
    downstream: PaperTable | None = None
    """Its second table of the same question."""
    zero_shot: bool = False
    """Every trial's encoder is judged by labelled pictures too."""
    budgets: dict[str, Budget] = Field(min_length=1)

    def budget(self, name: str) -> Budget:
        if name not in self.budgets:
            raise UsageError(
                f"there is no budget {name!r} for this question: {', '.join(self.budgets)}"
            )
        return self.budgets[name]

    def objectives(self, *, use_gpu: bool) -> Objectives:
        cost: Objectives = (("gpu_hours" if use_gpu else "cpu_hours", "minimize"),)
        return ((self.metric, "maximize"), *(cost if self.with_cost else ()))


def spread(values: Params) -> Params:
    """`{"a & b": 1}` → `{"a": 1, "b": 1}`, as JSON would give it back."""
    named = {name: value for key, value in values.items() for name in key.split(AND)}
    found: Params = json.loads(json.dumps(named))
    return found


def refuse_unknown_keys(names: tuple[str, ...], config: type[Config]) -> None:
    """`UsageError` that names the key nearest to one that the config does not have."""
    known = dotted_names(config)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise UsageError(f"the space varies {name!r}, which no config has: {near[0]!r}?")


@dataclass(frozen=True)
class Point:
    """A trial to be: the values and the seed that say which one it is."""

    params: Params
    seed: int
    label: tuple[str | float, ...] = ()

    @property
    def identity(self) -> str:
        return json.dumps([self.params, self.seed], sort_keys=True)


def grid_points(budget: Budget, num_seeds: int) -> Iterator[Point]:
    """Every value with the first seed, then with the second: a sweep cut short is even."""
    for seed in range(num_seeds):
        for params in budget.points():
            yield Point(params, seed, budget.label(params))
