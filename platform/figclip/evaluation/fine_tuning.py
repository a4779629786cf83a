"""Full fine-tuning: the image tower and a linear head learn together from a share of a set.

AdamW as CLIP was fine-tuned in WiSE-FT (section 3 of arXiv 2109.01903: rate 3e-5, decay 0.1,
gradients of norm 1 at most, a cosine after a warm-up, ten epochs), from a head that was probed
before (LP-FT, arXiv 2202.10054), which keeps a pretrained tower from being distorted. Batches are
smaller, for these sets are, and pictures are cropped as for evaluation. A fifth is held out: it
chooses the epoch, the probe before the first among them, and ends the training.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from figclip.config import Config
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.opening import Examples, opened
from figclip.evaluation.embedded import EmbeddedSet
from figclip.evaluation.logistic import chosen_c, fitted
from figclip.evaluation.probing import (
    Learned,
    Learner,
    Places,
    Scores,
    held_out_parts,
    worth,
)

HELD_BYTES = 2 * 2**30
"""Of pictures, as the tower takes them; what is more is decoded again in every epoch."""


class TuneConfig(Config):
    """How a tower and its head are trained."""

    lr: PositiveFloat = 3e-5
    """Peak learning rate of the head."""
    tower_lr: NonNegativeFloat = 3e-5
    """That of the image tower; 0 leaves it as it is."""
    weight_decay: NonNegativeFloat = 0.1
    batch_size: PositiveInt = 64
    """Pictures of a step."""
    num_epochs: PositiveInt = 10
    patience: PositiveInt = 3
    """Epochs without a better one on what is held out, after which the training ends."""
    warmup_steps: NonNegativeInt = 500
    """Steps in which the rate rises; at most a tenth of all."""
    max_grad_norm: PositiveFloat = 1.0


class Pictures:
    """Of one part of a set, those that can be read, as the tower takes them."""

    def __init__(self, encoder: Encoder, examples: Examples, found: EmbeddedSet) -> None:
        self._encoder, self._examples, self._kept = encoder, examples, found.kept
        self.labels = found.labels
        self.vectors = found.vectors
        self._held: dict[int, Tensor] = {}

    def __getitem__(self, places: Places) -> UInt8[Tensor, "m 3 side side"]:
        return torch.cat([self._one(int(place)) for place in places])

    def _one(self, place: int) -> UInt8[Tensor, "1 3 side side"]:
        if place in self._held:
            return self._held[place]
        pixels = self._encoder.pixels_of([self._examples.read(int(self._kept[place]))])
        if (len(self._held) + 1) * pixels.numel() <= HELD_BYTES:
            self._held[place] = pixels
        return pixels


@contextmanager
def pictures_of(
    encoder: Encoder, dataset: Dataset, data: str, found: EmbeddedSet
) -> Iterator[Pictures]:
    """The pictures that `found` holds the vectors of."""
    with opened(dataset, data) as examples:
        yield Pictures(encoder, examples, found)


@dataclass(frozen=True)
class _State:
    """Of the training after an epoch."""

    epoch: int
    worth: tuple[float, float]
    tensors: dict[str, Tensor]


def tuning_learner(
    encoder: Encoder,
    train: Pictures,
    test: Pictures,
    *,
    metric: str,
    config: TuneConfig,
    at_once: int = 64,
) -> Learner:
    """Learns from pictures, on the encoder's device, `at_once` of them through the tower."""

    def learn(chosen: Places, seed: int) -> Learned:
        cuts = held_out_parts(train.labels[chosen], seed=seed)
        rest, held_out = (chosen[part] for part in cuts[0]) if cuts else (chosen, chosen[:0])
        tower = encoder.image_tower()
        head = probed_head(train, rest, metric=metric, seed=seed).to(encoder.device)
        learning = Learning(tower, head, config, num_pictures=len(rest), at_once=at_once)
        best: _State | None = None
        order = np.random.default_rng(seed)
        for epoch in range(config.num_epochs + 1):
            if epoch:
                learning.epoch(train, rest, order)
            scores = learning.scores(train, held_out)
            value = (
                worth(train.labels[held_out], scores, metric=metric)
                if cuts
                else (float(epoch), 0.0)
            )
            if best is None or value > best.worth:
                best = _State(epoch, value, learning.tensors())
            elif epoch - best.epoch >= config.patience:
                break
        assert best is not None, "there is an epoch before the first"
        learning.restore(best.tensors)
        everything = np.arange(len(test.labels))
        return Learned(learning.scores(test, everything), {"epochs": float(best.epoch)}, True)

    return learn


