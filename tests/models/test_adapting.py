"""What learns and what stays: locks, low-rank updates, and the plain model they end in."""

import pytest
import timm
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.timm_model import TimmModel
from transformers import BertConfig

from figclip.config import UsageError
from figclip.models.adapting import AdaptConfig, adapted, plain
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import clip_with

BERT = ClipConfig(
    vision=VisionConfig(
        timm_model="vit_tiny_patch16_224", image_size=32, width=16, depth=3, heads=2, patch_size=8
    ),
    text=TextConfig(
        vocab_size=50,
        hidden_size=16,
        layers=3,
        heads=2,
        intermediate_size=32,
        max_positions=24,
        context_length=12,
    ),
    embed_dim=8,
)
GPT = BERT.with_overrides({"text.architecture": "gpt"})
HEADS = {"visual.head.proj.weight", "logit_scale"}


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def learning(clip):
    return {name for name, parameter in clip.named_parameters() if parameter.requires_grad}


def inputs():
    ids = torch.randint(5, 50, (4, 12))
    return torch.randn(4, 3, 32, 32), ids, torch.ones_like(ids, dtype=torch.bool)


def learned(clip, num_steps=3):
    """A few steps on random pairs; the change of every parameter."""
    before = {name: parameter.detach().clone() for name, parameter in clip.named_parameters()}
    weights = [parameter for parameter in clip.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.1)
    for _ in range(num_steps):
        image, text, scale = clip(*inputs())
        torch.nn.functional.cross_entropy(scale * image @ text.T, torch.arange(4)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name for name, now in clip.named_parameters() if not torch.equal(now, before[name])}


def test_everything_learns_unless_it_is_said_otherwise():
    clip = adapted(Clip(BERT), AdaptConfig())
    assert learning(clip) == {name for name, _ in clip.named_parameters()}


@pytest.mark.parametrize("config", [BERT, GPT], ids=["bert", "gpt"])
@pytest.mark.parametrize("unlocked", [0, 1, 2])
def test_locked_towers_stay_bit_for_bit_and_all_else_moves(config, unlocked):
    adapt = AdaptConfig(
        lock_image=True, image_unlocked=unlocked, lock_text=True, text_unlocked=unlocked
    )
    clip = adapted(Clip(config), adapt)
    changed = learned(clip.train())
    assert changed == learning(clip)
    assert changed >= HEADS
    assert any(name.startswith("visual.trunk.blocks.2.") for name in changed) == (unlocked > 0)
    assert any(name.startswith("visual.trunk.blocks.1.") for name in changed) == (unlocked > 1)
    assert not any(".blocks.0." in name or ".layer.0." in name for name in changed)


@pytest.mark.reference
@pytest.mark.parametrize("unlocked", [0, 1, 3])
def test_a_locked_image_tower_leaves_the_same_to_learn_as_open_clips(unlocked):
    config = BERT.with_overrides({"vision": {"timm_model": "vit_tiny_patch16_224"}})
    clip = adapted(Clip(config), AdaptConfig(lock_image=True, image_unlocked=unlocked))
    peer = TimmModel("vit_tiny_patch16_224", 8, pool="", proj="linear")
    peer.lock(unlocked_groups=unlocked)
    assert learning(clip.visual) == learning(peer)


@pytest.mark.reference
def test_a_locked_text_tower_leaves_the_same_to_learn_as_open_clips():
    clip = adapted(Clip(BERT), AdaptConfig(lock_text=True))
    sizes = BertConfig(hidden_size=16, num_hidden_layers=3, num_attention_heads=2)
    peer = HFTextEncoder("", 8, config=sizes, pooler_type="cls_pooler", proj_type="mlp")
    peer.lock()
    assert learning(clip.text) == learning(peer)


