"""What a classifier is worth: accuracy, F1, AUROC, and who is taken for whom.

Every measure is a function of how often each picture counts, so that its bootstrap interval
(`bootstrap.resampled`) is of the very same arithmetic.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from figclip.evaluation.bootstrap import Interval, resampled

METRIC_WORDS = {"accuracy": "accuracy", "auroc": "AUROC", "macro_f1": "macro F1"}
"""What tables call the measures."""

Weighed = Callable[[Float[np.ndarray, "rows n"]], Float[np.ndarray, " rows"]]
"""How often each picture counts, a draw a row → the measure of each draw."""


@dataclass(frozen=True)
class Judgement:
    """Of one classifier and n pictures."""

    values: Mapping[str, float]
    """`accuracy`, `macro_f1` and, between two classes, `auroc` of the second."""
    intervals: Mapping[str, Interval]
    """95 %, of the same names; empty where none were asked for."""
    confusion: Int[np.ndarray, "classes classes"]
    """Row: the true class; column: what it was taken for."""


def judged(
    labels: Int[np.ndarray, " n"],
    scores: Float[np.ndarray, "n classes"],
    *,
    num_resamples: int = 0,
    seed: int = 0,
) -> Judgement:
    """The class of the highest score is the answer, of equal scores the first.

    `num_resamples` 0 asks for no intervals. `ValueError` without pictures.
    """
    if not len(labels):
        raise ValueError("there are no pictures to judge by")
    measures = measures_of_scores(labels, scores)
    once = np.ones((1, len(labels)))

    def all_of_them(times: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows measures"]:
        return np.stack([measure(times) for measure in measures.values()], axis=1)

    intervals: dict[str, Interval] = {}
    if num_resamples:
        found = resampled(all_of_them, len(labels), num_resamples=num_resamples, seed=seed)
        intervals = dict(zip(measures, found, strict=True))
    values = {name: float(measure(once)[0]) for name, measure in measures.items()}
    return Judgement(values, intervals, confusion(labels, scores.argmax(axis=1), scores.shape[1]))


def without(measures: Mapping[str, Weighed], left_out: Bool[np.ndarray, " n"]) -> dict[str, float]:
    """The measures of the others; empty where none are left out, or none are left.

    A measure that the others do not have is not there.
    """
    if not left_out.any() or left_out.all():
        return {}
    others = (~left_out)[None].astype(np.float64)
    found = {name: float(measure(others)[0]) for name, measure in measures.items()}
    return {name: value for name, value in found.items() if not np.isnan(value)}


def measures_of_scores(
    labels: Int[np.ndarray, " n"], scores: Float[np.ndarray, "n classes"]
) -> dict[str, Weighed]:
    """`accuracy`, `macro_f1` and, between two classes, `auroc`."""
    num_classes, answers = scores.shape[1], scores.argmax(axis=1)
    measures = {
        "accuracy": accuracy(labels == answers),
        "macro_f1": macro_f1(labels, answers, num_classes),
    }
    if num_classes == 2:
        measures["auroc"] = auroc(labels == 1, scores[:, 1] - scores[:, 0])
    return measures


def confusion(
    labels: Int[np.ndarray, " n"], answers: Int[np.ndarray, " n"], num_classes: int
) -> Int[np.ndarray, "classes classes"]:
    found = np.bincount(num_classes * labels + answers, minlength=num_classes**2)
    return found.reshape(num_classes, num_classes)


def accuracy(is_right: Bool[np.ndarray, " n"]) -> Weighed:
    hits = is_right.astype(np.float64)
    return lambda times: times @ hits / times.sum(axis=1)


def macro_f1(
    labels: Int[np.ndarray, " n"], answers: Int[np.ndarray, " n"], num_classes: int
) -> Weighed:
    """The mean of the classes' F1; that of a class that is neither there nor answered is 0."""
    is_true, is_told = (
        (which[:, None] == np.arange(num_classes)).astype(np.float64) for which in (labels, answers)
    )

    def weighed(times: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, " rows"]:
        both = times @ (is_true * is_told)
        either = times @ is_true + times @ is_told
        return (2 * both / np.maximum(either, 1)).mean(axis=1)

    return weighed


def auroc(is_positive: Bool[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> Weighed:
    """The chance that a positive scores above a negative, a tie counting half; NaN without either.

    Hanley and McNeil (1982), https://doi.org/10.1148/radiology.143.1.7063747.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    positive = is_positive[order].astype(np.float64)

    def weighed(times: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, " rows"]:
        ordered = times[:, order]
        right = np.add.reduceat(ordered * positive, starts, axis=1)
        wrong = np.add.reduceat(ordered * (1 - positive), starts, axis=1)
        below = wrong.cumsum(axis=1) - wrong
        with np.errstate(invalid="ignore"):
            won = (right * (below + wrong / 2)).sum(axis=1)
            return won / (right.sum(axis=1) * wrong.sum(axis=1))

    return weighed
