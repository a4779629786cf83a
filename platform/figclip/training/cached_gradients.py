"""A batch larger than memory, exactly: the loss sees all features, the towers a part at a time.

GradCache (Gao et al. 2021, https://arxiv.org/abs/2101.06983, section 3): encode every part without
a graph, take the loss of all features together and its gradients with respect to them, then encode
every part once more and send those gradients through it. Each part draws its dropout by a seed of
its own, so that both passes drop the same: the result is that of the whole batch under those masks.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

Features = tuple[Tensor, ...]
"""Image features, text features, and the scalars that the loss takes besides."""
Encode = Callable[[int], Features]
"""The features of the part of that number."""


def cached_backward(
    encode: Encode,
    loss_of: Callable[[Features], Tensor],
    *,
    num_parts: int,
    rng_seed: int,
    unsynced: Callable[[], AbstractContextManager[None]] = nullcontext,
    scaled: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> Tensor:
    """Add the gradients of `scaled(loss)` to the parameters behind `encode`, and return the loss.

    `encode` is called twice for every part, and must differ in nothing but what it draws. Each
    backward pass but the last is surrounded by `unsynced`, for DDP to add up in the last one alone.
    """
    with torch.no_grad():
        cached = [_encoded(encode, i, rng_seed) for i in range(num_parts)]
    features = _joined(cached)
    loss = loss_of(features)
    scaled(loss).backward()
    gradients = _of_parts(features, [len(image) for image, *_ in cached])
    for i, of_part in enumerate(gradients):
        is_last = i == num_parts - 1
        with nullcontext() if is_last else unsynced():
            _send(of_part, _encoded(encode, i, rng_seed), with_scalars=is_last)
    return loss.detach()


def part_seed(rng_seed: int, part: int) -> int:
    """The first part draws as an undivided batch would."""
    if part == 0:
        return rng_seed
    return int(np.random.SeedSequence([rng_seed, part]).generate_state(1, np.uint64)[0])


def _encoded(encode: Encode, part: int, rng_seed: int) -> Features:
    torch.manual_seed(part_seed(rng_seed, part))  # of the CPU and of every GPU
    return encode(part)


def _joined(parts: list[Features]) -> Features:
    """Leaves of the loss: the rows of all parts; the scalars are the same in every part."""
    images, texts, *scalars = zip(*parts, strict=True)
    leaves = [torch.cat(images), torch.cat(texts), *(values[0].clone() for values in scalars)]
    return tuple(leaf.requires_grad_() for leaf in leaves)


def _of_parts(features: Features, num_images: list[int]) -> list[Features]:
    """The gradients in `features`, cut into parts; those of the scalars go with every part."""
    image, text, *scalars = (leaf.grad for leaf in features if leaf.grad is not None)
    texts_per_image = len(text) // len(image)
    num_texts = [n * texts_per_image for n in num_images]
    cut = zip(image.split(num_images), text.split(num_texts), strict=True)
    return [(*rows, *scalars) for rows in cut]


def _send(gradients: Features, features: Features, *, with_scalars: bool) -> None:
    """The scalars' gradients are of the whole batch: one part sends them on, or they would count
    once a part. What comes from a locked tower takes none."""
    num = len(features) if with_scalars else 2
    pairs = zip(features[:num], gradients[:num], strict=True)
    learning = [(feature, gradient) for feature, gradient in pairs if feature.requires_grad]
    torch.autograd.backward(*zip(*learning, strict=True))
