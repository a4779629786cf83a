"""FLOPs of a step, judged by published sums and by PyTorch's own counter."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from figclip.models.clip import BIOMEDCLIP, Clip, ClipConfig
from figclip.models.flops import clip_flops, peak_flops
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig

SMALL = ClipConfig(
    vision=VisionConfig(
        timm_model="vit_tiny_patch16_224", image_size=64, width=48, depth=2, heads=3
    ),
    text=TextConfig(
        vocab_size=50,
        hidden_size=32,
        layers=3,
        heads=2,
        intermediate_size=96,
        max_positions=16,
        context_length=12,
        dropout=0.0,
    ),
    embed_dim=24,
)


@pytest.mark.parametrize(
    ("overrides", "length", "gflop"),
    [
        ({}, 256, 105.2 + 137.7),
        ({"vision.patch_dropout": 0.5}, 256, 189.7),
        ({}, 128, 172.2),
        ({"vision.patch_dropout": 0.5}, 128, 119.0),
        ({"vision.image_size": 384}, 256, 469.9),
    ],
)
def test_a_pair_of_biomedclip_costs_what_is_known(overrides, length, gflop):
    """ViT-B/16 at 224 px 105.2 GFLOP, BERT-base of 256 tokens 137.7, and their variations."""
    flops = clip_flops(BIOMEDCLIP.with_overrides(overrides))
    assert flops.batch(1, [length]) / 1e9 == pytest.approx(gflop, abs=0.11)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"vision.patch_dropout": 0.5},
        {"vision.timm_model": "resnet18", "vision.width": None, "vision.depth": None,
         "vision.heads": None},
    ],
)  # fmt: skip
def test_a_small_model_costs_what_pytorch_counts(overrides):
    config = SMALL.with_overrides(overrides)
    model = Clip(config)
    ids = torch.randint(1, 50, (4, 10))
    pixels = torch.randn(4, 3, 64, 64)
    # Every token through every layer, as timm and transformers do it; attention as plain products,
    # for of the fused one PyTorch counts nothing on a CPU.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        image = model.visual.head(model.visual.trunk(pixels))
        hidden = model.text.transformer(input_ids=ids).last_hidden_state
        (image.sum() + model.text.proj(hidden[:, 0]).sum()).backward()
    found = clip_flops(config).batch(4, [10] * 4)
    assert found == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_texts_of_several_lengths_add_up():
    flops = clip_flops(SMALL)
    alone = sum(flops.batch(0, [length]) for length in (3, 7, 12))
    assert flops.batch(0, [3, 7, 12]) == pytest.approx(alone)


def test_a_processor_is_measured():
    assert 1e8 < peak_flops(torch.device("cpu"), "fp32") < 1e15
