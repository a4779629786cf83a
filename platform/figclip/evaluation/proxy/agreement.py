"""How well findings of proxies agree with those of the pictures that they stand for."""

import numpy as np
from jaxtyping import Bool, Float

from figclip.config import Config
from figclip.evaluation.bootstrap import Interval, resampled
from figclip.evaluation.proxy.findings import FINDINGS

MEAN = "mean"
PAPER_RECALL = {"Lung Opacity": 0.8880, "Atelectasis": 0.9504}
"""What BiomedCLIP reached on 980 radiographs of Providence, by CheXbert: the text of the results;
the other bars of Fig. 5B have no numbers."""


class Share(Config):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> str:
        return Interval(self.low, self.high).in_per_cent


class Agreement(Config):
    """Of one finding, or their mean."""

    finding: str
    num_true: int
    """Pictures that have it."""
    num_told: int
    """Pictures whose proxies have it."""
    num_both: int
    recall: Share | None
    """Of the pictures that have it, those whose proxies do; None where no picture has it."""
    f1: Share | None
    """None where neither a picture nor a proxy has it."""


def agreements(
    truth: Bool[np.ndarray, "n 13"],
    told: Bool[np.ndarray, "n 13"],
    *,
    num_resamples: int,
    seed: int,
) -> tuple[Agreement, ...]:
    """Of every finding, and at the end the mean over those that some picture has.

    Intervals are from pictures drawn anew with return.
    """
    both = truth & told
    columns = np.concatenate([both, truth, told], axis=1).astype(np.float64)
    is_there = np.asarray(truth.any(axis=0))

    def measured(times: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows measures"]:
        return _measured(times @ columns, is_there)

    values = measured(np.ones((1, len(truth))))[0]
    is_known = np.isfinite(values)

    def known(times: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows measures"]:
        return measured(times)[:, is_known]

    shares: list[Share | None] = [None] * len(values)
    if is_known.any():
        intervals = resampled(known, len(truth), num_resamples=num_resamples, seed=seed)
        for place, one in zip(np.flatnonzero(is_known), intervals, strict=True):
            shares[place] = Share(value=float(values[place]), low=one.low, high=one.high)
    numbers = [[int(each) for each in one.sum(axis=0)] for one in (truth, told, both)]
    named = [*zip(FINDINGS, *numbers, strict=True), (MEAN, *(sum(one) for one in numbers))]
    return tuple(
        Agreement(
            finding=finding,
            num_true=num_true,
            num_told=num_told,
            num_both=num_both,
            recall=recall,
            f1=f1,
        )
        for (finding, num_true, num_told, num_both), recall, f1 in zip(
            named, shares[: len(named)], shares[len(named) :], strict=True
        )
    )


def values_without(
    truth: Bool[np.ndarray, "n 13"],
    told: Bool[np.ndarray, "n 13"],
    left_out: Bool[np.ndarray, " n"],
) -> dict[str, float]:
    """`recall: Edema`, `F1: Edema` and so on of the others, what can be said of; empty where none
    are left out, or none are left."""
    if not left_out.any() or left_out.all():
        return {}
    others = agreements(truth[~left_out], told[~left_out], num_resamples=1, seed=0)
    return {
        f"{name}: {one.finding}": share.value
        for one in others
        for name, share in (("recall", one.recall), ("F1", one.f1))
        if share is not None
    }


def _measured(
    counts: Float[np.ndarray, "rows 39"], is_there: Bool[np.ndarray, " 13"]
) -> Float[np.ndarray, "rows 28"]:
    """Recall of every finding and their mean, then F1 likewise; NaN where nothing can be said."""
    both, true, told = np.split(counts, 3, axis=1)
    with np.errstate(invalid="ignore"):
        recall, f1 = both / true, 2 * both / (true + told)
    return np.concatenate([recall, _mean(recall, is_there), f1, _mean(f1, is_there)], axis=1)


def _mean(
    values: Float[np.ndarray, "rows 13"], is_there: Bool[np.ndarray, " 13"]
) -> Float[np.ndarray, "rows 1"]:
    """Of the columns that are there; in a draw without a finding of those that it has."""
    chosen = values[:, is_there]
    known = np.isfinite(chosen)
    with np.errstate(invalid="ignore"):
        return np.where(known, chosen, 0).sum(axis=1, keepdims=True) / known.sum(
            axis=1, keepdims=True
        )
