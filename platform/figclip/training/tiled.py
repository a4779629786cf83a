"""Losses over all pairs of an image and a text that never hold all of their logits.

The matrix of logits is walked in tiles. A tile serves both directions: of each, a log-sum-exp is
carried along (as in FlashAttention, https://arxiv.org/abs/2205.14135, section 3.1), and backward
the tile is made again, to give its part of every gradient. So memory grows with the batch and not
with its square (Inf-CL, https://arxiv.org/abs/2410.17243, has this for GPUs), and there are four
matrix products where two cross-entropies have six.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from figclip.training.gathering import logsumexp_over_ranks

CPU_ROWS = 512
"""With twice as many columns, what is made of a tile stays in a processor's cache."""

GPU_ROWS = 4_096
"""With twice as many columns, 128 MiB: enough work for a GPU at a time."""

KEPT_LOGITS = 2**26
"""So many of a forward pass wait for its backward pass, which makes the rest again."""


@dataclass(frozen=True)
class Tile:
    rows: slice
    """Images."""
    columns: slice
    """Texts."""

    def own(self, owner: Int[Tensor, "texts"]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """For each column a place (row, column), and whether that is a text with its own image.

        Where the text's image is not among the rows, the place stands for nothing. So the device
        is never asked how many there are, for which it would have to wait.
        """
        num_rows = self.rows.stop - self.rows.start
        row = owner[self.columns] - self.rows.start
        is_own = (row >= 0) & (row < num_rows)
        return (row.clamp_(0, num_rows - 1), torch.arange(len(row), device=row.device)), is_own


@dataclass(frozen=True)
class Tiling:
    num_rows: int
    """Images of a tile, which has twice as many texts; the last ones are smaller."""
    num_kept: int
    """Logits that may be kept for the backward pass."""

    def __call__(self, num_images: int, num_texts: int) -> Iterator[Tile]:
        for columns in _slices(num_texts, 2 * self.num_rows):
            for rows in _slices(num_images, self.num_rows):
                yield Tile(rows, columns)


def _slices(num: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, num)) for start in range(0, num, step))


@dataclass(frozen=True)
class Weights:
    """What each term of InfoNCE counts."""

    row: Float64[Tensor, "images"]
    """Of the log-sum-exp over all texts."""
    column: float
    """Of the log-sum-exp over all images."""
    positive: Float64[Tensor, "texts"]
    """Of the logit of a text and its image; 0 where the image is another rank's."""


