"""The towers and CLIP: sizes, shapes, masks, dropout, checkpointing, precision."""

import math

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM, BertModel

from figclip.config import UsageError
from figclip.inputs.tokens import open_tokenizer
from figclip.models.clip import BIOMEDCLIP, OPENAI_RN50, OPENAI_VIT_B16, Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig, VisionTower
from jobs.presets import DEMO

SMALL = ClipConfig(
    vision=VisionConfig(
        timm_model="vit_tiny_patch16_224", image_size=32, width=16, depth=2, heads=2, patch_size=8
    ),
    text=TextConfig(
        vocab_size=50,
        hidden_size=16,
        layers=2,
        heads=2,
        intermediate_size=32,
        max_positions=24,
        context_length=12,
    ),
    embed_dim=8,
)


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def batch(num_rows: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    pixels = torch.randn(num_rows, 3, 32, 32)
    ids = torch.randint(5, 50, (num_rows, 12))
    return pixels, ids, torch.ones_like(ids, dtype=torch.bool)


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_biomedclip_has_the_parameters_of_the_released_checkpoint():
    with torch.device("meta"):
        clip = Clip(BIOMEDCLIP)
    assert num_parameters(clip) == 195_902_721
    assert num_parameters(clip.visual) == 86_191_872
    assert num_parameters(clip.text) == 109_710_848
    assert len(clip.state_dict()) == 351


@pytest.mark.parametrize(
    ("overrides", "num_vision"),
    [
        ({"vision.timm_model": "vit_small_patch16_224"}, 21_665_664),  # timm's, without its head
        ({"vision.width": 512, "vision.heads": 8}, 38_324_736),
        ({"vision.image_size": 384}, 86_090_496),
        (
            {"vision.timm_model": "vit_large_patch14_clip_336", "vision.image_size": 336},
            303_507_456,
        ),
    ],
)
def test_the_image_towers_of_the_matrix_have_the_papers_sizes(overrides, num_vision):
    config = BIOMEDCLIP.with_overrides(overrides)
    with torch.device("meta"):
        trunk = VisionTower(config.vision, embed_dim=512).trunk
    assert num_parameters(trunk) == num_vision


@pytest.mark.parametrize(
    ("config", "total", "num_keys"),
    [(OPENAI_VIT_B16, 149_620_737, 302), (OPENAI_RN50, 102_007_137, 489)],
)
def test_openais_models_have_the_parameters_of_the_released_checkpoints(config, total, num_keys):
    with torch.device("meta"):
        clip = Clip(config)
    assert num_parameters(clip) == total
    assert len(clip.state_dict()) == num_keys


def test_a_sigmoid_loss_has_a_bias_and_a_scale_of_its_own_to_begin_with():
    assert Clip(SMALL).logit_bias is None
    clip = Clip(SMALL.with_overrides({"initial_bias": -10.0, "initial_scale": 10.0}))
    assert clip.logit_bias.item() == -10
    assert clip.logit_scale.exp().item() == pytest.approx(10)
    assert clip.state_dict().keys() - Clip(SMALL).state_dict().keys() == {"logit_bias"}


def gpt(**overrides):
    return SMALL.with_overrides({"text.architecture": "gpt", **overrides})


def test_a_causal_text_is_read_at_its_last_token_whatever_follows():
    clip = Clip(gpt()).eval()
    _, ids, mask = batch()
    mask[:, 7:] = False
    whole = clip.encode_text(ids, mask)
    other_padding = torch.where(mask, ids, 1)
    torch.testing.assert_close(clip.encode_text(other_padding, mask), whole)
    torch.testing.assert_close(clip.encode_text(ids[:, :7], mask[:, :7]), whole)
    changed = torch.where(torch.arange(12) == 3, (ids + 1) % 50, ids)
    assert not torch.allclose(clip.encode_text(changed, mask), whole)


def test_a_causal_tower_recomputes_to_the_same_gradients():
    gradients = []
    for recomputes in (False, True):
        torch.manual_seed(3)
        clip = Clip(gpt(**{"text.gradient_checkpointing": recomputes})).train()
        torch.manual_seed(4)
        clip.encode_text(*batch()[1:])[:, 0].sum().backward()
        gradients.append([parameter.grad for parameter in clip.text.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain)


@pytest.mark.parametrize(
    "overrides",
    [{"text.activation": "quick_gelu"}, {"text.architecture": "gpt", "text.hf_name": "x"}],
)
def test_what_only_the_other_text_tower_has_is_an_error(overrides):
    with pytest.raises(UsageError, match=r"quick_gelu|is for a bert"):
        SMALL.with_overrides(overrides)


def test_biomedclip_takes_a_training_step():
    clip = Clip(BIOMEDCLIP).train()
    optimiser = torch.optim.SGD(clip.parameters(), lr=1e-3)
    pixels, ids = torch.randn(2, 3, 224, 224), torch.randint(5, 30_522, (2, 256))
    image, text, scale = clip(pixels, ids, torch.ones_like(ids))
    F.cross_entropy(scale * image @ text.T, torch.arange(2)).backward()
    head = clip.visual.head.proj.weight.detach().clone()
    optimiser.step()
    clip.clamp_scale()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in clip.parameters())
    torch.testing.assert_close(
        head - clip.visual.head.proj.weight, 1e-3 * clip.visual.head.proj.weight.grad
    )


def test_every_embedding_is_a_unit_vector():
    clip = Clip(SMALL).eval()
    image, text, scale = clip(*batch())
    assert image.shape == text.shape == (3, 8)
    torch.testing.assert_close(image.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(text.norm(dim=1), torch.ones(3))
    assert scale.item() == pytest.approx(1 / 0.07)


def test_the_scale_is_clamped_between_one_and_a_hundred():
    clip = Clip(SMALL)
    for wild, tame in ((9.0, math.log(100)), (-1.0, 0.0), (3.0, 3.0)):
        clip.logit_scale.data.fill_(wild)
        clip.clamp_scale()
        assert clip.logit_scale.item() == pytest.approx(tame)


def test_padding_does_not_change_an_embedding():
    clip = Clip(SMALL).eval()
    _, ids, mask = batch()
    mask[:, 7:] = False
    other_padding = torch.where(mask, ids, 1)
    torch.testing.assert_close(clip.encode_text(ids, mask), clip.encode_text(other_padding, mask))
    torch.testing.assert_close(
        clip.encode_text(ids, mask), clip.encode_text(ids[:, :7], mask[:, :7])
    )


def test_the_image_feature_is_the_class_token_after_the_last_norm():
    tower = VisionTower(SMALL.vision, embed_dim=8).eval()
    pixels, _, _ = batch()
    tokens = tower.trunk.forward_features(pixels)
    assert tokens.shape == (3, 1 + 16, 16)
    torch.testing.assert_close(tower(pixels), tokens[:, 0] @ tower.head.proj.weight.T)


def test_patch_dropout_leaves_patches_out_in_training_only():
    tower = VisionTower(SMALL.vision.with_overrides({"patch_dropout": 0.5}), embed_dim=8)
    seen = []
    tower.trunk.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    pixels, _, _ = batch()
    tower.train()(pixels)
    tower.eval()(pixels)
    assert seen == [1 + 8, 1 + 16]


def test_patch_dropout_follows_the_seed():
    tower = VisionTower(SMALL.vision.with_overrides({"patch_dropout": 0.5}), embed_dim=8).train()
    pixels, _, _ = batch()
    features = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        features.append(tower(pixels))
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])


