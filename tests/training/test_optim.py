"""Which parameters decay."""

import pytest
import torch
from torch import nn

from figclip.training.optim import OptimConfig, build_optimizer, is_decayed


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
        ("text.positional_embedding", (5, 2), False),
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
    assert all(group["fused"] for group in optimizer.param_groups)
