"""Contrastive losses, exact over all ranks: gradients equal those of one process with all pairs.

Both are walked in tiles (`figclip.training.tiled`), so a rank holds the features of all texts and
a tile of logits, never a matrix of `batch x batch`. Only the texts travel: a rank's images meet the
texts of all ranks, and of a text's log-sum-exp over all images each rank knows a part.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from figclip.training.gathering import gather_flags, gather_rows, num_ranks, rank
from figclip.training.tiled import (
    CPU_ROWS,
    GPU_ROWS,
    KEPT_LOGITS,
    InfoNCE,
    SigLIP,
    Tiling,
    Weights,
)


def clip_loss(
    image: Float[Tensor, "batch dim"],
    text: Float[Tensor, "texts dim"],
    scale: Float[Tensor, ""],
    *,
    present: Bool[Tensor, "texts"] | None = None,
    tile_rows: int | None = None,
    num_kept: int = KEPT_LOGITS,
) -> Float[Tensor, ""]:
    """InfoNCE: each image must find its texts, and each text its image, among those of every rank.

    `image` and `text` are this rank's unit vectors. There are k texts an image: rows i*k to
    i*k+k-1 of `text` are those of image i, and where `present` is false there is no text. Every
    rank holds the same number of rows. `scale` is the inverse temperature; at least one text is
    present. Of an image it is the
    mean of -log p over its texts, p being the softmax over all texts (equation 2 of SupCon,
    https://arxiv.org/abs/2004.11362), and then the mean over the images that have a text; of a text
    it is -log p of its image among all images, and then the mean over the texts; the loss is the
    mean of both. With one text an image that is figure 3 of CLIP, https://arxiv.org/abs/2103.00020.

    The mean of the value over the ranks is the loss of the whole batch, and gradients averaged
    over the ranks (as DDP does) are its gradients, also that of `scale`. Every rank must multiply
    the value by the same number, if by any.

    Logits are float32 even inside autocast: at scale 100 a bfloat16 logit is off by 0.2.
    `tile_rows` images and twice as many texts make a tile, which depends on the device if unset;
    `num_kept` logits at most stay in memory between forward and backward.
    """
    with torch.autocast(image.device.type, enabled=False):
        image, text, scale = (_at_least_float32(x) for x in (image, text, scale))
        texts = _texts_of_all_ranks(text, present, num_images=len(image))
        tiling = Tiling(tile_rows or _tile_rows(image), num_kept if torch.is_grad_enabled() else 0)
        weights = _weights(texts, image)
        loss: Tensor = InfoNCE.apply(image, texts.features, scale, texts.owner, weights, tiling)
        return loss


def siglip_loss(
    image: Float[Tensor, "batch dim"],
    text: Float[Tensor, "texts dim"],
    scale: Float[Tensor, ""],
    bias: Float[Tensor, ""],
    *,
    present: Bool[Tensor, "texts"] | None = None,
    tile_rows: int | None = None,
) -> Float[Tensor, ""]:
    """Each pair of an image and a text is told by itself whether it is one: Algorithm 1 of SigLIP.

    https://arxiv.org/abs/2303.15343: the sum of -log sigmoid(z (scale x y + bias)) over all images
    and texts of every rank, where z is 1 for a text and its own image and else -1, by the number
    of images. Arguments, precision and gradients are as in `clip_loss`; a text that is not present
    is in no pair.
    """
    with torch.autocast(image.device.type, enabled=False):
        image, text, scale, bias = (_at_least_float32(x) for x in (image, text, scale, bias))
        texts = _texts_of_all_ranks(text, present, num_images=len(image))
        features = (image, texts.features, scale, bias)
        with_gradients = torch.is_grad_enabled() and any(x.requires_grad for x in features)
        tiling = Tiling(tile_rows or _tile_rows(image), num_kept=0)
        loss: Tensor = SigLIP.apply(*features, texts.owner, tiling, with_gradients)
        return loss


@dataclass(frozen=True)
class _Texts:
    """Those that are present, of all ranks."""

    features: Float[Tensor, "present dim"]
    owner: Int[Tensor, "present"]
    """The text's image, counted from this rank's first one."""


def _texts_of_all_ranks(text: Tensor, present: Tensor | None, *, num_images: int) -> _Texts:
    if len(text) % num_images:
        raise ValueError(f"{len(text)} texts are no whole number for each of {num_images} images")
    features = gather_rows(text)
    texts_per_image = len(text) // num_images
    owner = torch.arange(len(features), device=text.device) // texts_per_image
    owner -= rank() * num_images
    if present is None:
        return _Texts(features, owner)
    there = gather_flags(present).nonzero().squeeze(1)
    return _Texts(features[there], owner[there])


def _weights(texts: _Texts, image: Float[Tensor, "batch dim"]) -> Weights:
    """So that the mean over the ranks is half the mean over images and half that over texts."""
    num_images, first = len(image), rank() * len(image)
    num_texts = torch.bincount(texts.owner + first, minlength=num_ranks() * num_images)
    num_rows = (num_texts > 0).sum()
    own_texts = num_texts[first : first + num_images]
    row = (own_texts > 0).double() * num_ranks() / (2 * num_rows)
    column = num_ranks() / (2 * len(texts.owner))
    is_mine = (texts.owner >= 0) & (texts.owner < num_images)
    own = texts.owner.clamp(0, num_images - 1)
    positive = row[own] / own_texts[own].clamp(min=1) + column
    return Weights(row, column, torch.where(is_mine, positive, 0))


def _tile_rows(features: Tensor) -> int:
    return GPU_ROWS if features.is_cuda else CPU_ROWS


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
