"""Measures of classifiers beside scikit-learn's, and their intervals beside known cases."""

import numpy as np
import pytest
from sklearn import metrics

from figclip.evaluation.bootstrap import resampled
from figclip.evaluation.classification import auroc, judged


def answered(n: int, num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores that know something of them; every tenth score ties with others."""
    random = np.random.default_rng(seed)
    labels = random.choice(
        num_classes, size=n, p=np.r_[0.6, np.full(num_classes - 1, 0.4) / (num_classes - 1)]
    )
    scores = random.normal(size=(n, num_classes)) + 0.8 * np.eye(num_classes)[labels]
    scores[::10] = scores[::10].round()
    return labels, scores


@pytest.mark.parametrize("num_classes", [2, 3, 13])
@pytest.mark.parametrize("seed", range(3))
def test_the_measures_are_scikit_learns(num_classes: int, seed: int):
    labels, scores = answered(301, num_classes, seed)
    found, answers = judged(labels, scores), scores.argmax(axis=1)
    assert found.values["accuracy"] == pytest.approx(metrics.accuracy_score(labels, answers))
    theirs = metrics.f1_score(labels, answers, average="macro", labels=range(num_classes))
    assert found.values["macro_f1"] == pytest.approx(theirs)
    matrix = metrics.confusion_matrix(labels, answers, labels=range(num_classes))
    assert np.array_equal(found.confusion, matrix)
    assert ("auroc" in found.values) == (num_classes == 2)


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_auroc_is_scikit_learns_however_many_scores_tie(digits: int):
    labels, scores = answered(301, 2, 7)
    rounded = scores.round(digits)
    theirs = metrics.roc_auc_score(labels, rounded[:, 1] - rounded[:, 0])
    assert judged(labels, rounded).values["auroc"] == pytest.approx(theirs)


def test_scores_that_say_nothing_have_half_the_area():
    labels = np.array([0, 1, 1, 0, 1])
    assert judged(labels, np.zeros((5, 2))).values["auroc"] == 0.5


def test_a_class_that_is_neither_there_nor_answered_has_no_f1():
    found = judged(np.array([0, 1]), np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    assert found.values["macro_f1"] == pytest.approx(2 / 3)
    assert metrics.f1_score(
        [0, 1], [0, 1], average="macro", labels=[0, 1, 2], zero_division=0
    ) == pytest.approx(2 / 3)


def test_a_draw_of_many_counts_is_the_measure_of_the_pictures_repeated():
    labels, scores = answered(60, 2, 3)
    times = np.random.default_rng(0).integers(0, 4, size=60)
    again = np.repeat(np.arange(60), times)
    margin = scores[:, 1] - scores[:, 0]
    found = auroc(labels == 1, margin)(times[None].astype(float))[0]
    assert found == pytest.approx(metrics.roc_auc_score(labels[again], margin[again]))


def test_the_interval_of_the_area_is_that_of_pictures_drawn_one_by_one():
    labels, scores = answered(120, 2, 5)
    found = judged(labels, scores, num_resamples=2_000, seed=1).intervals["auroc"]
    random, margin = np.random.default_rng(2), scores[:, 1] - scores[:, 0]
    drawn = [random.integers(0, 120, size=120) for _ in range(2_000)]
    areas = [metrics.roc_auc_score(labels[which], margin[which]) for which in drawn]
    low, high = np.quantile(areas, (0.025, 0.975))
    assert found.low == pytest.approx(low, abs=(high - low) / 10)
    assert found.high == pytest.approx(high, abs=(high - low) / 10)


def test_a_draw_of_one_class_alone_has_no_say_in_the_interval():
    labels = np.array([0, 0, 1])
    found = judged(labels, np.array([[2.0, 0], [2.0, 0], [0, 2.0]]), num_resamples=200)
    assert found.intervals["auroc"].low == found.intervals["auroc"].high == 1.0


def test_without_pictures_nothing_is_judged():
    with pytest.raises(ValueError, match="no pictures"):
        judged(np.empty(0, dtype=np.int64), np.empty((0, 2)))


def test_what_is_measured_of_draws_has_a_row_for_each():
    seen = []

    def counted(times: np.ndarray) -> np.ndarray:
        seen.append(times)
        return times[:, :1]

    resampled(counted, 5, num_resamples=7, seed=0)
    whole = np.concatenate(seen)
    assert whole.shape == (7, 5)
    assert (whole.sum(axis=1) == 5).all()
