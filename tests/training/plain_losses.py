"""The losses as they are written in the papers: whole matrices, torch's own cross-entropy."""

import torch
from torch import Tensor
from torch.nn import functional as F


def unit_vectors(n: int, dim: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    noise = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return F.normalize(noise, dim=-1)


def scalar(value: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(value, dtype=dtype)


def plain_clip_loss(
    image: Tensor, text: Tensor, scale: Tensor, present: Tensor | None = None
) -> Tensor:
    """Means over images and over texts, of all that are there."""
    owner = torch.arange(len(text)) // (len(text) // len(image))
    if present is None and len(text) == len(image):
        logits = scale * image @ text.T
        return (F.cross_entropy(logits, owner) + F.cross_entropy(logits.T, owner)) / 2
    if present is not None:
        text, owner = text[present], owner[present]
    log_p = F.log_softmax(scale * image @ text.T, dim=1)
    by_image = [-log_p[i, owner == i].mean() for i in range(len(image)) if (owner == i).any()]
    by_text = F.cross_entropy(scale * text @ image.T, owner)
    return (torch.stack(by_image).mean() + by_text) / 2


def plain_siglip_loss(
    image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, present: Tensor | None = None
) -> Tensor:
    owner = torch.arange(len(text)) // (len(text) // len(image))
    if present is not None:
        text, owner = text[present], owner[present]
    labels = 2.0 * (owner == torch.arange(len(image))[:, None]) - 1
    return -F.logsigmoid(labels * (scale * image @ text.T + bias)).sum() / len(image)
