"""One training step, and one evaluation pass: the same numbers whenever it is taken again."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from figclip.inputs.pixels import PixelConfig, normalise
from figclip.inputs.reader import Batch
from figclip.models.clip import Clip
from figclip.training.cached_gradients import Features, cached_backward
from figclip.training.gathering import mean_over_ranks
from figclip.training.gradients import cut_gradients
from figclip.training.loss import clip_loss, siglip_loss

Precision = Literal["fp32", "bf16", "fp16", "fp8"]
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp8": torch.bfloat16}
"""What the towers compute in; under `fp8` that is what the linear layers leave."""


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
    """All but `fp32` run the towers in autocast; the loss is float32 in any."""
    micro_batch_size: int | None = None
    """Images of a rank that go through the towers at once in training; None: all."""

    def __call__(self, model: nn.Module, batch: Batch) -> Features:
        """Image features, text features, inverse temperature; the batch lies by the model."""
        with self.autocast(batch.pixels.device):
            features: Features = model(normalise(batch.pixels, self.pixels), batch.ids, batch.mask)
        return features

    def autocast(self, device: torch.device) -> torch.autocast:
        dtype = AUTOCAST.get(self.precision)
        return torch.autocast(device.type, dtype, enabled=dtype is not None)

    def micro_batches(self, batch: Batch) -> list[Batch]:
        n = self.micro_batch_size or len(batch.pixels)
        parts = zip(
            batch.pixels.split(n),
            batch.ids.split(n * batch.texts_per_image),
            batch.mask.split(n * batch.texts_per_image),
            strict=True,
        )
        return [replace(batch, pixels=pixels, ids=ids, mask=mask) for pixels, ids, mask in parts]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Bytes, not floats, and without the columns that are padding in every row."""
    length = int(batch.mask.sum(dim=1).max())
    pixels, ids, mask = (
        tensor.to(device, non_blocking=True)
        for tensor in (batch.pixels, batch.ids[:, :length], batch.mask[:, :length])
    )
    return replace(batch, pixels=pixels, ids=ids, mask=mask)


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    batch: Batch,
    forward: Forward,
    *,
    rng_seed: int,
    max_grad_norm: float | None = None,
    scaler: GradScaler | None = None,
) -> StepMetrics:
    """Forward, loss over all ranks, backward, update; every rank must call it.

    `model` is a `Clip`, bare or as `figclip.training.parallel.place` leaves it. `rng_seed` decides
    all dropout of the step, so that a resumed run draws what the uninterrupted one drew. `scaler`
    is for `fp16`: a step whose gradients are not finite changes nothing but the scale.
    """
    clip = unwrapped(model)
    optimizer.zero_grad(set_to_none=True)
    parts = forward.micro_batches(to_device(batch, clip.logit_scale.device))
    scaled = scaler.scale if scaler else _as_it_is
    loss = _backward(model, parts, forward, rng_seed=rng_seed, scaled=scaled)
    if scaler:
        scaler.unscale_(optimizer)
    grad_norm = cut_gradients(model.parameters(), max_grad_norm)
    if scaler:
        scaler.step(optimizer)
        scaler.update()
    else:
        optimizer.step()
    clip.clamp_scale()
    return StepMetrics(mean_over_ranks(loss), grad_norm, clip.logit_scale.detach().exp())


def _backward(
    model: nn.Module,
    parts: list[Batch],
    forward: Forward,
    *,
    rng_seed: int,
    scaled: Callable[[Tensor], Tensor],
) -> Tensor:
    """Gradients of the parameters; the loss."""

    def encode(part: int) -> Features:
        return forward(model, parts[part])

    loss_of = _loss_of(parts)
    if len(parts) == 1:
        torch.manual_seed(rng_seed)
        loss = loss_of(encode(0))
        scaled(loss).backward()
        return loss.detach()
    return cached_backward(
        encode,
        loss_of,
        num_parts=len(parts),
        rng_seed=rng_seed,
        unsynced=model.no_sync if isinstance(model, DistributedDataParallel) else nullcontext,
        scaled=scaled,
    )


def _loss_of(parts: list[Batch]) -> Callable[[Features], Tensor]:
    """A model with a bias learns by SigLIP's loss, any other by InfoNCE."""
    # Whether texts may be absent every rank must say alike: it decides what travels between them.
    masks = [part.mask for part in parts] if parts[0].texts_per_image > 1 else []
    present = torch.cat([mask.any(dim=1) for mask in masks]) if masks else None

    def loss_of(features: Features) -> Tensor:
        image, text, scale, *bias = features
        if bias:
            return siglip_loss(image, text, scale, *bias, present=present)
        return clip_loss(image, text, scale, present=present)

    return loss_of


def _as_it_is(loss: Tensor) -> Tensor:
    return loss


@torch.no_grad()
def embed_batch(model: nn.Module, batch: Batch, forward: Forward) -> tuple[np.ndarray, np.ndarray]:
    """Image and text embeddings, float32 [n, dim] each, as the model stands; it is in eval mode."""
    clip = unwrapped(model)
    image, text, *_ = forward(clip, to_device(batch, clip.logit_scale.device))
    return image.float().cpu().numpy(), text.float().cpu().numpy()


def step_seed(seed: int, *, step: int, rank: int) -> int:
    """A seed of its own for every step of every rank of every run."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])


def unwrapped(model: nn.Module) -> Clip:
    found = getattr(model, "module", model)
    assert isinstance(found, Clip)
    return found
