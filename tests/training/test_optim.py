"""Which parameters decay, and the shape of the learning rate's curve."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from figclip.config import UsageError
from figclip.training.optim import OptimConfig, build_optimizer, is_decayed, lr_at, warmup_of


@pytest.mark.parametrize(
    ("name", "shape", "decays"),
    [
        ("visual.trunk.blocks.0.attn.qkv.weight", (6, 2), True),
        ("visual.trunk.patch_embed.proj.weight", (2, 3, 4, 4), True),
        ("text.embeddings.word_embeddings.weight", (9, 2), True),
        ("visual.trunk.blocks.0.norm1.weight", (2,), False),
        ("text.encoder.layer.0.output.LayerNorm.bias", (2,), False),
        ("visual.trunk.pos_embed", (1, 5, 2), False),
        ("visual.trunk.cls_token", (1, 1, 2), False),
        ("logit_scale", (), False),
    ],
)
def test_only_matrices_and_embeddings_decay(name, shape, decays):
    assert is_decayed(name, nn.Parameter(torch.zeros(shape))) is decays


def test_the_optimizer_holds_every_learning_parameter_once():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2, bias=False))
    model[0].weight.requires_grad = False
    optimizer = build_optimizer(model, OptimConfig())
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]
    assert {(group["betas"], group["eps"]) for group in optimizer.param_groups} == {
        ((0.9, 0.98), 1e-6)
    }


@given(st.integers(0, 10_000))
def test_the_learning_rate_stays_between_zero_and_its_peak(samples):
    assert 0 <= lr_at(samples, peak=3e-4, warmup_samples=500, total_samples=9_000) <= 3e-4


@pytest.mark.parametrize(
    ("samples", "share"),
    [(0, 0), (50, 0.5), (100, 1), (350, (1 + math.cos(math.pi / 4)) / 2), (600, 0.5), (1100, 0)],
)
def test_the_learning_rate_at_known_points(samples, share):
    lr = lr_at(samples, peak=2.0, warmup_samples=100, total_samples=1100)
    assert lr == pytest.approx(2.0 * share)


def test_without_warmup_the_first_step_has_the_peak():
    assert lr_at(0, peak=1.0, warmup_samples=0, total_samples=10) == 1.0


def test_warmup_counts_in_steps_or_in_samples():
    assert warmup_of(OptimConfig(warmup_steps=10), batch_size=32, total_samples=1000) == 320
    in_samples = OptimConfig(warmup_steps=10, warmup_samples=77)
    assert warmup_of(in_samples, batch_size=32, total_samples=1000) == 77


def test_a_warmup_longer_than_the_run_names_the_remedy():
    with pytest.raises(UsageError, match=r"--optim.warmup-steps below 31"):
        warmup_of(OptimConfig(), batch_size=32, total_samples=1000)
