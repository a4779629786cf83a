"""The class token alone in a last block, against timm's whole pass; setting patch dropout."""

import pytest
import timm
import torch

from figclip.models.pooled import pooled_state, set_patch_dropout


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def trunk_of(**options):
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", num_classes=0, **{**sizes, **options}).double()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"qkv_bias": False, "init_values": 0.1, "qk_norm": True},
        {"reg_tokens": 4},
        {"depth": 1},
        {"pre_norm": True},
        {"global_pool": "avg"},
    ],
)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_features_and_gradients_are_those_of_the_whole_pass(options, checkpointing):
    trunk = trunk_of(**options)
    pixels, weights = torch.randn(3, 3, 32, 32).double(), torch.randn(3, 24).double()
    found = []
    for encode in (trunk, lambda pixels: pooled_state(trunk, pixels)):
        trunk.zero_grad()
        features = encode(pixels)
        (features * weights).sum().backward()
        found.append([features.detach(), *(p.grad.clone() for p in trunk.parameters())])
        trunk.set_grad_checkpointing(checkpointing)
    for truth, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, truth, rtol=1e-10, atol=1e-12)


def test_the_last_block_works_for_one_token_an_image():
    trunk, seen = trunk_of(), []
    for block in trunk.blocks:
        block.mlp.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    pooled_state(trunk, torch.randn(2, 3, 32, 32).double())
    assert seen == [17, 17, 1]


def test_other_trunks_are_left_to_timm():
    trunk = timm.create_model("resnet18", num_classes=0).eval()
    pixels = torch.randn(1, 3, 64, 64)
    assert torch.equal(pooled_state(trunk, pixels), trunk(pixels))


def test_patch_dropout_can_be_set_from_step_to_step():
    trunk, seen = trunk_of(patch_drop_rate=0.5).train(), []
    trunk.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    for rate in (0.5, 0.25, 0.0, 0.5):
        set_patch_dropout(trunk, rate)
        pooled_state(trunk, torch.randn(2, 3, 32, 32).double())
    assert seen == [1 + 8, 1 + 12, 1 + 16, 1 + 8]