@pytest.mark.parametrize("patch_dropout", [0.0, 0.5])
def test_gradient_checkpointing_changes_no_gradient(patch_dropout):
    gradients = []
    for checkpointing in (False, True):
        config = SMALL.with_overrides(
            {
                "vision.gradient_checkpointing": checkpointing,
                "text.gradient_checkpointing": checkpointing,
                "vision.patch_dropout": patch_dropout,
            }
        )
        torch.manual_seed(3)
        clip = Clip(config).train()
        pixels, ids, mask = batch()
        image, text, scale = clip(pixels, ids, mask)
        (scale * image @ text.T).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in clip.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain)


def test_under_bf16_autocast_the_embeddings_are_still_fp32_unit_vectors():
    clip = Clip(SMALL).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image, text, _ = clip(*batch())
    assert image.dtype == text.dtype == torch.float32
    torch.testing.assert_close(image.norm(dim=1), torch.ones(3))


def test_in_fp64_everything_is_fp64():
    clip = Clip(SMALL).double().eval()
    pixels, ids, mask = batch()
    assert {value.dtype for value in clip(pixels.double(), ids, mask)} == {torch.float64}


def test_shapes_that_do_not_belong_together_are_refused():
    _, ids, mask = batch()
    with pytest.raises(Exception, match="mask"):
        Clip(SMALL).encode_text(ids, mask[:, :5])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"timm_model": "vit_of_nobody"}, "vit_of_nobody"),
        ({"timm_model": "resnet18", "width": 32, "heads": None, "depth": None}, "resnet18"),
        ({"heads": 3}, "vit_tiny_patch16_224"),
        ({"patch_dropout": 1.0}, "patch_dropout"),
        ({"pretrained": True}, "has its own sizes"),
    ],
)
def test_a_trunk_that_cannot_be_is_an_error_that_names_it(overrides, words):
    with pytest.raises(UsageError, match=words):
        VisionTower(SMALL.vision.with_overrides(overrides), embed_dim=8)


