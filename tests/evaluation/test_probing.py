"""Linear probing, judged by scikit-learn itself and by plain loops."""

import math
from collections import Counter

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from figclip.evaluation import logistic, probing
from figclip.evaluation.logistic import best_place, c_of, chosen_c, fitted, logistic_learner
from figclip.evaluation.probing import ShareResult, probed, stratified_subset


def clouds(num: int, *, classes: int, seed: int, apart: float = 1.0) -> tuple[np.ndarray, ...]:
    """Unit vectors around a centre for each class, and the classes in turn."""
    centres = np.random.default_rng(99).normal(size=(classes, 6))
    labels = np.arange(num) % classes
    random = np.random.default_rng(seed)
    vectors = apart * centres[labels] + random.normal(size=(num, 6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def probed_by_logistic(train: tuple, test: tuple, **options: object) -> ShareResult:
    learner = logistic_learner(train, test[0], metric="accuracy", max_iterations=1_000)
    return probed(train[1], test[1], learner, method="lbfgs", **options)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.37, 1.0])
def test_a_subset_has_its_share_of_every_class_and_at_least_one_picture(share: float):
    labels = np.array([0] * 250 + [1] * 31 + [2] * 3 + [1] * 20)
    chosen = stratified_subset(labels, share, seed=4)
    expected = {}
    for one, num in Counter(labels.tolist()).items():
        expected[one] = max(1, math.floor(num * share + 0.5))
    assert Counter(labels[chosen].tolist()) == expected
    assert sorted({*chosen.tolist()}) == chosen.tolist(), "each once, in order"


def test_seeds_draw_other_subsets_and_a_seeds_own_lie_within_one_another():
    labels = np.arange(300) % 3
    small, large = (stratified_subset(labels, share, seed=1) for share in (0.1, 0.5))
    assert {*small.tolist()} < {*large.tolist()}
    assert {*small.tolist()} != {*stratified_subset(labels, 0.1, seed=2).tolist()}


@pytest.mark.parametrize("classes", [2, 3])
def test_the_numbers_are_those_of_scikit_learn_run_by_hand(classes: int):
    train, test = (clouds(num, classes=classes, seed=num) for num in (90, 200))
    found = probed_by_logistic(train, test, share=0.5, seeds=(0, 1, 2))
    by_hand = []
    for fit in found.fits:
        some = stratified_subset(train[1], 0.5, seed=fit.seed)
        assert fit.num_train == len(some)
        model = LogisticRegression(C=fit.settings["C"], max_iter=1_000)
        model.fit(train[0][some].astype(np.float64), train[1][some])
        answers = model.predict(test[0].astype(np.float64))
        expected = {
            "accuracy": accuracy_score(test[1], answers),
            "macro_f1": f1_score(test[1], answers, average="macro"),
        }
        if classes == 2:
            surety = model.decision_function(test[0].astype(np.float64))
            expected["auroc"] = roc_auc_score(test[1], surety)
        assert fit.values == pytest.approx(expected, abs=1e-12)
        by_hand.append(expected)
    for name in by_hand[0]:
        values = [one[name] for one in by_hand]
        mean = sum(values) / 3
        spread = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
        assert found.values[name] == pytest.approx(mean, abs=1e-12)
        assert found.deviations[name] == pytest.approx(spread, abs=1e-12)
    assert found.deviations["accuracy"] > 0


@pytest.mark.parametrize("peak", [-48, -31, 0, 17, 48])
def test_the_search_finds_the_peak_of_any_hill_on_97_places(peak: int):
    asked = []

    def worth(place: int) -> tuple[float, float]:
        asked.append(place)
        return -abs(place - peak), 0.0

    assert best_place(worth) == peak
    assert len(asked) == len({*asked}) <= 15
    assert all(abs(place) <= 48 for place in asked)
    assert (c_of(-48), c_of(0), c_of(48)) == pytest.approx((1e-6, 1, 1e6))


def test_the_penalty_is_the_one_that_does_best_on_what_is_held_out(monkeypatch: pytest.MonkeyPatch):
    """Few noisy pictures in many dimensions, where the penalty matters."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = random.normal(size=(60, 40))
    features[:, 0] += 1.2 * labels
    c = chosen_c(features, labels, metric="accuracy", seed=3, max_iterations=1_000)
    folds = StratifiedKFold(5, shuffle=True, random_state=3)

    def held_out(strength: float) -> float:
        model = LogisticRegression(C=strength, max_iter=1_000)
        return accuracy_score(labels, cross_val_predict(model, features, labels, cv=folds))

    others = [held_out(10.0**power) for power in range(-6, 7, 2)]
    assert held_out(c) >= max(others) > min(others)
    calls = []
    monkeypatch.setattr(probing, "MOST_FOR_ALL_FOLDS", 59)
    monkeypatch.setattr(
        logistic,
        "fitted",
        lambda *data, **words: calls.append(len(data[1])) or fitted(*data, **words),
    )
    chosen_c(features, labels, metric="accuracy", seed=3, max_iterations=1_000)
    assert {*calls} == {48}, "of a large subset one fifth is held out"
    assert len(calls) <= 15, "once for every C"


def test_a_class_with_one_picture_is_learned_without_a_search():
    labels = np.array([0, 0, 1])
    c = chosen_c(np.eye(3), labels, metric="accuracy", seed=0, max_iterations=9)
    assert c == pytest.approx(10**1.5)


@pytest.mark.parametrize(("apart", "least", "most"), [(20, 1, 1), (0, 0.4, 0.6)])
def test_what_is_far_apart_is_told_from_one_picture_each_and_noise_is_a_coin(
    apart: float, least: float, most: float
):
    train, test = (clouds(400, classes=2, seed=seed, apart=apart) for seed in (1, 2))
    found = probed_by_logistic(train, test, share=0.0025, seeds=range(5))
    assert {fit.num_train for fit in found.fits} == {2}
    assert least <= found.values["accuracy"] <= most


def test_the_interval_is_of_the_mean_over_the_seeds_and_covers_it():
    train, test = (clouds(num, classes=3, seed=num) for num in (90, 400))
    found = probed_by_logistic(train, test, share=0.2, seeds=range(3), num_resamples=500)
    for name, value in found.values.items():
        interval = found.intervals[name]
        assert interval.low < value < interval.high
    width = found.intervals["accuracy"].high - found.intervals["accuracy"].low
    p = found.values["accuracy"]
    assert width < 1.3 * 2 * 1.96 * math.sqrt(p * (1 - p) / 400)


def test_a_fit_that_is_cut_short_says_so():
    features, labels = clouds(90, classes=3, seed=0)
    assert fitted(features, labels, c=1e6, max_iterations=1_000)[1]
    assert not fitted(features, labels, c=1e6, max_iterations=2)[1]
