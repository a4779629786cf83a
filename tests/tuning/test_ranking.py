"""Pareto's front and importance, beside their definitions."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import sweep, trial

from figclip.tuning.ranking import Point, explained, front, importance, tradeoff

NUMBERS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


@given(NUMBERS, st.booleans())
def test_the_front_holds_what_nothing_beats_and_each_of_its_values_once(pairs, is_higher_better):
    points = [Point(trial(n, {}), float(c), float(q)) for n, (c, q) in enumerate(pairs)]
    sign = 1 if is_higher_better else -1

    def is_beaten(point: Point) -> bool:
        return any(
            other.cost <= point.cost
            and sign * other.quality >= sign * point.quality
            and (other.cost, other.quality) != (point.cost, point.quality)
            for other in points
        )

    expected = {(p.cost, p.quality) for p in points if not is_beaten(p)}
    found = [(point.cost, point.quality) for point in front(points, is_higher_better)]
    assert set(found) == expected
    assert len(found) == len(expected)
    assert found == sorted(found)


def test_a_second_objective_is_the_cost_and_hours_are_without_one():
    objectives = (("mean_recall", "maximize"), ("cpu_hours", "minimize"))
    two = sweep([trial(0, {}, values=(0.5, 7.0))], objectives=objectives)
    assert (tradeoff(two).points[0].cost, tradeoff(two).cost) == (7.0, "cpu_hours")
    one = sweep([trial(0, {}, gpu_hours=0.3, cpu_hours=9.0)])
    assert (tradeoff(one).points[0].cost, tradeoff(one).cost) == (0.3, "GPU-hours")


def test_what_is_explained_is_the_variance_between_the_levels():
    random.seed(3)
    trials = [
        trial(n, {"size": n % 3, "other": n % 2}, recall=0.1 * (n % 3) + 0.05 * random.random())
        for n in range(12)
    ]
    values = [each.values[0] for each in trials]
    mean = sum(values) / len(values)
    groups = [
        [v for v, t in zip(values, trials, strict=True) if t.params["size"] == size]
        for size in range(3)
    ]
    between = sum(len(g) * (sum(g) / len(g) - mean) ** 2 for g in groups)
    expected = between / sum((v - mean) ** 2 for v in values)
    assert explained(trials, "size") == pytest.approx(expected)
    assert explained(trials, "size") > 0.9 > 0.1 > explained(trials, "other")


def test_a_number_drawn_anew_for_each_trial_does_not_explain_all():
    random.seed(0)
    trials = [trial(n, {"lr": random.random()}, recall=random.random()) for n in range(15)]
    assert explained(trials, "lr") < 0.5


@pytest.mark.parametrize("num", [12, 60])
def test_what_made_the_difference_comes_first_by_either_method(num):
    random.seed(1)
    trials = []
    for number in range(num):
        params = {
            "idle": random.random(),
            "lr": random.choice([1e-4, 1e-3, 1e-2]),
            "kind": "ab"[number % 2],
        }
        recall = {1e-4: 0.1, 1e-3: 0.5, 1e-2: 0.2}[params["lr"]] + 0.02 * random.random()
        trials.append(trial(number, params, recall=recall))
    found = importance(sweep(trials, varied=("idle", "lr", "kind"), paper=None))
    assert found is not None
    assert next(iter(found.shares)) == "lr"
    assert ("PED-ANOVA" in found.method) == (num == 60)


def test_two_trials_or_one_setting_have_no_importance():
    assert importance(sweep([trial(n, {"batch_size": n}) for n in range(2)])) is None
    assert importance(sweep([trial(n, {"batch_size": 1}, seed=n) for n in range(5)])) is None
    failed = [trial(n, {"batch_size": n}, state="failed") for n in range(5)]
    assert importance(sweep(failed)) is None