def test_a_locked_resnet_keeps_the_statistics_of_its_batches():
    config = BERT.with_overrides(
        {"vision": {"timm_model": "resnet18", "image_size": 32}, "embed_dim": 8}
    )
    clip = adapted(Clip(config), AdaptConfig(lock_image=True)).train()
    before = {name: buffer.clone() for name, buffer in clip.visual.trunk.named_buffers()}
    learned(clip, num_steps=1)
    assert all(torch.equal(now, before[name]) for name, now in clip.visual.trunk.named_buffers())
    free = adapted(Clip(config), AdaptConfig()).train()
    learned(free, num_steps=1)
    assert free.visual.trunk.bn1.num_batches_tracked == 1


@pytest.mark.parametrize("config", [BERT, GPT], ids=["bert", "gpt"])
def test_low_rank_updates_end_in_a_plain_model_that_embeds_the_same(config):
    adapt = AdaptConfig(lora_rank=2, lora_alpha=4)
    start = Clip(config)
    state = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    clip = adapted(start, adapt)
    few = sum(p.numel() for name, p in clip.named_parameters() if "lora" in name)
    assert 0 < few < 0.5 * sum(tensor.numel() for tensor in state.values())
    changed = learned(clip.train())
    assert all(
        "lora_" in name or name.startswith(("visual.head", "text.proj", "text.text_", "log"))
        for name in changed
    )
    ended = clip_with(plain(clip.state_dict(), config, adapt), config, origin="the run")
    pixels, ids, mask = inputs()
    clip.eval()
    torch.testing.assert_close(ended.encode_image(pixels), clip.encode_image(pixels))
    torch.testing.assert_close(ended.encode_text(ids, mask), clip.encode_text(ids, mask))
    moved = {name for name, now in ended.state_dict().items() if not torch.equal(now, state[name])}
    inner = {name for name in moved if name.startswith("visual.trunk.")}
    assert len(inner) == 3 * 4, "query-key-value, projection and the two of the MLP, in each block"
    for name in inner:
        change = ended.state_dict()[name] - state[name]
        assert torch.linalg.matrix_rank(change, rtol=1e-4) <= 2


def test_a_locked_tower_gets_no_low_rank_updates():
    clip = adapted(Clip(BERT), AdaptConfig(lora_rank=2, lock_image=True))
    assert any("lora_" in name for name in learning(clip))
    assert not any("visual.trunk" in name for name in learning(clip))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_unlocked": 1}, "--adapt.lock-image"),
        ({"lock_text": True, "text_unlocked": 9}, "the text tower has 4 groups"),
        ({"lora_rank": 2, "lock_text": True, "lock_image": True}, "--adapt.lora-rank 0"),
    ],
)
def test_what_contradicts_itself_is_an_error_with_the_remedy(options, words):
    with pytest.raises(UsageError, match=words):
        adapted(Clip(BERT), AdaptConfig(**options))


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(UsageError, match=r"figclip\[lora\]"):
        adapted(Clip(BERT), AdaptConfig(lora_rank=2))


def test_timm_knows_the_groups_of_every_trunk_of_the_matrix():
    for name in ("vit_small_patch16_224", "vit_large_patch14_clip_224", "resnet50_clip"):
        with torch.device("meta"):
            trunk = timm.create_model(name, num_classes=0)
            config = BERT.with_overrides({"vision": {"timm_model": name}})
            clip = adapted(Clip(config), AdaptConfig(lock_image=True))
        locked = {n for n, p in clip.visual.trunk.named_parameters() if not p.requires_grad}
        assert locked >= {n for n, _ in trunk.named_parameters()}


def test_low_ranks_learn_in_every_layer_the_last_ones_too():
    """Of the last layers only the pooled token is worked out, which must not pass them by."""
    clip = adapted(Clip(BERT), AdaptConfig(lora_rank=2)).train()
    wanted = {name for name in learning(clip) if "lora_" in name}
    assert {".blocks.2.attn.qkv." in name for name in wanted} == {True, False}
    assert wanted <= learned(clip)
