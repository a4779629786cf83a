"""One training step, and one evaluation pass: the same numbers whenever it is taken again."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from figclip.inputs.pixels import PixelConfig, normalise
from figclip.inputs.reader import Batch
from figclip.models.clip import Clip
from figclip.training.gathering import mean_over_ranks
from figclip.training.loss import clip_loss

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class StepMetrics:
    """Scalars on the model's device, detached: reading one waits for the device."""

    loss: Tensor
    """Mean over all ranks, before the step."""
    grad_norm: Tensor
    """L2, of all gradients together, before they are cut."""
    scale: Tensor
    """Inverse temperature after the step."""


@dataclass(frozen=True)
class Forward:
    """How batches go through the model."""

    pixels: PixelConfig
    precision: Precision
    """`bf16` runs the towers in autocast; the loss is float32 in either."""

    def to_device(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised pixels, ids and mask, without the columns that are padding in every row."""
        length = int(batch.mask.sum(dim=1).max())
        pixels, ids, mask = (
            tensor.to(device, non_blocking=True)
            for tensor in (batch.pixels, batch.ids[:, :length], batch.mask[:, :length])
        )
        return normalise(pixels, self.pixels), ids, mask

    def autocast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    batch: Batch,
    forward: Forward,
    *,
    rng_seed: int,
    max_grad_norm: float | None = None,
) -> StepMetrics:
    """Forward, loss over all ranks, backward, update; every rank must call it.

    `model` is a `Clip`, bare or wrapped in DDP. `rng_seed` decides all dropout of the step, so
    that a resumed run draws what the uninterrupted one drew.
    """
    clip = unwrapped(model)
    device = clip.logit_scale.device
    torch.manual_seed(rng_seed)
    with forward.autocast(device):
        image, text, scale = model(*forward.to_device(batch, device))
    loss = clip_loss(image, text, scale)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm or float("inf"))
    optimizer.step()
    clip.clamp_scale()
    return StepMetrics(mean_over_ranks(loss), grad_norm.detach(), clip.logit_scale.detach().exp())


@torch.no_grad()
def embed_batch(model: nn.Module, batch: Batch, forward: Forward) -> tuple[np.ndarray, np.ndarray]:
    """Image and text embeddings, float32 [n, dim] each, as the model stands; it is in eval mode."""
    clip = unwrapped(model)
    device = clip.logit_scale.device
    with forward.autocast(device):
        image, text, _ = clip(*forward.to_device(batch, device))
    return image.float().cpu().numpy(), text.float().cpu().numpy()


def step_seed(seed: int, *, step: int, rank: int) -> int:
    """A seed of its own for every step of every rank of every run."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])


def unwrapped(model: nn.Module) -> Clip:
    found = getattr(model, "module", model)
    assert isinstance(found, Clip)
    return found
