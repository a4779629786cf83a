"""What a sweep costs besides its trials' own training."""

import time
from pathlib import Path

from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare
from figclip.store import Store
from figclip.tuning.plan import Plan
from figclip.tuning.record import SweepRecord
from figclip.tuning.spaces import Budget
from figclip.tuning.study import Question, SweepStudy
from figclip.tuning.sweep import Limits, sweep
from figclip.tuning.trial import Setup
from jobs.benchmarks.figures import Figures
from jobs.entry import joined_ray
from jobs.presets import DEMO
from jobs.quickstart import QuickstartJob, articles_to_pairs
from jobs.recipes import fitted

AT_ONCE = 2
FEWEST_SECONDS = 60.0
"""Of a trial, for which the bound is set."""


def sweep_overhead(folder: Path) -> Figures:
    """Six trials of the demo's model on the miniature, two at a time, one CPU each.

    `overhead` is trials at once × wall time / the sum of the trials' own training seconds − 1; the
    wall time is that of the whole sweep, from the start of Ray to the last word in the record.
    """
    walk = QuickstartJob(store=str(folder))
    store = Store(walk.store)
    with joined_ray(walk):
        articles_to_pairs(store, walk)
    budget = Budget(base="tiny", grid={"batch_size": (16, 32, 64)}, num_seeds=2)
    base = DEMO.with_overrides({"epochs": 7})
    question = Question(
        space="overhead",
        question="What does a sweep cost besides its trials?",
        base="tiny",
        objectives=(("mean_recall", "maximize"),),
        varied=budget.varied,
        paper=None,
        downstream=None,
        setting=budget.asked,
    )
    study = SweepStudy(f"sqlite:///{folder}/overhead.db", "overhead", question)
    setup = Setup(
        store=store.url,
        folder=f"runs/sweep-overhead-{study.id}",
        corpora=(CorpusShare(pairs=walk.version),),
        base=base,
        fit=lambda config, num_pairs: fitted(config, num_pairs, 1),
        validate=validate,
    )
    plan = Plan(study, budget, base)
    plan.write()
    start = time.monotonic()
    with joined_ray(walk):
        record = sweep(study, setup, plan.next, limits=Limits(at_once=AT_ONCE))
    return figures(record, wall_s=time.monotonic() - start)


def figures(record: SweepRecord, *, wall_s: float) -> Figures:
    seconds = [trial.seconds for trial in record.trials if trial.state == "complete"]
    is_valid = len(seconds) == record.planned and min(seconds) >= FEWEST_SECONDS
    return {
        "overhead": round(AT_ONCE * wall_s / sum(seconds) - 1, 3) if is_valid else None,
        "overhead_bound": 0.15,
        "wall_s": round(wall_s, 1),
        "trials": len(seconds),
        "shortest_trial_s": round(min(seconds), 1),
        "sum_of_trials_s": round(sum(seconds), 1),
    }