class InfoNCE(torch.autograd.Function):
    """`sum(row weight x row lse) + sum(column weight x own column lse) - positives`.

    Rows are this rank's images [n, dim], columns the texts [m, dim] of all ranks; `owner[j]` is the
    row of text j, and out of range where its image is another rank's. The log-sum-exp of a column
    is over the images of all ranks. The gradients are those of the sum over the ranks, of which
    each must be handed the same gradient of its value.
    """

    @staticmethod
    def forward(
        ctx: Any,
        image: Tensor,
        text: Tensor,
        scale: Tensor,
        owner: Tensor,
        weights: Weights,
        tiling: Tiling,
    ) -> Tensor:
        by_row, by_column = (image.new_full((len(x),), -math.inf).double() for x in (image, text))
        positive = text.new_zeros(len(text))
        kept: dict[int, Tensor] = {}
        room = tiling.num_kept
        for number, tile in enumerate(tiling(len(image), len(text))):
            logits = _logits(image, text, scale, tile)
            _carry(by_row[tile.rows], logits, dim=1)
            _carry(by_column[tile.columns], logits, dim=0)
            place, is_own = tile.own(owner)
            positive[tile.columns] += torch.where(is_own, logits[place], 0)
            if logits.numel() <= room:
                kept[number], room = logits, room - logits.numel()
        by_column = logsumexp_over_ranks(by_column)
        ctx.save_for_backward(image, text, scale, owner, by_row, by_column)
        ctx.weights, ctx.tiling, ctx.kept = weights, tiling, kept
        is_mine = (owner >= 0) & (owner < len(image))
        value = (weights.row * by_row).sum() - (weights.positive * positive.double()).sum()
        return (value + weights.column * by_column[is_mine].sum()).to(image.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        image, text, scale, owner, by_row, by_column = ctx.saved_tensors
        row_lse, row_rest = _in_two(by_row[:, None], image.dtype)
        column_lse, column_rest = _in_two(by_column, image.dtype)
        row_weight = ctx.weights.row[:, None].to(image.dtype)
        positive_weight = ctx.weights.positive.to(image.dtype)
        image_grad, text_grad = torch.zeros_like(image), torch.zeros_like(text)
        for number, tile in enumerate(ctx.tiling(len(image), len(text))):
            rows, columns = tile.rows, tile.columns
            logits = ctx.kept.pop(number, None)  # is overwritten: a second pass makes it again
            if logits is None:
                logits = _logits(image, text, scale, tile)
            grad = (logits - row_lse[rows]).sub_(row_rest[rows]).exp_().mul_(row_weight[rows])
            logits.sub_(column_lse[columns]).sub_(column_rest[columns]).exp_()
            grad.add_(logits, alpha=ctx.weights.column)
            place, is_own = tile.own(owner)
            grad[place] -= torch.where(is_own, positive_weight[columns], 0)
            image_grad[rows].addmm_(grad, text[columns])
            text_grad[columns].addmm_(grad.T, image[rows])
        scale_grad = (image_grad * image).sum(dtype=torch.float64).to(image.dtype)
        found = image_grad.mul_(scale), text_grad.mul_(scale), scale_grad
        return *(grad.mul_(gradients[0]) for grad in found), None, None, None


class SigLIP(torch.autograd.Function):
    """`-sum(log sigmoid(z (scale x y + bias))) / n`: z is 1 for a text and its image, else -1.

    Rows, columns and owners as in `InfoNCE`. No term waits for another, so the gradients come out
    of the forward pass, which is told whether they are wanted.
    """

    @staticmethod
    def forward(
        ctx: Any,
        image: Tensor,
        text: Tensor,
        scale: Tensor,
        bias: Tensor,
        owner: Tensor,
        tiling: Tiling,
        with_gradients: bool,
    ) -> Tensor:
        value = image.new_zeros(()).double()
        image_grad, text_grad = torch.zeros_like(image), torch.zeros_like(text)
        bias_grad = torch.zeros_like(value)
        for tile in tiling(len(image), len(text)):
            rows, columns = tile.rows, tile.columns
            agreement = _logits(image, text, scale, tile).add_(bias).neg_()
            place, is_own = tile.own(owner)
            sign = torch.where(is_own, -1, 1).to(image.dtype)
            agreement[place] *= sign
            value -= F.logsigmoid(agreement).sum(dtype=torch.float64)
            if with_gradients:
                grad = agreement.neg_().sigmoid_()
                grad[place] *= sign
                image_grad[rows].addmm_(grad, text[columns])
                text_grad[columns].addmm_(grad.T, image[rows])
                bias_grad += grad.sum(dtype=torch.float64)
        scale_grad = (image_grad * image).sum(dtype=torch.float64)
        found = (image_grad.mul_(scale), text_grad.mul_(scale), scale_grad, bias_grad)
        ctx.save_for_backward(*(grad.div_(len(image)).to(image.dtype) for grad in found))
        return (value / len(image)).to(image.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * gradients[0] for grad in ctx.saved_tensors), None, None, None


def _logits(image: Tensor, text: Tensor, scale: Tensor, tile: Tile) -> Tensor:
    return (image[tile.rows] * scale) @ text[tile.columns].T


def _in_two(lse: Float64[Tensor, "..."], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The number in so many bits, and what they lack of it.

    At scale 100 the rounding of a float32 lse is larger than what p lacks to 1 where a pair has
    found itself, and that is all that such a pair's gradient is made of.
    """
    rounded = lse.to(dtype)
    return rounded, (lse - rounded).to(dtype)


def _carry(
    sofar: Float64[Tensor, "lines"], logits: Float[Tensor, "rows columns"], dim: int
) -> None:
    """Take the logits into the log-sum-exp so far, in place.

    It is carried in float64, so that many tiles add no rounding of their own. `torch.logsumexp`
    does the same to a tile in several times as long, for the sake of infinities.
    """
    most = logits.amax(dim, keepdim=True)
    total = (logits - most).exp_().sum(dim).double().log_()
    torch.logaddexp(sofar, total + most.squeeze(dim), out=sofar)
