"""Intervals of numbers, beside known cases and SciPy's bootstrap."""

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from figclip.evaluation.bootstrap import Interval, bootstrap


def test_equal_gains_leave_no_doubt():
    gains = np.stack([np.ones(50), np.zeros(50)], axis=1)
    found = bootstrap(gains, num_resamples=100, seed=0)
    assert found == [Interval(1.0, 1.0), Interval(0.0, 0.0)]


def test_the_interval_of_many_pairs_is_that_of_the_normal_distribution():
    random = np.random.default_rng(0)
    gains = random.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=4_000)
    (found,) = bootstrap(gains[:, None], num_resamples=4_000, seed=1)
    half = 1.96 * gains.std() / np.sqrt(len(gains))
    assert found.low == pytest.approx(gains.mean() - half, abs=half / 10)
    assert found.high == pytest.approx(gains.mean() + half, abs=half / 10)


def test_the_interval_of_few_pairs_is_that_of_scipy():
    gains = np.random.default_rng(2).exponential(size=25)
    (found,) = bootstrap(gains[:, None], num_resamples=20_000, seed=3)
    theirs = scipy_bootstrap(
        (gains,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=width / 40)
    assert found.high == pytest.approx(theirs.high, abs=width / 40)


def test_the_same_seed_gives_the_same_interval_whatever_stands_beside():
    gains = np.random.default_rng(0).normal(size=(300, 2))
    both = bootstrap(gains, num_resamples=500, seed=5)
    assert bootstrap(gains[:, 1:], num_resamples=500, seed=5) == both[1:]
    assert bootstrap(gains, num_resamples=500, seed=6) != both
