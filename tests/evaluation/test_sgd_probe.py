"""ELEVATER's recipe, judged by torch's own layers and optimizer, a point of the grid at a time."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold
from test_probing import clouds
from torch import nn
from torch.nn import functional as F

from figclip.evaluation.logistic import logistic_learner
from figclip.evaluation.probing import probed
from figclip.evaluation.sgd_probe import (
    GRID,
    UNSEARCHED,
    Point,
    chosen_point,
    descended,
    sgd_learner,
)

SOME = (Point(1e-3, 1e-6), Point(1e-1, 1e-2), Point(1e-2, 1.0), Point(1e-1, 1e3))


def by_torch(
    train: tuple, judged: np.ndarray, point: Point, *, num_epochs: int, seed: int, classes: int
) -> np.ndarray:
    """The toolkit's classifier: BatchNorm without parameters, Linear, SGD."""
    features, labels = torch.from_numpy(train[0]), torch.from_numpy(train[1])
    dim = features.shape[1]
    model = nn.Sequential(nn.BatchNorm1d(dim, affine=False), nn.Linear(dim, classes)).double()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=point.lr, momentum=0.9, weight_decay=point.weight_decay
    )
    order = torch.Generator().manual_seed(seed)
    for _ in range(num_epochs):
        shuffled = torch.randperm(len(labels), generator=order)
        for start in range(0, len(shuffled), 64):
            rows = shuffled[start : start + 64]
            if len(rows) == 1:
                continue
            optimizer.zero_grad()
            F.cross_entropy(model(features[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return model.eval()(torch.from_numpy(judged)).numpy()


def exact(num: int, *, classes: int, seed: int, apart: float = 1.0) -> tuple:
    vectors, labels = clouds(num, classes=classes, seed=seed, apart=apart)
    return vectors.astype(np.float64), labels


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("num", [90, 129])
def test_all_points_at_once_are_each_of_them_alone_by_torch(classes: int, num: int):
    train, (judged, _) = (exact(n, classes=classes, seed=n) for n in (num, 40))
    found = descended(*train, judged, points=SOME, num_epochs=4, seed=5)
    for point, scores in zip(SOME[:3], found[:3], strict=True):
        expected = by_torch(train, judged, point, num_epochs=4, seed=5, classes=classes)
        assert scores == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert np.abs(found[3]).max() > 1e6 or not np.isfinite(found[3]).all(), "that one diverges"


def test_the_chosen_point_is_that_of_a_plain_loop_over_the_grid():
    train = exact(75, classes=3, seed=7, apart=0.4)
    folds = StratifiedKFold(5, shuffle=True, random_state=2)
    values = []
    for point in SOME:
        truth, scores = [], []
        for rest, held_out in folds.split(*train):
            some = train[0][rest], train[1][rest]
            judged = train[0][held_out]
            scores.append(by_torch(some, judged, point, num_epochs=10, seed=2, classes=3))
            truth.append(train[1][held_out])
        answers, right = np.concatenate(scores), np.concatenate(truth)
        likely = F.cross_entropy(torch.from_numpy(answers), torch.from_numpy(right))
        values.append((accuracy_score(right, answers.argmax(1)), -float(likely)))
    best = SOME[max(range(len(SOME)), key=lambda n: np.nan_to_num(values, nan=-1e9).tolist()[n])]
    for grid in (SOME, SOME[::-1]):
        assert chosen_point(*train, metric="accuracy", seed=2, grid=grid) == best
    assert len({value for value, _ in values}) > 1, "a case in which points differ"


def test_what_can_be_told_apart_is_told_as_by_logistic_regression():
    train, test = (clouds(num, classes=3, seed=num, apart=20) for num in (90, 200))
    learners = {
        "sgd": sgd_learner(train, test[0], metric="accuracy"),
        "lbfgs": logistic_learner(train, test[0], metric="accuracy", max_iterations=1_000),
    }
    answers = {name: learn(np.arange(90), 0).scores.argmax(1) for name, learn in learners.items()}
    assert np.array_equal(answers["sgd"], answers["lbfgs"])
    assert np.array_equal(answers["sgd"], test[1])


def test_the_grid_is_elevaters_and_one_picture_of_a_class_is_learned_without_a_search():
    assert len(GRID) == 6 * 97
    assert {point.lr for point in GRID} == {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1}
    decays = [point.weight_decay for point in GRID]
    assert (min(decays), max(decays)) == pytest.approx((1e-6, 1e6))
    train, test = (clouds(num, classes=2, seed=num, apart=20) for num in (90, 50))
    learn = sgd_learner(train, test[0], metric="accuracy")
    found = probed(train[1], test[1], learn, method="sgd", share=0.01, seeds=range(2))
    settings = {"lr": UNSEARCHED.lr, "weight decay": UNSEARCHED.weight_decay}
    assert [(fit.num_train, fit.settings) for fit in found.fits] == [(2, settings)] * 2
