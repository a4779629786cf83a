"""One question, many short runs: `python -m jobs.sweep batch_size --budget tiny`.

Run again after any kill, it goes on. `python -m jobs.sweep report|dashboard|compare|screenshots`
show what has been found.
"""

from functools import partial

from figclip.config import UsageError
from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare
from figclip.store import Store
from figclip.training.recipe import PretrainConfig
from figclip.tuning.plan import Plan, best
from figclip.tuning.record import SweepRecord
from figclip.tuning.report import results_markdown
from figclip.tuning.schedulers import scheduler_of
from figclip.tuning.spaces import Budget, refuse_unknown_keys
from figclip.tuning.storage import open_storage
from figclip.tuning.study import SweepStudy
from figclip.tuning.sweep import sweep
from figclip.tuning.trial import Setup
from figclip.tuning.winner import publish_trial
from jobs.entry import Job, joined_ray, keep_config, run
from jobs.labelled_sets import judge_of
from jobs.quickstart import PRESETS as WALKS
from jobs.quickstart import articles_to_pairs
from jobs.recipes import fitted
from jobs.recorded import RecordedJob
from jobs.sweep_question import (
    SPACES,
    SweepJob,
    base_job,
    base_of,
    budget_of,
    limits_of,
    open_space,
    question_of,
    sets_of,
    storage_of,
)
from jobs.sweep_report import PRESETS as SHOWN
from jobs.sweep_report import main as show

PRESETS: dict[str, Job] = {**{space: SweepJob(space=space) for space in SPACES}, **SHOWN}


def main(config: SweepJob) -> SweepRecord:
    space, store = open_space(config.space), Store(config.store)
    budget = budget_of(space, config)
    base = base_of(budget, config)
    refuse_unknown_keys(budget.varied, PretrainConfig)
    limits = limits_of(config)
    sets = sets_of(space, config)
    storage, name = storage_of(config, store), config.name or f"{config.space}-{config.budget}"
    open_storage(storage)  # before anything is begun
    with joined_ray(config):
        corpora = (CorpusShare(pairs=config.pairs or _miniature(store, config)),)
        question = question_of(space, budget, base, corpora, sets, config)
        study = SweepStudy(storage, name, question, seed=config.seed)
        setup = Setup(
            store=config.store,
            folder=f"runs/sweep-{name}-{study.id}",
            corpora=corpora,
            base=base,
            fit=partial(_fitted, num_workers=config.workers_per_trial),
            validate=validate,
            downstream=judge_of(store, config.data, sets),
            num_cpus=config.cpus_per_trial,
            num_gpus=config.gpus_per_trial,
            num_workers=config.workers_per_trial,
        )
        plan = Plan(study, budget, base)
        for params in plan.known:
            setup.check(params)
        plan.write()
        record = sweep(
            study,
            setup,
            plan.next,
            limits=limits,
            scheduler=scheduler_of(
                budget,
                study,
                total_samples=setup.data.num_rows * base.epochs,
                epoch_samples=setup.data.num_rows // 2,
            ),
        )
        record = crown(study, setup, config, budget)
    refuse_emptiness(record)
    print(results_markdown(record), flush=True)
    print(ending(record), flush=True)
    return record


def refuse_emptiness(record: SweepRecord) -> None:
    """`UsageError` where not one trial has been completed."""
    if best(record) is not None:
        return
    failed = [trial for trial in record.trials if trial.state == "failed"]
    why = f"; trial {failed[0].number} failed: {failed[0].reason}" if failed else ""
    left = any(trial.state in ("planned", "running") for trial in record.trials)
    remedy = (
        "run the same command again, with more --hours or --cost where they ended it"
        if left
        else "mend that, and run it under another --name"
    )
    raise UsageError(f"{ending(record)}, and none of them is complete{why}: {remedy}")


def crown(study: SweepStudy, setup: Setup, config: SweepJob, budget: Budget) -> SweepRecord:
    """Publish the best encoder, and beside it the full run of its recipe."""
    winner = best(study.record)
    if winner is None:
        return study.record
    manifest = publish_trial(study, setup, winner)
    sweep_name = study.study.study_name
    full = base_job(config.base or budget.base).with_overrides(
        {
            **winner.params,
            "pairs": setup.corpora[0].pairs,
            "version": f"{sweep_name}-full",
            "store": config.store,
        }
    )
    keep_config(Store(config.store), manifest.name, manifest.version, "pretrain", full)
    return study.record


def _fitted(config: PretrainConfig, num_pairs: int, *, num_workers: int) -> PretrainConfig:
    return fitted(config, num_pairs, num_workers)


def _miniature(store: Store, config: SweepJob) -> str:
    walk = WALKS[config.miniature].with_overrides({"store": config.store})
    articles_to_pairs(store, walk)
    return walk.version


def ending(record: SweepRecord) -> str:
    """How many trials stand how, for the terminal."""
    counts = dict.fromkeys(("complete", "pruned", "failed", "running", "planned"), 0)
    for trial in record.trials:
        counts[trial.state] += 1
    words = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return f"{record.name}: {words}, of {record.planned} trials"


def sweep_or_show(config: Job) -> None:
    """Ask a question, or show what was found of one."""
    match config:
        case SweepJob():
            main(config)
        case RecordedJob():
            show(config)


if __name__ == "__main__":
    run(PRESETS, sweep_or_show, "sweep")
