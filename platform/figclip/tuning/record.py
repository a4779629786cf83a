"""What a sweep has found: a value, read from the storage of Optuna that every trial is kept in.

Optuna's storage is the record itself, so its dashboard and any other of its tools show the same
trials. What Optuna has no column for is kept in its "user attributes", under the names below; the
curve, too, because Optuna takes intermediate values of studies with one objective only.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from optuna.study import Study, load_study
from optuna.trial import FrozenTrial, TrialState

from figclip.config import UsageError
from figclip.tuning.storage import open_storage

State = Literal["planned", "running", "complete", "pruned", "failed"]
Direction = Literal["maximize", "minimize"]

SWEEP, ENCODERS = "sweep", "encoders"
"""The study's attributes: what was asked, and which encoders were published of its trials."""

STATES: dict[TrialState, State] = {
    TrialState.WAITING: "planned",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class CurvePoint:
    samples_seen: int
    epoch: int
    metrics: Mapping[str, float]
    """Names as the run's own record writes them."""


@dataclass(frozen=True)
class TrialRecord:
    number: int
    """Optuna's."""
    params: Mapping[str, Any]
    """Dotted config name → plain value."""
    seed: int
    state: State
    reason: str
    """Empty, or why the trial was pruned or has failed."""
    values: tuple[float, ...]
    """One an objective; empty unless complete."""
    curve: tuple[CurvePoint, ...]
    samples_seen: int
    gpu_hours: float
    cpu_hours: float
    seconds: float
    """The trial's own training seconds, those before a kill among them."""
    revision: str
    """The code's, as git names it."""
    pairs: str
    """Artifact it was trained on, `name@version`; several are joined by ` + `."""
    checkpoint: str
    """Path of the last one; empty before there is one."""
    encoder: str
    """Artifact `name@version`; empty where none was published."""
    label: tuple[str | float, ...] = ()
    """What it varies, in the words of the first columns of `paper`."""


@dataclass(frozen=True)
class PaperTable:
    """A table of the BiomedCLIP paper (arXiv 2303.00915), as printed there."""

    source: str
    """`Supplementary Table 1`."""
    columns: tuple[str, ...]
    """What is varied first, then what is measured."""
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True)
class SweepRecord:
    name: str
    space: str
    """File of `tune_spaces`."""
    question: str
    base: str
    """Preset of `jobs.pretrain`."""
    objectives: tuple[tuple[str, Direction], ...]
    varied: tuple[str, ...]
    """Dotted names."""
    planned: int
    paper: PaperTable | None
    trials: tuple[TrialRecord, ...]
    downstream: PaperTable | None = None
    """The paper's second table of the same question, where it has one."""


def read_sweep(storage: str, name: str) -> SweepRecord:
    """Of an Optuna storage, `sqlite:///…` or `postgresql://…`; `UsageError` where it is none."""
    try:
        study = load_study(study_name=name, storage=open_storage(storage))
    except KeyError as error:
        raise UsageError(f"no sweep {name!r} is recorded in {storage}") from error
    return record_of(study)


def record_of(study: Study) -> SweepRecord:
    asked = study.user_attrs.get(SWEEP)
    if asked is None:
        raise UsageError(
            f"the study {study.study_name!r} of that storage is not one of figclip's sweeps: name "
            f"another with --name, or another --storage"
        )
    encoders: dict[str, str] = study.user_attrs.get(ENCODERS, {})
    return SweepRecord(
        name=study.study_name,
        space=asked["space"],
        question=asked["question"],
        base=asked["base"],
        objectives=tuple((metric, direction) for metric, direction in asked["objectives"]),
        varied=tuple(asked["varied"]),
        planned=asked["planned"],
        paper=_table(asked["paper"]),
        downstream=_table(asked["downstream"]),
        trials=tuple(
            trial_record(trial, encoders.get(str(trial.number), ""))
            for trial in study.get_trials(deepcopy=False)
        ),
    )


def trial_record(trial: FrozenTrial, encoder: str = "") -> TrialRecord:
    kept = trial.user_attrs
    is_complete = trial.state == TrialState.COMPLETE
    return TrialRecord(
        number=trial.number,
        params=kept.get("params", trial.params),
        seed=kept.get("seed", 0),
        state=STATES[trial.state],
        reason=kept.get("reason", ""),
        values=tuple(trial.values) if is_complete and trial.values else (),
        curve=tuple(CurvePoint(**point) for point in kept.get("curve", ())),
        samples_seen=kept.get("samples_seen", 0),
        gpu_hours=kept.get("gpu_hours", 0.0),
        cpu_hours=kept.get("cpu_hours", 0.0),
        seconds=kept.get("seconds", 0.0),
        revision=kept.get("revision", ""),
        pairs=kept.get("pairs", ""),
        checkpoint=kept.get("checkpoint", ""),
        encoder=encoder,
        label=tuple(kept.get("label", ())),
    )


def plain_table(table: PaperTable | None) -> dict[str, Any] | None:
    """As JSON has it."""
    return None if table is None else asdict(table)


def _table(values: dict[str, Any] | None) -> PaperTable | None:
    if values is None:
        return None
    rows = tuple(tuple(row) for row in values["rows"])
    return PaperTable(values["source"], tuple(values["columns"]), rows)