def test_a_convolutional_trunk_takes_any_size():
    tower = VisionTower(VisionConfig(timm_model="resnet18", image_size=64), embed_dim=8).eval()
    assert tower(torch.randn(1, 3, 64, 64)).shape == (1, 8)


@pytest.mark.parametrize("overrides", [{"text.context_length": 25}, {"text.heads": 3}])
def test_a_text_tower_that_cannot_be_is_an_error(overrides):
    with pytest.raises(UsageError, match=r"context_length 25|3 heads"):
        SMALL.with_overrides(overrides)


def test_a_text_tower_starts_from_a_bert_on_disk_and_is_settled_in_its_sizes(tmp_path):
    bert = BertModel(
        BertConfig(
            vocab_size=60,
            hidden_size=24,
            num_hidden_layers=1,
            num_attention_heads=3,
            intermediate_size=40,
            max_position_embeddings=20,
        )
    ).eval()
    bert.save_pretrained(tmp_path)
    config = SMALL.with_overrides({"text.hf_name": str(tmp_path)})
    clip = Clip(config).eval()
    _, ids, mask = batch()
    hidden = bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state[:, 0]
    torch.testing.assert_close(clip.encode_text(ids, mask), F.normalize(clip.text.proj(hidden)))
    sizes = config.settled().text
    assert (sizes.hf_name, sizes.hidden_size, sizes.heads, sizes.vocab_size) == (None, 24, 3, 60)


def test_a_bert_of_the_hub_is_taken_from_the_cache_with_its_vocabulary(tmp_path, monkeypatch):
    """Its weights are a pickle, with the head of its training; the words a `vocab.txt`."""
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    whole = BertForMaskedLM(BertConfig(vocab_size=60, intermediate_size=40, **sizes)).eval()
    place, commit = tmp_path / "models--somebody--bert", "0" * 40
    snapshot = place / "snapshots" / commit
    whole.config.save_pretrained(snapshot)
    torch.save(whole.state_dict(), snapshot / "pytorch_model.bin")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "chest", "ct", "##s"]
    (snapshot / "vocab.txt").write_text("\n".join(words) + "\n")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    tokens = open_tokenizer("somebody/bert")(["Chest CTs"], 12)
    assert tokens.ids[0, :6].tolist() == [2, 5, 6, 7, 3, 0]
    clip = Clip(SMALL.with_overrides({"text.hf_name": "somebody/bert"})).eval()
    hidden = whole.bert(tokens.ids, tokens.mask.long()).last_hidden_state[:, 0]
    expected = F.normalize(clip.text.proj(hidden))
    torch.testing.assert_close(clip.encode_text(tokens.ids, tokens.mask), expected)


def test_a_text_model_that_is_no_bert_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UsageError, match="gpt2"):
        Clip(SMALL.with_overrides({"text.hf_name": str(tmp_path)}))
    with pytest.raises(UsageError, match="no BERT at"):
        Clip(SMALL.with_overrides({"text.hf_name": str(tmp_path / "nothing")}))


def test_the_tiny_model_is_small_enough_for_two_cores():
    with torch.device("meta"):
        assert num_parameters(Clip(DEMO.model)) < 8_000_000


def test_a_pretrained_trunk_takes_timms_weights_at_any_image_size(tmp_path, monkeypatch):
    peer = timm.create_model("vit_tiny_patch16_224", num_classes=21_843)
    save_file(peer.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(
        timm.models._hub, "hf_hub_download", lambda **asked: tmp_path / asked["filename"]
    )
    config = VisionConfig(timm_model="vit_tiny_patch16_224", image_size=96, pretrained=True)
    trunk = VisionTower(config, embed_dim=8).trunk
    torch.testing.assert_close(trunk.blocks[3].attn.qkv.weight, peer.blocks[3].attn.qkv.weight)
    assert trunk.pos_embed.shape == (1, 1 + 36, 192)


def test_pretrained_weights_out_of_reach_are_an_error(monkeypatch):
    def out_of_reach(**_):
        raise OSError("no route to host")

    monkeypatch.setattr(timm.models._hub, "hf_hub_download", out_of_reach)
    with pytest.raises(UsageError, match="neither in the cache nor to be fetched"):
        VisionTower(VisionConfig(timm_model="vit_tiny_patch16_224", pretrained=True), embed_dim=8)
