"""What is found out about the validation pairs, once every rank has embedded its part."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float
from torch.nn import functional as F

from figclip.training.gathering import num_ranks, rank

Embedded = tuple[np.ndarray, np.ndarray]
"""Image and text embeddings of some pairs."""

MOST_AT_ONCE = 4_096
"""The validation loss is one of batches of this size at most, however large those of training are:
its logits are held whole."""


def gathered(parts: Sequence[Embedded]) -> Embedded | None:
    """The parts of every rank, in the order of the ranks, laid end to end: on rank 0 alone.

    None elsewhere, and where there are no parts.
    """
    everyone: list[Sequence[Embedded]] = [parts]
    if num_ranks() > 1:
        everyone = [[]] * num_ranks()
        dist.gather_object(parts, everyone if rank() == 0 else None)
        if rank() > 0:
            return None
    together = [part for of_rank in everyone for part in of_rank]
    if not together:
        return None
    images, texts = zip(*together, strict=True)
    return np.concatenate(images), np.concatenate(texts)


def validation_loss(
    images: Float[np.ndarray, "n dim"],
    texts: Float[np.ndarray, "n dim"],
    *,
    scale: float,
    batch_size: int,
) -> float:
    """The training loss of the pairs in batches of `batch_size`, at most `MOST_AT_ONCE`, in order.

    A last batch that is smaller, and so easier, counts only where it is the only one.
    """
    size = min(batch_size, len(images), MOST_AT_ONCE)
    losses = []
    for start in range(0, len(images) - size + 1, size):
        image = torch.from_numpy(images[start : start + size])
        text = torch.from_numpy(texts[start : start + size])
        logits, pairs = scale * image @ text.T, torch.arange(size)
        losses += [F.cross_entropy(logits, pairs), F.cross_entropy(logits.T, pairs)]
    return float(torch.stack(losses).double().mean())