def probed_head(train: Pictures, rest: Places, *, metric: str, seed: int) -> nn.Linear:
    """Logistic regression on the vectors as they are, as a layer with an output for each class."""
    features, labels = train.vectors[rest].astype(np.float64), train.labels[rest]
    c = chosen_c(features, labels, metric=metric, seed=seed, max_iterations=1_000)
    model, _ = fitted(features, labels, c=c, max_iterations=1_000)
    rows, biases = model.coef_, model.intercept_
    if len(rows) == 1:  # between two classes, the halves of the one difference
        rows, biases = np.concatenate([-rows, rows]) / 2, np.concatenate([-biases, biases]) / 2
    head = nn.Linear(rows.shape[1], len(rows))
    head.load_state_dict({"weight": torch.tensor(rows), "bias": torch.tensor(biases)})
    return head


class Learning:
    """A tower and a head on their way."""

    def __init__(
        self,
        tower: nn.Module,
        head: nn.Linear,
        config: TuneConfig,
        *,
        num_pictures: int,
        at_once: int,
    ) -> None:
        self._model, self._config = nn.Sequential(tower, head), config
        self._at_once, self._num_classes = at_once, head.out_features
        tower.requires_grad_(config.tower_lr > 0)  # else its gradient would count where it is cut
        groups = [
            {"params": [*tower.parameters()], "lr": config.tower_lr},
            {"params": [*head.parameters()], "lr": config.lr},
        ]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        total = config.num_epochs * math.ceil(num_pictures / config.batch_size)
        warmup = min(config.warmup_steps, total // 10)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: _cosine(step, total, warmup)
        )

    def epoch(self, train: Pictures, rest: Places, order: np.random.Generator) -> None:
        """Every picture once; a step's gradient is gathered over parts that fit the device."""
        shuffled = order.permutation(rest)
        for start in range(0, len(shuffled), self._config.batch_size):
            rows = shuffled[start : start + self._config.batch_size]
            self._optimizer.zero_grad()
            for part in self._parts(rows):
                truth = torch.from_numpy(train.labels[part])
                loss = F.cross_entropy(self._logits(train[part]), truth.to(self._device))
                (loss * len(part) / len(rows)).backward()
            nn.utils.clip_grad_norm_(self._model.parameters(), self._config.max_grad_norm)
            self._optimizer.step()
            self._schedule.step()

    @torch.no_grad()
    def scores(self, pictures: Pictures, places: Places) -> Scores:
        parts = [self._logits(pictures[part]).double().cpu() for part in self._parts(places)]
        found: Float[np.ndarray, "n classes"]
        found = torch.cat(parts).numpy() if parts else np.empty((0, self._num_classes))
        return found

    def tensors(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._model.state_dict().items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self._model.load_state_dict(tensors)

    @property
    def _device(self) -> torch.device:
        return next(self._model.parameters()).device

    def _logits(self, pixels: UInt8[Tensor, "n 3 side side"]) -> Float[Tensor, "n classes"]:
        logits: Tensor = self._model(pixels.to(self._device))
        return logits

    def _parts(self, places: Places) -> Iterator[Int[np.ndarray, " part"]]:
        for start in range(0, len(places), self._at_once):
            yield places[start : start + self._at_once]


def _cosine(step: int, total: int, warmup: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
