"""Half precision and its scaler, compiled layers, the tail without patch dropout."""

import copy

import pytest
import torch
from small_clip import PIXELS, noise, small_clip
from torch.amp import GradScaler

from figclip.training.optim import OptimConfig, build_optimizer
from figclip.training.parallel import place
from figclip.training.step import Forward, train_step
from figclip.training.step_config import patch_dropout_at

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("part", [None, 4])
def test_float16_steps_are_near_those_of_float32(part):
    models = {precision: small_clip() for precision in ("fp32", "fp16")}
    for precision, model in models.items():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = GradScaler("cpu", init_scale=2.0**8) if precision == "fp16" else None
        forward = Forward(PIXELS, precision, part)
        norms = [
            train_step(
                model, optimizer, noise(8, seed=step), forward, rng_seed=step, scaler=scaler
            ).grad_norm
            for step in range(3)
        ]
        models[precision] = torch.stack(norms)
    torch.testing.assert_close(models["fp16"], models["fp32"], rtol=0.02, atol=0)


def test_a_float16_step_that_overflows_changes_the_scale_alone():
    model = small_clip()
    optimizer, scaler = build_optimizer(model, OptimConfig()), GradScaler("cpu", init_scale=2.0**40)
    before = copy.deepcopy(model.state_dict())
    forward = Forward(PIXELS, "fp16")
    found = train_step(model, optimizer, noise(8), forward, rng_seed=0, scaler=scaler)
    assert not found.grad_norm.isfinite()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert scaler.state_dict()["scale"] == 2.0**39


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compiled_layers_take_the_same_steps():
    """With batches of several lengths, so that no length may be compiled in."""
    norms = []
    for compiled in (False, True):
        model = place(small_clip(dropout=0.0, patch_dropout=0.0), CPU, is_compiled=compiled)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        forward = Forward(PIXELS, "fp32")
        norms.append(
            torch.stack(
                [
                    train_step(model, optimizer, noise(8, seed=s), forward, rng_seed=s).grad_norm
                    for s in range(3)
                ]
            )
        )
        assert "visual.trunk.blocks.0.attn.qkv.weight" in model.state_dict()
    torch.testing.assert_close(norms[1], norms[0])


@pytest.mark.parametrize(("samples", "rate"), [(0, 0.5), (959, 0.5), (960, 0.0), (999, 0.0)])
def test_the_last_samples_are_seen_whole(samples, rate):
    assert patch_dropout_at(samples, rate=0.5, total_samples=1_000, unmasked_tail=0.04) == rate


def test_without_a_tail_patches_are_left_out_to_the_end():
    assert patch_dropout_at(999, rate=0.5, total_samples=1_000, unmasked_tail=0.0) == 0.5
