"""ELEVATER's linear probe: stochastic gradient descent, its rate and decay found on a grid.

The recipe of the toolkit that the paper evaluates with (arXiv 2204.08790,
https://github.com/Computer-Vision-in-the-Wild/Elevater_Toolkit_IC, `vitb16_CLIP.yaml`): features
normalised by a BatchNorm without parameters, batches of 64, momentum 0.9, a constant rate of
1e-6 … 1e-1 and a weight decay of 1e-6 … 1e6; ten epochs for every point of the grid, then ten and
forty more with the best one on all pictures. It differs in what could not be repeated or is unfair:

- the whole grid of 6 × 97 points is searched, all at once, where the toolkit halves its steps
  between 97 decays;
- the head begins at zero, not at random or at the words of the classes;
- numbers are those of the last epoch; the toolkit's are of the best epoch on the test part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from figclip.evaluation.probing import (
    Features,
    Labels,
    Learned,
    Learner,
    Places,
    held_out_parts,
    worth,
)

BATCH_SIZE, MOMENTUM = 64, 0.9
SEARCH_EPOCHS, FURTHER_EPOCHS = 10, 40
RATES = tuple(10.0**power for power in range(-6, 0))
DECAYS = tuple(float(decay) for decay in np.logspace(-6, 6, num=97))


@dataclass(frozen=True)
class Point:
    """Of the grid."""

    lr: float
    weight_decay: float


GRID = tuple(Point(lr, decay) for lr in RATES for decay in DECAYS)
UNSEARCHED = Point(lr=0.1, weight_decay=1e-6)
"""The toolkit's own, where nothing can be held out."""


def sgd_learner(
    train: tuple[Float[np.ndarray, "train dim"], Labels],
    test: Float[np.ndarray, "test dim"],
    *,
    metric: str,
    grid: Sequence[Point] = GRID,
) -> Learner:
    """Learns from unit vectors and labels; the point of the grid is chosen by `metric`."""
    size = np.float32(train[0].shape[1] ** 0.5)  # else BatchNorm's epsilon is not small beside them

    def learn(chosen: Places, seed: int) -> Learned:
        some = size * train[0][chosen], train[1][chosen]
        point = chosen_point(*some, metric=metric, seed=seed, grid=grid)
        num_epochs = SEARCH_EPOCHS + FURTHER_EPOCHS
        (scores,) = descended(*some, size * test, points=[point], num_epochs=num_epochs, seed=seed)
        settings = {"lr": point.lr, "weight decay": point.weight_decay}
        return Learned(scores.astype(np.float64), settings, is_converged=True)

    return learn


def chosen_point(
    features: Features, labels: Labels, *, metric: str, seed: int, grid: Sequence[Point]
) -> Point:
    """The point that does best on pictures held out, of equal ones the first."""
    cuts = held_out_parts(labels, seed=seed)
    if not cuts:
        return UNSEARCHED
    parts = [
        descended(
            features[rest],
            labels[rest],
            features[held_out],
            points=grid,
            num_epochs=SEARCH_EPOCHS,
            seed=seed,
            num_classes=int(labels.max()) + 1,
        )
        for rest, held_out in cuts
    ]
    truth = np.concatenate([labels[held_out] for _, held_out in cuts])
    values = [
        worth(truth, np.concatenate([part[place] for part in parts]), metric=metric)
        for place in range(len(grid))
    ]
    return grid[max(range(len(grid)), key=values.__getitem__)]


def descended(
    features: Features,
    labels: Labels,
    judged: Float[np.ndarray, "judged dim"],
    *,
    points: Sequence[Point],
    num_epochs: int,
    seed: int,
    num_classes: int | None = None,
) -> list[Float[np.ndarray, "judged classes"]]:
    """Logits of `judged` by heads trained with each of the points, all at once.

    They see the same batches and share the BatchNorm, which has nothing to learn, so a step of all
    of them is two matrix products. A head whose rate is too great ends in what is no number, and
    harms no other.
    """
    known, truth = torch.from_numpy(features), torch.from_numpy(labels)
    classes = num_classes or int(labels.max()) + 1
    heads = _Heads(known.shape[1], classes, points, dtype=known.dtype)
    mean, variance = torch.zeros_like(known[0]), torch.ones_like(known[0])
    for rows in _batches(len(known), num_epochs, seed):
        mean.lerp_(known[rows].mean(0), 0.1)  # the momentum of torch's BatchNorm
        variance.lerp_(known[rows].var(0), 0.1)
        normalised = F.batch_norm(known[rows], None, None, training=True)
        heads.step(normalised, F.one_hot(truth[rows], classes).to(known.dtype))
    scores = heads.logits(F.batch_norm(torch.from_numpy(judged), mean, variance))
    return [one.numpy() for one in scores.unbind(1)]


class _Heads:
    """Linear heads of as many settings, and torch's SGD with momentum for each."""

    def __init__(
        self, dim: int, classes: int, points: Sequence[Point], *, dtype: torch.dtype
    ) -> None:
        self._weight = torch.zeros(dim, len(points), classes, dtype=dtype)
        self._bias = torch.zeros(1, len(points), classes, dtype=dtype)
        self._rates = torch.tensor([point.lr for point in points], dtype=dtype)[:, None]
        self._decays = torch.tensor([point.weight_decay for point in points], dtype=dtype)[:, None]
        self._speeds = [torch.zeros_like(self._weight), torch.zeros_like(self._bias)]

    def logits(self, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n points classes"]:
        dim, *shape = self._weight.shape
        return (features @ self._weight.view(dim, -1)).view(-1, *shape) + self._bias

    def step(
        self, features: Float[Tensor, "batch dim"], truth: Float[Tensor, "batch classes"]
    ) -> None:
        errors = (self.logits(features).softmax(-1) - truth[:, None]) / len(features)
        gradient = (features.T @ errors.flatten(1)).view_as(self._weight)
        for values, slope, speed in zip(
            (self._weight, self._bias), (gradient, errors.sum(0)[None]), self._speeds, strict=True
        ):
            speed.mul_(MOMENTUM).add_(slope).add_(self._decays * values)
            values.sub_(self._rates * speed)


def _batches(num: int, num_epochs: int, seed: int) -> Iterator[Tensor]:
    """Rows in the order of each epoch; a lone last row, which has no deviation, is left out."""
    order = torch.Generator().manual_seed(seed)
    for _ in range(num_epochs):
        for rows in torch.randperm(num, generator=order).split(BATCH_SIZE):
            if len(rows) > 1:
                yield rows
