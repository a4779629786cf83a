"""How sure a number of some items is: percentile intervals from items drawn anew, with return."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

DRAWN_AT_ONCE = 4_000_000
"""Random numbers held at a time."""

Statistic = Callable[[Float[np.ndarray, "rows n"]], Float[np.ndarray, "rows measures"]]
"""How often each of n items was drawn, one draw a row → what is measured of each draw."""


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    @property
    def in_per_cent(self) -> str:
        return f"{100 * self.low:.2f} … {100 * self.high:.2f}"


def bootstrap(
    gains: Float[np.ndarray, "n measures"], *, num_resamples: int, seed: int, level: float = 0.95
) -> list[Interval]:
    """Percentile intervals of the columns' means, rows drawn with return and whole.

    The same seed gives the same intervals, whatever other columns stand beside.
    """
    n = len(gains)
    columns = [np.ascontiguousarray(column) for column in gains.T]  # each summed in its own order

    def means(times: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows measures"]:
        return np.stack([times @ column / n for column in columns], axis=1)

    return resampled(means, n, num_resamples=num_resamples, seed=seed, level=level)


def resampled(
    statistic: Statistic, n: int, *, num_resamples: int, seed: int, level: float = 0.95
) -> list[Interval]:
    """Percentile intervals of what `statistic` measures (Efron and Tibshirani 1993, chapter 13).

    A draw whose number is NaN (of two classes it holds one alone) has no say.
    """
    random = np.random.default_rng(seed)
    at_once = max(1, DRAWN_AT_ONCE // n)
    found = []
    for start in range(0, num_resamples, at_once):
        rows = min(at_once, num_resamples - start)
        drawn = random.integers(0, n, size=(rows, n))
        times = np.stack([np.bincount(one, minlength=n) for one in drawn]).astype(np.float64)
        found.append(statistic(times))
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.nanquantile(np.concatenate(found), tails, axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]
