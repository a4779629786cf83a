"""What a search has gained, beside Welch's formula written out."""

import math
import statistics
from dataclasses import replace

import pytest
from scipy.stats import t
from sweeps import sweep, trial

from figclip.tuning.gains import gain, gain_sentence
from figclip.tuning.record import SweepRecord
from figclip.tuning.report import answer

BASE, RECIPE, OTHER = {"lr": 1.0}, {"lr": 2.0}, {"lr": 3.0}


def searched(ours: list[float], base: list[float]) -> SweepRecord:
    """Three draws of the first seed, then the best and the base by fresh seeds."""
    trials = [
        trial(0, BASE, recall=0.5),
        trial(1, RECIPE, recall=0.9),
        trial(2, OTHER, state="pruned"),
    ]
    for seed, values in enumerate(zip(ours, base, strict=True), 1):
        for params, value in zip((RECIPE, BASE), values, strict=True):
            trials.append(trial(len(trials), params, seed=seed, recall=value))
    return replace(sweep(trials), varied=("lr",), paper=None)


def welch(a: list[float], b: list[float]) -> tuple[float, float]:
    of = [statistics.variance(one) / len(one) for one in (a, b)]
    freedom = sum(of) ** 2 / sum(v**2 / (len(one) - 1) for v, one in zip(of, (a, b), strict=True))
    half = t.ppf(0.975, freedom) * math.sqrt(sum(of))
    middle = statistics.fmean(a) - statistics.fmean(b)
    return middle - half, middle + half


def test_the_interval_is_welchs_and_the_seed_that_chose_has_no_part_in_it():
    ours, base = [0.555, 0.560, 0.575], [0.527, 0.508, 0.519]
    found = gain(searched(ours, base))
    assert found is not None
    assert (found.found, found.base) == (tuple(ours), tuple(base))
    assert found.interval == pytest.approx(welch(ours, base))
    assert found.is_clear
    assert "3 fresh seeds the best recipe beats its base" in gain_sentence(found)
    assert answer(searched(ours, base))[0] == gain_sentence(found)


def test_what_seeds_alone_may_do_is_no_gain():
    found = gain(searched([0.60, 0.40], [0.45, 0.44]))
    assert found is not None
    assert not found.is_clear
    assert "is not told from its base" in gain_sentence(found)


def test_without_a_confirmation_by_two_seeds_nothing_is_said():
    assert gain(searched([], [])) is None
    assert gain(searched([0.6], [0.5])) is None
    grid = sweep([trial(n, p, seed=s) for s in range(3) for n, p in enumerate((BASE, RECIPE))])
    assert gain(grid) is None, "a grid chooses nothing"


def test_of_a_loss_less_is_better():
    found = gain(searched([0.51, 0.52], [0.90, 0.91]))
    assert found is not None
    assert not found.is_clear
    assert replace(found, higher_is_better=False).is_clear
