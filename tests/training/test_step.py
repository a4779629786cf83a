"""One step, one evaluation pass, and the state that a resumed run starts from."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from figclip.inputs.pixels import PixelConfig, normalise
from figclip.inputs.reader import Batch
from figclip.models.clip import BIOMEDCLIP, Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.training.optim import OptimConfig, build_optimizer
from figclip.training.step import Forward, StepMetrics, embed_batch, step_seed, train_step

PIXELS = PixelConfig(size=32)
FORWARD = Forward(PIXELS, "fp32")


def model_of(*, patch_dropout: float = 0.5, gradient_checkpointing: bool = False) -> Clip:
    torch.manual_seed(0)
    vision = VisionConfig(
        timm_model="vit_tiny_patch16_224",
        image_size=32,
        width=32,
        depth=2,
        heads=2,
        patch_dropout=patch_dropout,
        gradient_checkpointing=gradient_checkpointing,
    )
    text = TextConfig(
        vocab_size=50,
        hidden_size=32,
        layers=2,
        heads=2,
        intermediate_size=64,
        max_positions=16,
        context_length=12,
        gradient_checkpointing=gradient_checkpointing,
    )
    return Clip(ClipConfig(vision=vision, text=text, embed_dim=16))


def batch_of_noise(n: int = 8, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 10, (n, 1), generator=generator)
    return Batch(
        pixels=torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8),
        ids=torch.randint(1, 50, (n, 12), generator=generator),
        mask=torch.arange(12) < lengths,
    )


def steps(
    model: Clip, optimizer: torch.optim.Optimizer, numbers: range, forward: Forward = FORWARD
) -> list[StepMetrics]:
    return [
        train_step(model, optimizer, batch_of_noise(seed=i), forward, rng_seed=i) for i in numbers
    ]


def optimizer_of(model: Clip) -> torch.optim.Optimizer:
    return build_optimizer(model, OptimConfig(lr=1e-3))


def is_equal(a: Clip, b: Clip) -> bool:
    states = a.state_dict(), b.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_repeating_a_batch_lowers_its_loss(precision):
    model = model_of(patch_dropout=0.0)
    optimizer = optimizer_of(model)
    forward = Forward(PIXELS, precision)
    losses = [
        train_step(model, optimizer, batch_of_noise(), forward, rng_seed=i).loss for i in range(30)
    ]
    assert losses[0].dtype == torch.float32
    assert losses[-1] < losses[0] / 2


def test_the_loss_of_a_step_is_that_of_the_bare_towers():
    model = model_of(patch_dropout=0.0).eval()  # no dropout either
    batch = batch_of_noise()
    with torch.no_grad():
        image = model.encode_image(normalise(batch.pixels, PIXELS))
        text = model.encode_text(batch.ids, batch.mask)
        logits = image @ text.T / 0.07
        pairs = torch.arange(8)
        expected = (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2
    found = train_step(model, optimizer_of(model), batch, FORWARD, rng_seed=0)
    torch.testing.assert_close(found.loss, expected)


def test_dropout_follows_the_seed_of_the_step_and_nothing_before_it():
    def one_step(*, noise: int, seed: int) -> Clip:
        model = model_of()
        torch.randn(noise)
        train_step(model, optimizer_of(model), batch_of_noise(), FORWARD, rng_seed=seed)
        return model

    assert is_equal(one_step(noise=1, seed=3), one_step(noise=1000, seed=3))
    assert not is_equal(one_step(noise=1, seed=3), one_step(noise=1, seed=4))


def test_seeds_of_steps_and_ranks_differ():
    seeds = {step_seed(0, step=step, rank=rank) for step in range(100) for rank in range(8)}
    assert len(seeds) == 800


def test_gradient_checkpointing_changes_no_weight():
    plain, saving = model_of(), model_of(gradient_checkpointing=True)
    for model in (plain, saving):
        steps(model, optimizer_of(model), range(2))
    assert is_equal(plain, saving)


def test_the_temperature_stays_within_its_bounds():
    model = model_of()
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    metrics = steps(model, optimizer_of(model), range(1))
    assert metrics[0].scale.item() == pytest.approx(100)
    assert model.logit_scale.item() == pytest.approx(math.log(100))


def test_long_gradients_are_cut_and_reported_uncut():
    gentle, rough = model_of(), model_of()
    for model, limit in ((gentle, 1e-6), (rough, None)):
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        before = copy.deepcopy(model.state_dict())
        found = train_step(
            model, optimizer, batch_of_noise(), FORWARD, rng_seed=0, max_grad_norm=limit
        )
        squares = [(model.state_dict()[k] - before[k]).square().sum() for k in before]
        moved = torch.stack(squares).sum().sqrt()
        assert found.grad_norm > 1e-3
        assert moved.item() == pytest.approx(limit or found.grad_norm.item(), rel=0.05)


def test_evaluation_neither_trains_nor_depends_on_its_company():
    model = model_of().eval()
    before = copy.deepcopy(model)
    batch = batch_of_noise()
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
    noise = torch.Generator().manual_seed(0)
    batch = Batch(
        pixels=torch.randint(0, 256, (2, 3, 224, 224), generator=noise, dtype=torch.uint8),
        ids=torch.randint(1, 30_522, (2, 256), generator=noise),
        mask=torch.ones(2, 256, dtype=torch.bool),
    )
    forward = Forward(PixelConfig(), "bf16")
    found = train_step(model, build_optimizer(model, OptimConfig()), batch, forward, rng_seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 195_902_721
    assert found.loss.isfinite()
    assert not torch.equal(model.text.proj[0].weight, before)
