"""What the ranks of a run tell one another; with one rank nothing is sent."""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float64
from torch import Tensor

T = TypeVar("T")


def num_ranks() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def mean_over_ranks(value: Tensor) -> Tensor:
    """A detached copy, averaged over the ranks; every rank must call it."""
    value = value.detach().clone()
    if num_ranks() > 1:
        dist.all_reduce(value)
        value /= num_ranks()
    return value


def of_all_ranks(part: T) -> list[T]:
    """What every rank has, in the order of the ranks; every rank must call it."""
    if num_ranks() == 1:
        return [part]
    everyone = [part] * num_ranks()
    dist.all_gather_object(everyone, part)
    return everyone


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all ranks, in the order of the ranks; a row's gradient comes from all of them.

    Every rank must hold the same number of rows, and every rank must call it, backward too.
    """
    return _GatherRows.apply(rows) if num_ranks() > 1 else rows


def gather_flags(flags: Bool[Tensor, "flags"]) -> Bool[Tensor, "all_flags"]:
    """Flags of all ranks, in the order of the ranks; every rank holds the same number."""
    return _gathered(flags.byte()).bool() if num_ranks() > 1 else flags


def logsumexp_over_ranks(value: Float64[Tensor, "columns"]) -> Float64[Tensor, "columns"]:
    """Number by number, of finite values; every rank must call it."""
    if num_ranks() == 1:
        return value
    most = value.clone()
    dist.all_reduce(most, dist.ReduceOp.MAX)
    total = (value - most).exp_()
    dist.all_reduce(total)
    return total.log_().add_(most)


def _gathered(rows: Tensor) -> Tensor:
    parts = [torch.empty_like(rows) for _ in range(num_ranks())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return _gathered(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        parts = [part.contiguous() for part in gradients[0].chunk(num_ranks())]
        own = torch.empty_like(parts[0])
        dist.reduce_scatter(own, parts)
        return own
