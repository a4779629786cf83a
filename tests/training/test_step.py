"""One step, one evaluation pass, and the state that a resumed run starts from."""

import copy
import math

import numpy as np
import pytest
import torch
from small_clip import PIXELS, noise, small_clip
from torch.nn import functional as F

from figclip.inputs.pixels import PixelConfig, normalise
from figclip.inputs.reader import Batch
from figclip.models.clip import BIOMEDCLIP, Clip
from figclip.training.optim import OptimConfig, build_optimizer
from figclip.training.step import Forward, StepMetrics, embed_batch, step_seed, train_step

FORWARD = Forward(PIXELS, "fp32")


def steps(
    model: Clip, optimizer: torch.optim.Optimizer, numbers: range, forward: Forward = FORWARD
) -> list[StepMetrics]:
    return [train_step(model, optimizer, noise(8, seed=i), forward, rng_seed=i) for i in numbers]


def optimizer_of(model: Clip) -> torch.optim.Optimizer:
    return build_optimizer(model, OptimConfig(lr=1e-3))


def is_equal(a: Clip, b: Clip) -> bool:
    states = a.state_dict(), b.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_repeating_a_batch_lowers_its_loss(precision):
    model = small_clip(patch_dropout=0.0)
    optimizer = optimizer_of(model)
    forward = Forward(PIXELS, precision)
    losses = [train_step(model, optimizer, noise(8), forward, rng_seed=i).loss for i in range(30)]
    assert losses[0].dtype == torch.float32
    assert losses[-1] < losses[0] / 2


def test_the_loss_of_a_step_is_that_of_the_bare_towers():
    model = small_clip(patch_dropout=0.0).eval()  # no dropout either
    batch = noise(8)
    with torch.no_grad():
        image = model.encode_image(normalise(batch.pixels, PIXELS))
        text = model.encode_text(batch.ids, batch.mask)
        logits = image @ text.T / 0.07
        pairs = torch.arange(8)
        expected = (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2
    found = train_step(model, optimizer_of(model), batch, FORWARD, rng_seed=0)
    torch.testing.assert_close(found.loss, expected)


def test_dropout_follows_the_seed_of_the_step_and_nothing_before_it():
    def one_step(*, num_drawn: int, seed: int) -> Clip:
        model = small_clip()
        torch.randn(num_drawn)
        train_step(model, optimizer_of(model), noise(8), FORWARD, rng_seed=seed)
        return model

    assert is_equal(one_step(num_drawn=1, seed=3), one_step(num_drawn=1000, seed=3))
    assert not is_equal(one_step(num_drawn=1, seed=3), one_step(num_drawn=1, seed=4))


def test_seeds_of_steps_and_ranks_differ():
    seeds = {step_seed(0, step=step, rank=rank) for step in range(100) for rank in range(8)}
    assert len(seeds) == 800


def test_gradient_checkpointing_changes_no_weight():
    plain, saving = small_clip(), small_clip(gradient_checkpointing=True)
    for model in (plain, saving):
        steps(model, optimizer_of(model), range(2))
    assert is_equal(plain, saving)


def test_the_temperature_stays_within_its_bounds():
    model = small_clip()
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    metrics = steps(model, optimizer_of(model), range(1))
    assert metrics[0].scale.item() == pytest.approx(100)
    assert model.logit_scale.item() == pytest.approx(math.log(100))


def test_long_gradients_are_cut_and_reported_uncut():
    gentle, rough = small_clip(), small_clip()
    for model, limit in ((gentle, 1e-6), (rough, None)):
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        before = copy.deepcopy(model.state_dict())
        found = train_step(model, optimizer, noise(8), FORWARD, rng_seed=0, max_grad_norm=limit)
        squares = [(model.state_dict()[k] - before[k]).square().sum() for k in before]
        moved = torch.stack(squares).sum().sqrt()
        assert found.grad_norm > 1e-3
        assert moved.item() == pytest.approx(limit or found.grad_norm.item(), rel=0.05)


def test_evaluation_neither_trains_nor_depends_on_its_company():
    model = small_clip().eval()
    before = copy.deepcopy(model)
    batch = noise(8)
    images, texts = embed_batch(model, batch, FORWARD)
    one = Batch(batch.pixels[2:3], batch.ids[2:3], batch.mask[2:3])
    image, text = embed_batch(model, one, FORWARD)
    np.testing.assert_allclose(image[0], images[2], atol=1e-5)
    np.testing.assert_allclose(text[0], texts[2], atol=1e-5)
    assert images.dtype == np.float32
    assert is_equal(model, before)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_biomedclip_itself_takes_a_step():
    """ViT-B/16 at 224 px and BERT-base with 256 tokens, with both memory savers; 3.5 GB."""
    config = BIOMEDCLIP.with_overrides(
        {
            "vision.gradient_checkpointing": True,
            "text.gradient_checkpointing": True,
            "vision.patch_dropout": 0.5,
        }
    )
    model = Clip(config)
    before = model.text.proj[0].weight.detach().clone()
    generator = torch.Generator().manual_seed(0)
    batch = Batch(
        pixels=torch.randint(0, 256, (2, 3, 224, 224), generator=generator, dtype=torch.uint8),
        ids=torch.randint(1, 30_522, (2, 256), generator=generator),
        mask=torch.ones(2, 256, dtype=torch.bool),
    )
    forward = Forward(PixelConfig(), "bf16")
    found = train_step(model, build_optimizer(model, OptimConfig()), batch, forward, rng_seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 195_902_721
    assert found.loss.isfinite()
    assert not torch.equal(model.text.proj[0].weight, before)
