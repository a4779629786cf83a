"""Linear probing: how well a plain linear classifier tells the classes by an encoder's vectors.

Logistic regression on frozen features, as CLIP probes (arXiv 2103.00020, appendix A.3): L-BFGS, an
L2 penalty found on held-out pictures by a parametric binary search between 1e-6 and 1e6, then
fitted again to all. What is held out is of the subset that is learned from, as in ELEVATER's few
shots (arXiv 2204.08790), so that 1 % of the labels means 1 %; a published validation part is not
used. Small subsets are held out in five stratified folds in turn, for one fifth of few is noise.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import log_softmax

from figclip.evaluation.bootstrap import Interval, resampled
from figclip.evaluation.classification import Weighed, measures_of_scores, without
from figclip.evaluation.datasets.pictures import extra

NUM_FOLDS = 5
MOST_FOR_ALL_FOLDS = 10_000
"""Pictures; of a larger subset one fold alone is held out, a fifth."""
STEPS_PER_DECADE = 8
DECADES = 6
"""C lies within 1e-6 and 1e6, on 97 places."""
UNSEARCHED_PLACE = 12
"""C = 31.6, where a class has a single picture and none can be held out: 0.316 of CLIP's own
example, whose vectors are about ten times as long as unit vectors
(https://github.com/openai/CLIP#linear-probe-evaluation)."""

Features = Float[np.ndarray, "n dim"]
Labels = Int[np.ndarray, " n"]
Scores = Float[np.ndarray, "n classes"]


@dataclass(frozen=True)
class Fit:
    """One classifier, learned from one subset."""

    seed: int
    num_train: int
    c: float
    """Inverse of the penalty's strength."""
    is_converged: bool
    values: Mapping[str, float]
    """On the test part: `accuracy`, `macro_f1` and, between two classes, `auroc`."""


@dataclass(frozen=True)
class ShareResult:
    """Of one share of the training pictures, drawn by several seeds."""

    share: float
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
    train: tuple[Float[np.ndarray, "train dim"], Int[np.ndarray, " train"]],
    test: tuple[Float[np.ndarray, "test dim"], Int[np.ndarray, " test"]],
    *,
    share: float,
    seeds: Sequence[int],
    metric: str = "accuracy",
    max_iterations: int = 1_000,
    num_resamples: int = 0,
    left_out: Bool[np.ndarray, " test"] | None = None,
) -> ShareResult:
    """What classifiers reach on `test` that learned from a `share` of `train`, one a seed.

    Both have all classes, numbered from 0. The penalty is chosen by `metric`, of equal ones by the
    likelihood. `num_resamples` 0 asks for no intervals.
    """
    features, labels = train[0].astype(np.float64), train[1]
    fits, measured = [], []
    for seed in seeds:
        chosen = stratified_subset(labels, share, seed=seed)
        some = features[chosen], labels[chosen]
        c = chosen_c(*some, metric=metric, seed=seed, max_iterations=max_iterations)
        model, is_converged = fitted(*some, c=c, max_iterations=max_iterations)
        measures = measures_of_scores(test[1], scores_of(model, test[0].astype(np.float64)))
        once = np.ones((1, len(test[1])))
        values = {name: float(measure(once)[0]) for name, measure in measures.items()}
        fits.append(Fit(seed, len(chosen), c, is_converged, values))
        measured.append(measures)

    def means(times: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows measures"]:
        each = [[measure(times) for measure in measures.values()] for measures in measured]
        return np.mean(each, axis=0).T

    intervals: list[Interval] = []
    if num_resamples:
        intervals = resampled(means, len(test[1]), num_resamples=num_resamples, seed=0)
    found = {name: np.array([fit.values[name] for fit in fits]) for name in fits[0].values}

    def of_column(column: int) -> Weighed:
        return lambda times: means(times)[:, column]

    columns = {name: of_column(column) for column, name in enumerate(found)}
    return ShareResult(
        share=share,
        fits=tuple(fits),
        values={name: float(each.mean()) for name, each in found.items()},
        deviations={name: deviation(each) for name, each in found.items()},
        intervals=dict(zip(found, intervals, strict=False)),
        unleaked={} if left_out is None else without(columns, left_out),
    )


def deviation(values: Float[np.ndarray, " n"]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def stratified_subset(labels: Labels, share: float, *, seed: int) -> Int[np.ndarray, " m"]:
    """Places of a share of every class, to the nearest picture and at least one, in their order.

    Of one seed the smaller subset lies within the larger.
    """
    random = np.random.default_rng(seed)
    parts = []
    for one in np.unique(labels):
        of_class = random.permutation(np.flatnonzero(labels == one))
        parts.append(of_class[: max(1, int(share * len(of_class) + 0.5))])
    return np.sort(np.concatenate(parts))


def chosen_c(
    features: Features, labels: Labels, *, metric: str, seed: int, max_iterations: int
) -> float:
    """The C that does best on pictures held out; 31.6 where a class has one alone."""
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    if smallest < 2:
        return c_of(UNSEARCHED_PLACE)
    selection = extra("sklearn.model_selection").model_selection
    num_folds = min(NUM_FOLDS, smallest)
    folds = selection.StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    cuts = list(folds.split(features, labels))
    cuts = cuts if len(labels) <= MOST_FOR_ALL_FOLDS else cuts[:1]

    def worth(place: int) -> tuple[float, float]:
        """The metric over all that was held out, and the mean log likelihood."""
        scores, truth = [], []
        for rest, held_out in cuts:
            model, _ = fitted(
                features[rest], labels[rest], c=c_of(place), max_iterations=max_iterations
            )
            scores.append(scores_of(model, features[held_out]))
            truth.append(labels[held_out])
        whole, true = np.concatenate(scores), np.concatenate(truth)
        measure = measures_of_scores(true, whole)[metric]
        likelihood = log_softmax(whole, axis=1)[np.arange(len(true)), true].mean()
        return float(measure(np.ones((1, len(true))))[0]), float(likelihood)

    return c_of(best_place(worth))


def best_place(worth: Callable[[int], tuple[float, float]]) -> int:
    """Of the places −48 … 48: the best of every sixteenth, then ever closer around the best."""
    known = cache(worth)
    end = STEPS_PER_DECADE * DECADES
    best = max(range(-end, end + 1, 2 * STEPS_PER_DECADE), key=known)
    step = STEPS_PER_DECADE
    while step:
        near = [place for place in (best, best - step, best + step) if abs(place) <= end]
        best = max(near, key=known)
        step //= 2
    return best


def c_of(place: int) -> float:
    return float(10 ** (place / STEPS_PER_DECADE))


def fitted(
    features: Features, labels: Labels, *, c: float, max_iterations: int
) -> tuple[Any, bool]:
    """scikit-learn's classifier, and whether it converged."""
    sklearn = extra("sklearn.linear_model")
    model = sklearn.linear_model.LogisticRegression(C=c, max_iter=max_iterations)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(features, labels)
    is_short = any(one.category.__name__ == "ConvergenceWarning" for one in told)
    return model, not is_short


def scores_of(model: Any, features: Features) -> Scores:
    """Logits of the classes; their softmax is what the classifier holds likely."""
    logits = model.decision_function(features)
    return np.stack([np.zeros_like(logits), logits], axis=1) if logits.ndim == 1 else logits
