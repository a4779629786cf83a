"""Probing: how well the classes of a set are told by what was learned from a share of its pictures.

A share is drawn by class and by several seeds. How it is learned from is a `Learner`: by logistic
regression (`logistic.py`), by ELEVATER's stochastic gradient descent (`sgd_probe.py`), or with the
image tower itself (`fine_tuning.py`). Each chooses what it has to choose by pictures held out of
the share alone, as in ELEVATER's few shots (arXiv 2204.08790), so that 1 % of the labels means 1 %;
a published validation part is not used.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import log_softmax

from figclip.evaluation.bootstrap import Interval, resampled
from figclip.evaluation.classification import Weighed, measures_of_scores, without
from figclip.evaluation.datasets.pictures import extra

Method = Literal["lbfgs", "sgd", "fine_tune"]

NUM_FOLDS = 5
MOST_FOR_ALL_FOLDS = 10_000
"""Pictures; of a larger subset one fold alone is held out, a fifth."""

Features = Float[np.ndarray, "n dim"]
Labels = Int[np.ndarray, " n"]
Places = Int[np.ndarray, " m"]
Scores = Float[np.ndarray, "n classes"]


@dataclass(frozen=True)
class Learned:
    """One classifier, as it is seen from outside."""

    scores: Scores
    """Logits of the test pictures; their softmax is what the classifier holds likely."""
    settings: Mapping[str, float]
    """That were chosen on what was held out."""
    is_converged: bool
    """False where L-BFGS was cut short; the other methods have a fixed number of epochs."""


Learner = Callable[[Places, int], Learned]
"""Places of the training pictures to learn from, and a seed → a classifier."""


@dataclass(frozen=True)
class Fit:
    """One classifier, learned from one subset."""

    seed: int
    num_train: int
    settings: Mapping[str, float]
    is_converged: bool
    values: Mapping[str, float]
    """On the test part: `accuracy`, `macro_f1` and, between two classes, `auroc`."""


@dataclass(frozen=True)
class ShareResult:
    """Of one share of the training pictures, drawn by several seeds."""

    share: float
    method: Method
    fits: tuple[Fit, ...]
    values: Mapping[str, float]
    """The means over the seeds."""
    deviations: Mapping[str, float]
    """Between the seeds: the sample's; 0 of one seed."""
    intervals: Mapping[str, Interval]
    """95 % of the means, the test pictures drawn anew; empty where none were asked for."""
    unleaked: Mapping[str, float] = field(default_factory=dict)
    """The means without the test pictures that are `left_out`, where others are left."""


def probed(
    train: Int[np.ndarray, " train"],
    test: Int[np.ndarray, " test"],
    learn: Learner,
    *,
    method: Method,
    share: float,
    seeds: Sequence[int],
    num_resamples: int = 0,
    left_out: Bool[np.ndarray, " test"] | None = None,
) -> ShareResult:
    """What classifiers reach that learned from a `share` of the training pictures, one a seed.

    `train` and `test` are the labels; both have all classes, numbered from 0. `num_resamples` 0
    asks for no intervals.
    """
    fits, measured = [], []
    for seed in seeds:
        chosen = stratified_subset(train, share, seed=seed)
        learned = learn(chosen, seed)
        measures = measures_of_scores(test, learned.scores)
        once = np.ones((1, len(test)))
        values = {name: float(measure(once)[0]) for name, measure in measures.items()}
        fits.append(Fit(seed, len(chosen), learned.settings, learned.is_converged, values))
        measured.append(measures)

    def means(times: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows measures"]:
        each = [[measure(times) for measure in measures.values()] for measures in measured]
        return np.mean(each, axis=0).T

    intervals: list[Interval] = []
    if num_resamples:
        intervals = resampled(means, len(test), num_resamples=num_resamples, seed=0)
    found = {name: np.array([fit.values[name] for fit in fits]) for name in fits[0].values}

    def of_column(column: int) -> Weighed:
        return lambda times: means(times)[:, column]

    columns = {name: of_column(column) for column, name in enumerate(found)}
    return ShareResult(
        share=share,
        method=method,
        fits=tuple(fits),
        values={name: float(each.mean()) for name, each in found.items()},
        deviations={name: deviation(each) for name, each in found.items()},
        intervals=dict(zip(found, intervals, strict=False)),
        unleaked={} if left_out is None else without(columns, left_out),
    )


def deviation(values: Float[np.ndarray, " n"]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def stratified_subset(labels: Labels, share: float, *, seed: int) -> Places:
    """Places of a share of every class, to the nearest picture and at least one, in their order.

    Of one seed the smaller subset lies within the larger.
    """
    random = np.random.default_rng(seed)
    parts = []
    for one in np.unique(labels):
        of_class = random.permutation(np.flatnonzero(labels == one))
        parts.append(of_class[: max(1, int(share * len(of_class) + 0.5))])
    return np.sort(np.concatenate(parts))


def held_out_parts(
    labels: Labels, *, seed: int
) -> list[tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " held_out"]]]:
    """The rest, and what is held out: small subsets in five stratified folds in turn, for one fifth
    of few is noise; none where a class has a single picture."""
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    if smallest < 2:
        return []
    selection = extra("sklearn.model_selection").model_selection
    num_folds = min(NUM_FOLDS, smallest)
    folds = selection.StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    cuts = list(folds.split(labels, labels))
    return cuts if len(labels) <= MOST_FOR_ALL_FOLDS else cuts[:1]


def worth(truth: Labels, scores: Scores, *, metric: str) -> tuple[float, float]:
    """By what settings are chosen: the metric, of equal ones the mean log likelihood; what is no
    number is worth nothing."""
    if not np.isfinite(scores).all():
        return -np.inf, -np.inf
    likely = log_softmax(scores.astype(np.float64), axis=1)
    likelihood = likely[np.arange(len(truth)), truth].mean()
    measure = measures_of_scores(truth, scores)[metric]
    return float(measure(np.ones((1, len(truth))))[0]), float(likelihood)
