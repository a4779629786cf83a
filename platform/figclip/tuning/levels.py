"""Trials of the same settings side by side: their mean and deviation over the seeds."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from figclip.tuning.record import PaperTable, SweepRecord, TrialRecord

SECONDS = "seconds per epoch"
"""Of a trial, among what was measured of it."""
EPOCH_SECONDS = "epoch_seconds"
"""Of an epoch, in its trial's curve."""
ZERO_SHOT = "zero_shot_"
"""Before the name of a set of labelled pictures, among what was measured."""
RECALL_AT = re.compile(r"R@(\d+)")


@dataclass(frozen=True)
class Spread:
    """Numbers of several seeds."""

    mean: float
    deviation: float | None
    """Of the sample (n − 1); None of one number."""
    num: int


@dataclass(frozen=True)
class Level:
    """One setting of what is varied, and the trials that had it, by their seeds."""

    params: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        return tuple(trial for trial in self.trials if trial.state == "complete")


@dataclass(frozen=True)
class Measure:
    """A column of measured numbers, and where a trial has its own."""

    column: str
    """As the table's head says it."""
    metric: str
    kind: Literal["share", "number", "time"]
    """Shares are printed in per cent; times as multiples of the first row's."""
    better: Literal["higher", "lower"]

    @property
    def digits(self) -> int:
        """After the point, as the paper has them."""
        return 4 if self.kind == "number" else 2


def spread(values: Sequence[float]) -> Spread | None:
    """None of no numbers."""
    if not values:
        return None
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, len(values))


def measured(trial: TrialRecord, record: SweepRecord) -> dict[str, float]:
    """The finite numbers of a trial's end: its last epoch, its objectives, its training time."""
    found = dict(trial.curve[-1].metrics) if trial.curve else {}
    if trial.state == "complete":
        names = [name for name, _ in record.objectives]
        found |= dict(zip(names, trial.values, strict=True))
        found[SECONDS] = seconds_per_epoch(trial)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def seconds_per_epoch(trial: TrialRecord) -> float:
    """Of the epochs that were timed, the median: one that was cut by a kill counts little."""
    timed = [p.metrics[EPOCH_SECONDS] for p in trial.curve if EPOCH_SECONDS in p.metrics]
    return float(np.median(timed)) if timed else trial.seconds / max(len(trial.curve), 1)


def levels(record: SweepRecord) -> tuple[Level, ...]:
    """Every setting once: by its number where the only thing varied is one, else as planned."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in sorted(record.trials, key=lambda trial: trial.number):
        groups.setdefault(repr(_setting(trial, record)), []).append(trial)
    found = [
        Level(_setting(trials[0], record), tuple(sorted(trials, key=lambda t: (t.seed, t.number))))
        for trials in groups.values()
    ]
    if len(names := free_names(record)) == 1:
        values = [level.params.get(names[0]) for level in found]
        if all(isinstance(value, int | float) for value in values):
            found.sort(key=lambda level: level.params[names[0]])
    return tuple(found)


def free_names(record: SweepRecord) -> list[str]:
    """What is varied, without names that go with an earlier one: picture sizes are set twice."""
    found: dict[str, str] = {}
    for name in record.varied:
        settings = repr([trial.params.get(name) for trial in record.trials])
        found.setdefault(settings if record.trials else name, name)
    return list(found.values())


def spread_of(level: Level, metric: str, record: SweepRecord) -> Spread | None:
    """Of the complete trials that measured it."""
    found = [measured(trial, record) for trial in level.complete]
    return spread([values[metric] for values in found if metric in values])


def papers_of(record: SweepRecord) -> list[PaperTable]:
    """The paper's tables of the question; the last one has a column more for every set of labelled
    pictures that our trials were judged by and the paper was not."""
    papers = [paper for paper in (record.paper, record.downstream) if paper is not None]
    if not papers:
        return []
    told = {measure.metric for paper in papers for measure in measures(paper, record)}
    own = tuple(column for name, column in _sets(record).items() if name not in told)
    *others, last = papers
    rows = tuple((*row, *("–" for _ in own)) for row in last.rows)
    return [*others, PaperTable(last.source, (*last.columns, *own), rows)]


def _sets(record: SweepRecord) -> dict[str, str]:
    """Metric → column, of the sets of labelled pictures that trials were judged by."""
    known = dict.fromkeys(name for trial in record.trials for name in measured(trial, record))
    return {
        name: name.removeprefix(ZERO_SHOT).replace("_", " ")
        for name in known
        if name.startswith(ZERO_SHOT)
    }


def measures(paper: PaperTable, record: SweepRecord) -> tuple[Measure, ...]:
    """The columns of the paper's table that hold numbers which our trials measure as well."""
    known = {name for trial in record.trials for name in measured(trial, record)}
    found = [measure_of(column, known) for column in paper.columns]
    return tuple(measure for measure in found if measure is not None)


def objectives_of(record: SweepRecord) -> tuple[Measure, ...]:
    """The objectives, and of loss and recall what the trials know besides."""
    known = {name for trial in record.trials for name in measured(trial, record)}
    objectives = [
        Measure(name, name, _kind(name), "higher" if way == "maximize" else "lower")
        for name, way in record.objectives
    ]
    names = {measure.metric for measure in objectives}
    usual = [measure_of(column, known) for column in (*USUAL, *_sets(record).values())]
    others = [one for one in usual if one and one.metric in known - names]
    return (*objectives, *others)


USUAL = ("loss (↓)", "img2txt (%) R@1 (↑)", "txt2img (%) R@1 (↑)")


def measure_of(column: str, known: Collection[str]) -> Measure | None:
    """What a column of the paper's tables measures; None where it only describes the rows.

    A column that names a set of labelled pictures stands for the `zero_shot_…` of that name.
    """
    words = column.lower()
    k = int(found[1]) if (found := RECALL_AT.search(column)) else 1
    if "img2txt" in words or "image-to-text" in words:
        return Measure(column, f"image_to_text_recall_at_{k}", "share", "higher")
    if "txt2img" in words or "text-to-image" in words:
        return Measure(column, f"text_to_image_recall_at_{k}", "share", "higher")
    if "loss" in words:
        return Measure(column, "validation_loss", "number", "lower")
    if "time" in words:
        return Measure(column, SECONDS, "time", "lower")
    metric = f"{ZERO_SHOT}{slug(column)}"
    return Measure(column, metric, "share", "higher") if metric in known else None


def slug(words: str) -> str:
    """`LC25000 (Lung)` → `lc25000_lung`."""
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _kind(metric: str) -> Literal["share", "number"]:
    shares = ("recall", "accuracy", "auroc")
    return "share" if any(word in metric.lower() for word in shares) else "number"


def _setting(trial: TrialRecord, record: SweepRecord) -> dict[str, Any]:
    return {name: trial.params[name] for name in free_names(record) if name in trial.params}
