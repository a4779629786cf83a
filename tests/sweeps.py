"""Sweeps in plain Python, as Optuna's storage would hand them out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from figclip.tuning.record import (
    ENCODERS,
    SWEEP,
    CurvePoint,
    PaperTable,
    SweepRecord,
    TrialRecord,
    plain_table,
)

TABLE_6 = PaperTable(
    "Supplementary Table 6",
    (
        "batch size",
        "image-to-text retrieval (%) R@1 (↑)",
        "text-to-image retrieval (%) R@1 (↑)",
    ),
    (("2k", 79.69, 78.43), ("4k", 82.9, 81.86)),
)


def trial(
    number: int,
    params: Mapping[str, Any],
    *,
    seed: int = 0,
    state: Any = "complete",
    reason: str = "",
    recall: float = 0.1,
    backward: float | None = None,
    values: Sequence[float] | None = None,
    num_epochs: int = 3,
    **others: Any,
) -> TrialRecord:
    """Its recall grows to `recall` over the epochs; `backward` is that of text → image."""
    curve = tuple(
        CurvePoint(
            samples_seen=1_000 * epoch,
            epoch=epoch,
            metrics={
                "validation_loss": 2.0 / epoch,
                "image_to_text_recall_at_1": recall * epoch / num_epochs,
                "text_to_image_recall_at_1": (backward or recall) * epoch / num_epochs,
            },
        )
        for epoch in range(1, num_epochs + 1)
    )
    if values is None:
        values = (recall,) if state == "complete" else ()
    facts: dict[str, Any] = {
        "samples_seen": 1_000 * num_epochs,
        "gpu_hours": 0.0,
        "cpu_hours": 0.25,
        "seconds": 450.0,
        "revision": "0123abc",
        "pairs": "pairs@mini",
        "checkpoint": f"runs/{number}",
        "encoder": f"encoder@t{number}" if state == "complete" else "",
        "label": tuple(params.values()),
    }
    return TrialRecord(
        number=number,
        params=dict(params),
        seed=seed,
        state=state,
        reason=reason,
        values=tuple(values),
        curve=curve,
        **facts | others,
    )


def sweep(trials: Sequence[TrialRecord], **others: Any) -> SweepRecord:
    facts: dict[str, Any] = {
        "name": "batch_size",
        "space": "tune_spaces/batch_size.py",
        "question": "Does a larger batch retrieve better?",
        "base": "tiny",
        "objectives": (("image_to_text_recall_at_1", "maximize"),),
        "varied": ("batch_size",),
        "planned": len(trials),
        "paper": TABLE_6,
    }
    return SweepRecord(trials=tuple(trials), **facts | others)


def batch_sizes() -> SweepRecord:
    """Two sizes of three seeds, a pruned trial and a failed one."""
    recalls = {16: (0.10, 0.12, 0.14), 32: (0.20, 0.21, 0.22)}
    trials = [
        trial(number, {"batch_size": size}, seed=seed, recall=recall)
        for number, (size, seed, recall) in enumerate(
            (size, seed, recall)
            for size, found in recalls.items()
            for seed, recall in enumerate(found)
        )
    ]
    pruned = trial(
        6, {"batch_size": 64}, state="pruned", reason="stopped at 1,000 samples", num_epochs=1
    )
    failed = trial(
        7, {"batch_size": 64}, seed=1, state="failed", reason="out of memory", num_epochs=1
    )
    return sweep([*trials, pruned, failed], planned=9)


def recorded(record: SweepRecord, storage: str) -> None:
    """Write a sweep into Optuna's storage, as a driver leaves it."""
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
    study = optuna.create_study(
        storage=storage, study_name=record.name, directions=[way for _, way in record.objectives]
    )
    asked = {
        name: getattr(record, name)
        for name in ("space", "question", "base", "objectives", "varied", "planned")
    }
    tables = {"paper": plain_table(record.paper), "downstream": plain_table(record.downstream)}
    study.set_user_attr(SWEEP, asked | tables)
    study.set_user_attr(ENCODERS, {str(t.number): t.encoder for t in record.trials if t.encoder})
    names = {name for one in record.trials for name in one.params}
    choices = {
        name: CategoricalDistribution(list(dict.fromkeys(t.params[name] for t in record.trials)))
        for name in names
    }
    for one in record.trials:
        kept = {k: v for k, v in asdict(one).items() if k not in ("number", "state", "values")}
        state = states.get(one.state, TrialState.FAIL)
        study.add_trial(
            create_trial(
                state=state,
                params=one.params,
                distributions=choices,
                values=one.values or None,
                user_attrs=kept,
                intermediate_values={
                    point.samples_seen: point.metrics["image_to_text_recall_at_1"]
                    for point in one.curve
                    if len(record.objectives) == 1
                },
            )
        )
