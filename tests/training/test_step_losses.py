"""Which loss a step takes: by the model's bias, and over the texts that are there."""

import math

import pytest
import torch
from small_clip import PIXELS, small_clip
from torch import Tensor
from torch.nn import functional as F

from figclip.inputs.pixels import normalise
from figclip.inputs.reader import Batch
from figclip.models.clip import Clip
from figclip.training.optim import OptimConfig, build_optimizer
from figclip.training.step import Forward, train_step

NUM_IMAGES, PER_IMAGE = 6, 3


def model_with(bias: float | None) -> Clip:
    return small_clip(dropout=0.0, patch_dropout=0.0, initial_bias=bias)


def batch_with_gaps() -> Batch:
    """Image i has the first 1 + i % 3 of its three texts."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(3, 10, (NUM_IMAGES, PER_IMAGE), generator=generator)
    for image in range(NUM_IMAGES):
        lengths[image, 1 + image % 3 :] = 0
    return Batch(
        pixels=torch.randint(0, 256, (NUM_IMAGES, 3, 32, 32), generator=generator).byte(),
        ids=torch.randint(1, 50, (NUM_IMAGES * PER_IMAGE, 12), generator=generator),
        mask=torch.arange(12) < lengths.reshape(-1, 1),
        texts_per_image=PER_IMAGE,
    )


def plain_loss(model: Clip, batch: Batch) -> Tensor:
    """From the definitions, text by text; those that are absent are never looked at."""
    there = [row for row in range(len(batch.ids)) if batch.mask[row].any()]
    image = model.encode_image(normalise(batch.pixels, PIXELS))
    text = model.encode_text(batch.ids[there], batch.mask[there])
    logits = model.logit_scale.exp() * image @ text.T
    owners = [row // PER_IMAGE for row in there]
    if model.logit_bias is not None:
        signs = -torch.ones_like(logits)
        signs[owners, range(len(there))] = 1
        return -F.logsigmoid(signs * (logits + model.logit_bias)).sum() / NUM_IMAGES
    of_images, of_texts = logits.log_softmax(dim=1), logits.log_softmax(dim=0)
    by_image = [
        -torch.stack([of_images[i, t] for t, owner in enumerate(owners) if owner == i]).mean()
        for i in range(NUM_IMAGES)
    ]
    by_text = [-of_texts[owner, t] for t, owner in enumerate(owners)]
    return (torch.stack(by_image).mean() + torch.stack(by_text).mean()) / 2


@pytest.mark.parametrize("bias", [None, -5.0])
@pytest.mark.parametrize("micro_batch_size", [None, 2])
def test_a_step_over_several_texts_an_image_is_that_of_the_definition(bias, micro_batch_size):
    judge, model, batch = model_with(bias), model_with(bias), batch_with_gaps()
    expected = plain_loss(judge, batch)
    expected.backward()
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in judge.parameters()))
    optimizer = build_optimizer(model, OptimConfig(lr=1e-3))
    forward = Forward(PIXELS, "fp32", micro_batch_size=micro_batch_size)
    metrics = train_step(model, optimizer, batch, forward, rng_seed=0)
    assert metrics.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert metrics.grad_norm.item() == pytest.approx(norm, rel=1e-4)
    for ours, theirs in zip(model.parameters(), judge.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)
