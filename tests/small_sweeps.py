"""A small question, and trials that only pretend to train."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from small_runs import CONFIG

from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare
from figclip.store import Store
from figclip.training.recipe import PretrainConfig
from figclip.tuning.news import News
from figclip.tuning.plan import Plan
from figclip.tuning.record import CurvePoint
from figclip.tuning.spaces import Between, Budget
from figclip.tuning.study import Question, SweepStudy
from figclip.tuning.trial import Setup

BASE = CONFIG.with_overrides({"precision": "fp32", "model.text.dropout": 0.0})
GRID = Budget(base="small", grid={"batch_size": (4, 8)}, num_seeds=1)
SEARCH = Budget(
    base="small",
    search={"optim.lr": Between(low=1e-4, high=1e-2, log=True), "batch_size": (4, 8)},
    num_samples=4,
    num_seeds=1,
)
SAMPLES_AN_EPOCH = 100


def question(budget: Budget, *, with_cost: bool = False, base: PretrainConfig = BASE) -> Question:
    cost = (("cpu_hours", "minimize"),) if with_cost else ()
    return Question(
        space="small",
        question="Which is best?",
        base=budget.base,
        objectives=(("mean_recall", "maximize"), *cost),
        varied=budget.varied,
        paper=None,
        downstream=None,
        setting={"recipe": base.model_dump(mode="json"), **budget.asked},
    )


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder}/sweeps.db"


def open_study(storage: str, budget: Budget = GRID, **options: Any) -> tuple[SweepStudy, Plan]:
    study = SweepStudy(storage, "small", question(budget, **options))
    plan = Plan(study, budget, BASE)
    plan.write()
    return study, plan


def setup(store: Store, study: SweepStudy, base: PretrainConfig = BASE) -> Setup:
    return Setup(
        store=store.url,
        folder=f"runs/sweep-small-{study.id}",
        corpora=(CorpusShare(pairs="small"),),
        base=base,
        fit=as_it_is,
        validate=validate,
        num_cpus=0.5,
    )


def as_it_is(config: PretrainConfig, num_pairs: int) -> PretrainConfig:
    return config


def news(recalls: Mapping[int, float] | list[float], *, is_over: bool = False) -> News:
    """Of a trial whose validations found these, one an epoch."""
    values = list(recalls.values()) if isinstance(recalls, Mapping) else recalls
    curve = tuple(
        CurvePoint(SAMPLES_AN_EPOCH * epoch, epoch, {"mean_recall": value, "loss": 1 - value})
        for epoch, value in enumerate(values, start=1)
    )
    return News(curve, seconds=2.0 * len(curve), checkpoint="", is_over=is_over, num_cpus=1)


def pretend(
    recalls: Callable[[dict[str, Any]], list[float]], *, pause_s: float = 0.0
) -> Callable[[Setup, dict[str, Any], Callable[[News], None]], None]:
    """A trial that tells these recalls, epoch by epoch."""

    def run(_: Setup, config: dict[str, Any], tell: Callable[[News], None]) -> None:
        found = recalls(config)
        for epoch in range(1, len(found) + 1):
            time.sleep(pause_s)
            tell(news(found[:epoch], is_over=epoch == len(found)))

    return run
