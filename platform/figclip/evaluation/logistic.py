"""Logistic regression on frozen features, as CLIP probes (arXiv 2103.00020, appendix A.3).

L-BFGS, an L2 penalty found on held-out pictures by a parametric binary search between 1e-6 and 1e6,
then fitted again to all.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from figclip.evaluation.datasets.pictures import extra
from figclip.evaluation.probing import (
    Features,
    Labels,
    Learned,
    Learner,
    Places,
    Scores,
    held_out_parts,
    worth,
)

STEPS_PER_DECADE = 8
DECADES = 6
"""C lies within 1e-6 and 1e6, on 97 places."""
SMALL = 1_000_000
"""Numbers of a matrix, about 2,000 vectors."""
UNSEARCHED_PLACE = 12
"""C = 31.6, where a class has a single picture and none can be held out: 0.316 of CLIP's own
example, whose vectors are about ten times as long as unit vectors
(https://github.com/openai/CLIP#linear-probe-evaluation)."""


def logistic_learner(
    train: tuple[Float[np.ndarray, "train dim"], Labels],
    test: Float[np.ndarray, "test dim"],
    *,
    metric: str,
    max_iterations: int,
) -> Learner:
    """Learns from vectors and labels; the penalty is chosen by `metric`."""
    features, judged = train[0].astype(np.float64), test.astype(np.float64)

    def learn(chosen: Places, seed: int) -> Learned:
        some = features[chosen], train[1][chosen]
        with few_threads(some[0]):
            c = chosen_c(*some, metric=metric, seed=seed, max_iterations=max_iterations)
            model, is_converged = fitted(*some, c=c, max_iterations=max_iterations)
        return Learned(scores_of(model, judged), {"C": c}, is_converged)

    return learn


def few_threads(features: Features) -> AbstractContextManager[object]:
    """One thread for products so small that several would mostly wait for one another."""
    limit = 1 if features.size < SMALL else None
    pools: AbstractContextManager[object] = extra("threadpoolctl").threadpool_limits(limit)
    return pools


def chosen_c(
    features: Features, labels: Labels, *, metric: str, seed: int, max_iterations: int
) -> float:
    """The C that does best on pictures held out; 31.6 where a class has one alone."""
    cuts = held_out_parts(labels, seed=seed)
    if not cuts:
        return c_of(UNSEARCHED_PLACE)

    def worth_of(place: int) -> tuple[float, float]:
        scores, truth = [], []
        for rest, held_out in cuts:
            model, _ = fitted(
                features[rest], labels[rest], c=c_of(place), max_iterations=max_iterations
            )
            scores.append(scores_of(model, features[held_out]))
            truth.append(labels[held_out])
        return worth(np.concatenate(truth), np.concatenate(scores), metric=metric)

    return c_of(best_place(worth_of))


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
    """Logits of the classes."""
    logits = model.decision_function(features)
    return np.stack([np.zeros_like(logits), logits], axis=1) if logits.ndim == 1 else logits
