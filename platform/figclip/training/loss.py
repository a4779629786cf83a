"""Symmetric InfoNCE, exact over all ranks: gradients equal those of one process with all pairs."""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def clip_loss(
    image: Float[Tensor, "batch dim"],
    text: Float[Tensor, "batch dim"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """Each image must find its caption, and each caption its image, among those of every rank.

    `image` and `text` are this rank's unit vectors, row i of one paired with row i of the other;
    every rank holds the same number of rows. `scale` is the inverse temperature. The value is the
    mean over this rank's rows; the mean over the ranks is the loss of the whole batch, and
    gradients averaged over the ranks (as DDP does) are its gradients, also that of `scale`.

    Only local rows meet all columns, so a rank holds `batch x (batch * ranks)` logits each way.
    Logits are float32 even inside autocast: at scale 100 a bfloat16 logit is off by 0.2.
    Figure 3 of CLIP, https://arxiv.org/abs/2103.00020.
    """
    with torch.autocast(image.device.type, enabled=False):
        image, text, scale = (_at_least_float32(x) for x in (image, text, scale))
        pairs = torch.arange(len(image), device=image.device) + _rank() * len(image)
        to_text = scale * (image @ _gather_rows(text).T)
        to_image = scale * (text @ _gather_rows(image).T)
        return (F.cross_entropy(to_text, pairs) + F.cross_entropy(to_image, pairs)) / 2


def mean_over_ranks(value: Tensor) -> Tensor:
    """A detached copy, averaged over the ranks; every rank must call it."""
    value = value.detach().clone()
    if _num_ranks() > 1:
        dist.all_reduce(value)
        value /= _num_ranks()
    return value


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _gather_rows(rows: Tensor) -> Tensor:
    return _GatherRows.apply(rows) if _num_ranks() > 1 else rows


def _num_ranks() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


class _GatherRows(torch.autograd.Function):
    """Rows of all ranks, in the order of the ranks; a row's gradient comes from all of them."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        gathered = [torch.empty_like(rows) for _ in range(_num_ranks())]
        dist.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        parts = [part.contiguous() for part in gradients[0].chunk(_num_ranks())]
        own = torch.empty_like(parts[0])
        dist.reduce_scatter(own, parts)
        return own
