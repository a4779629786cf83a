"""What learns on one rank, and all that a checkpoint keeps of it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch
from figclip.models.clip import Clip
from figclip.models.pooled import set_patch_dropout
from figclip.training.average import WeightAverage
from figclip.training.checkpoint import Stateful
from figclip.training.optim import OptimConfig, build_optimizer, set_lr
from figclip.training.parallel import place
from figclip.training.step import (
    Forward,
    StepMetrics,
    embed_batch,
    train_step,
    unwrapped,
)
from figclip.training.step_config import StepConfig, scaler_for
from figclip.training.validation import Embedded


class Learner:
    """A model with its optimiser and, where they are asked for, scaler and average."""

    def __init__(
        self,
        clip: Clip,
        device: torch.device,
        *,
        steps: StepConfig,
        optim: OptimConfig,
        pixels: PixelConfig,
    ) -> None:
        self.model = place(
            clip,
            device,
            parallel=steps.parallel,
            is_compiled=steps.is_compiled,
            is_fp8=steps.precision == "fp8",
        )
        self.optimizer = build_optimizer(self.model, optim)
        self.scaler = scaler_for(steps.precision, device)
        decay = steps.ema_decay
        self.average = None if decay is None else WeightAverage(self.model, decay)
        self._forward = Forward(pixels, steps.precision, steps.micro_batch_size)
        self._max_grad_norm = optim.max_grad_norm

    @property
    def others(self) -> dict[str, Stateful]:
        """What a checkpoint keeps besides model and optimiser."""
        named = {"scaler": self.scaler, "average": self.average}
        return {name: other for name, other in named.items() if other is not None}

    @property
    def scale(self) -> float:
        """Inverse temperature."""
        return unwrapped(self.model).logit_scale.detach().exp().item()

    def step(self, batch: Batch, *, lr: float, patch_dropout: float, rng_seed: int) -> StepMetrics:
        """Every rank must call it, with its part of the batch."""
        set_lr(self.optimizer, lr)
        set_patch_dropout(unwrapped(self.model).visual.trunk, patch_dropout)
        metrics = train_step(
            self.model,
            self.optimizer,
            batch,
            self._forward,
            rng_seed=rng_seed,
            max_grad_norm=self._max_grad_norm,
            scaler=self.scaler,
        )
        if self.average is not None:
            self.average.update(self.model)
        return metrics

    def embed(self, batches: Iterable[Batch]) -> list[Embedded]:
        """As the model, or its average, stands; every rank must call it."""
        self.model.eval()
        with self._at_its_best():
            found = [embed_batch(self.model, batch, self._forward) for batch in batches]
        self.model.train()
        return found

    def is_finite(self) -> bool:
        weights = [weight.detach().sum() for weight in unwrapped(self.model).parameters()]
        return all(bool(torch.as_tensor(weight).isfinite()) for weight in weights)

    @contextmanager
    def _at_its_best(self) -> Iterator[None]:
        if self.average is None:
            yield
            return
        with self.average.standing_in(self.model):
            yield
