"""What a sweep is told on the command line, and the question that this makes."""

import logging
from importlib import import_module
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from figclip.config import UsageError
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.drawn import KIND_SET
from figclip.inputs.corpora import CorpusShare
from figclip.store import Store
from figclip.training.recipe import PretrainConfig
from figclip.tuning.spaces import Budget, Space, refuse_unknown_keys
from figclip.tuning.storage import FILE
from figclip.tuning.study import Question
from figclip.tuning.sweep import Limits
from jobs.entry import Job
from jobs.labelled_sets import named_sets
from jobs.pretrain import PRESETS as RECIPES
from jobs.pretrain import PretrainJob

log = logging.getLogger(__name__)

SPACES = (
    "batch_size",
    "resolution",
    "context_length",
    "text_encoder",
    "vision_encoder",
    "initialisation",
    "batch_schedule",
    "learning_rate",
    "everything",
)
"""Files of `tune_spaces`."""


class SweepJob(Job):
    """Ask one question of `tune_spaces` on a pairs artifact, and record every trial."""

    space: str
    """File of `tune_spaces`."""
    budget: str = "tiny"
    """Which of the question's budgets: `tiny` (minutes on two cores) or `paper`."""
    name: str | None = None
    """Of the sweep, in the storage and in the store; unset: question and budget."""
    storage: str | None = None
    """Optuna's storage: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`. Unset: `sweeps.db`
    in a store that is a folder."""
    pairs: str | None = None
    """Version of the pairs artifact to train on; unset: the miniature, made as `make demo` does."""
    miniature: Literal["demo", "smoke"] = "demo"
    """Preset of `jobs.quickstart` that makes it."""
    data: str | None = None
    """Folder of labelled pictures, as `jobs.evaluate zero_shot` reads it, that every machine sees:
    each trial's encoder is judged zero-shot by the sets there. Unset: `resolution` on the miniature
    is judged by drawn ones."""
    sets: tuple[str, ...] = ()
    """Those sets by name; unset: all that are there."""
    base: str | None = None
    """Preset of `jobs.pretrain`, or a config's JSON, instead of the budget's."""
    epochs: PositiveInt | None = None
    """Of every trial, instead of the budget's."""
    num_samples: PositiveInt | None = None
    """Trials of a search, instead of the budget's."""
    num_seeds: PositiveInt | None = None
    """Of every point of a grid, instead of the budget's."""
    scheduler: Literal["none", "asha", "median", "pbt"] | None = None
    """Who ends a trial early, instead of the budget's."""
    hours: PositiveFloat | None = None
    """Start and run trials for so long; the same command goes on where they were."""
    cost: PositiveFloat | None = None
    """The same in money, of all trials so far; needs `price_per_hour`."""
    price_per_hour: PositiveFloat | None = None
    """Of a GPU, or of a CPU where there are no GPUs."""
    at_once: PositiveInt = 2
    """Trials side by side."""
    cpus_per_trial: PositiveFloat = 1.0
    """CPUs of one trial's process, and its threads."""
    gpus_per_trial: float = 0.0
    """A fraction lets trials share one."""
    workers_per_trial: PositiveInt = 1
    """Training processes of one trial; more than one are workers of Ray Train."""
    max_failures: NonNegativeInt = 2
    """Times that a trial goes on after its process or machine is lost."""
    seed: NonNegativeInt = 0
    """Of what a search draws."""


def open_space(name: str) -> Space:
    if name not in SPACES:
        raise UsageError(f"no question {name!r} in tune_spaces: one of {', '.join(SPACES)}")
    found: Space = import_module(f"tune_spaces.{name}").SPACE
    return found


def budget_of(space: Space, config: SweepJob) -> Budget:
    """The question's, with what the command line says instead."""
    budget = space.budget(config.budget)
    said = {
        "num_samples": config.num_samples,
        "num_seeds": config.num_seeds,
        "scheduler": config.scheduler,
    }
    return budget.model_copy(update={name: value for name, value in said.items() if value})


def sets_of(space: Space, config: SweepJob) -> tuple[Dataset, ...]:
    """By which every trial's encoder is judged; `UsageError` where one is not whole."""
    if config.data is not None:
        return named_sets(config.data, config.sets)
    if config.sets:
        raise UsageError("--sets are names of what lies below a folder: name it with --data")
    if space.zero_shot and config.pairs is not None:
        log.info("without --data no trial is judged zero-shot")
    return (KIND_SET,) if space.zero_shot and config.pairs is None else ()


def base_of(budget: Budget, config: SweepJob) -> PretrainConfig:
    recipe = base_job(config.base or budget.base).part(PretrainConfig)
    refuse_unknown_keys(tuple(budget.fixed), PretrainConfig)
    epochs = {"epochs": config.epochs} if config.epochs else {}
    return recipe.with_overrides({**budget.fixed, **epochs})


def base_job(name: str) -> PretrainJob:
    if name in RECIPES:
        return RECIPES[name]
    if name.endswith(".json") and Path(name).is_file():
        return PretrainJob.from_json(Path(name).read_bytes())
    raise UsageError(f"no base {name!r}: one of {', '.join(RECIPES)}, or a .json file")


def storage_of(config: SweepJob, store: Store) -> str:
    if config.storage is not None:
        return config.storage
    if "://" in config.store:
        raise UsageError("a store in a bucket holds no SQLite file: name a --storage")
    Path(store.root.path).mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{store.root.path}/{FILE}"


def question_of(
    space: Space,
    budget: Budget,
    base: PretrainConfig,
    corpora: tuple[CorpusShare, ...],
    sets: tuple[Dataset, ...],
    config: SweepJob,
) -> Question:
    return Question(
        space=config.space,
        question=space.question,
        base=config.base or budget.base,
        objectives=space.objectives(use_gpu=config.gpus_per_trial > 0),
        varied=budget.varied,
        paper=space.paper,
        downstream=space.downstream,
        setting={
            # A release that adds a key, with a default, leaves the question what it was.
            "recipe": base.model_dump(mode="json", exclude_defaults=True),
            "pairs": [share.model_dump(mode="json") for share in corpora],
            **({"zero_shot": [one.model_dump(mode="json") for one in sets]} if sets else {}),
            **budget.asked,
        },
    )


def limits_of(config: SweepJob) -> Limits:
    if config.cost is not None and config.price_per_hour is None:
        raise UsageError("--cost needs --price-per-hour, of a GPU (or of a CPU without GPUs)")
    return Limits(
        at_once=config.at_once,
        hours=config.hours,
        cost=config.cost,
        price_per_hour=config.price_per_hour or 0.0,
        max_failures=config.max_failures,
    )
