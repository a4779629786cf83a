"""Weights written and read again, and checkpoints that do not fit."""

import json
import pickle

import pytest
import torch

from figclip.config import UsageError
from figclip.models import weights
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import load_clip, load_open_clip, save_weights
from figclip.store import Store

SMALL = ClipConfig(
    vision=VisionConfig(
        timm_model="vit_tiny_patch16_224", image_size=32, width=16, depth=1, heads=2, patch_size=8
    ),
    text=TextConfig(
        vocab_size=50,
        hidden_size=16,
        layers=1,
        heads=2,
        intermediate_size=32,
        max_positions=24,
        context_length=12,
    ),
    embed_dim=8,
)
POSITION_IDS = "text.transformer.embeddings.position_ids"


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path).folder("encoder", "one")


@pytest.fixture
def state():
    return dict(Clip(SMALL).state_dict())


def write_open_clip(folder, state, **overrides):
    model = {
        "embed_dim": 8,
        "vision_cfg": {
            "timm_model_name": "vit_tiny_patch16_224",
            "timm_pool": "",
            "timm_proj": "linear",
        },
        "text_cfg": {
            "hf_model_name": "nobody/bert",
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 12,
        },
    }
    for tower, options in overrides.items():
        model[tower].update(options)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    torch.save(state, folder / "open_clip_pytorch_model.bin")


def test_what_was_saved_is_loaded_bit_for_bit(folder):
    clip = Clip(SMALL)
    save_weights(folder, clip, SMALL)
    loaded, config = load_clip(folder)
    assert config == SMALL
    assert not loaded.training
    assert sorted(folder.files()) == ["model.json", "model.safetensors"]
    for name, tensor in clip.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_a_saved_model_asks_no_hub(folder):
    plain = SMALL.with_overrides({"vision": {"timm_model": "vit_tiny_patch16_224"}})
    save_weights(folder, Clip(plain), plain.with_overrides({"vision.pretrained": True}))
    assert load_clip(folder)[1] == plain


def test_a_folder_without_an_encoder_is_an_error_that_names_the_files(folder):
    with pytest.raises(UsageError, match=r"no model.json and no model.safetensors"):
        load_clip(folder)


def test_the_stray_position_ids_are_dropped(state):
    state[POSITION_IDS] = torch.arange(24)[None]
    clip, config = load_open_clip(state, config=SMALL)
    assert config == SMALL
    assert POSITION_IDS not in clip.state_dict()


def test_a_missing_an_unexpected_and_a_misshapen_key_are_all_named(state):
    del state["visual.head.proj.weight"]
    state["visual.head.proj.bias"] = torch.zeros(8)
    state["text.proj.2.weight"] = torch.zeros(8, 11)
    with pytest.raises(UsageError) as told:
        load_open_clip(state, config=SMALL)
    for words in (
        "1 missing: visual.head.proj.weight",
        "1 unexpected: visual.head.proj.bias",
        "1 of another shape: text.proj.2.weight (8, 11) instead of (8, 12)",
    ):
        assert words in str(told.value)


def test_many_faults_are_counted_and_the_first_three_named(state):
    lost = {name: tensor for name, tensor in state.items() if "text." not in name}
    with pytest.raises(UsageError, match=r"missing: text\S+, text\S+, text\S+, \.\.\."):
        load_open_clip(lost, config=SMALL)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"vision_cfg": {"timm_pool": "avg"}}, "vision_cfg.timm_pool = 'avg'"),
        ({"vision_cfg": {"timm_proj": "mlp"}}, "vision_cfg.timm_proj = 'mlp'"),
        ({"text_cfg": {"hf_pooler_type": "mean_pooler"}}, "text_cfg.hf_pooler_type"),
        ({"text_cfg": {"hf_proj_type": "linear"}}, "text_cfg.hf_proj_type"),
        ({}, "number of attention heads"),
    ],
)
def test_towers_that_are_not_ours_are_refused_by_name(tmp_path, state, overrides, words):
    write_open_clip(tmp_path, state, **overrides)
    with pytest.raises(UsageError, match=words):
        load_open_clip(tmp_path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, state):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('ran')",))

    write_open_clip(tmp_path, state)
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    with pytest.raises(UsageError, match="no plain tensors"):
        load_open_clip(tmp_path)


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="neither a local folder nor"):
        load_open_clip(tmp_path / "nothing")
    with pytest.raises(UsageError, match="has neither open_clip_model"):
        load_open_clip(tmp_path)


def test_a_repository_on_the_hub_is_fetched_and_read_as_a_folder(tmp_path, monkeypatch):
    vision = VisionConfig(timm_model="vit_tiny_patch16_224")
    config = SMALL.with_overrides({"vision": vision.model_dump(), "text.hidden_size": 64})
    config = config.with_overrides({"text.heads": 1})
    write_open_clip(tmp_path, Clip(config).state_dict())
    asked = []
    monkeypatch.setattr(
        weights, "snapshot_download", lambda name, **_: asked.append(name) or str(tmp_path)
    )
    assert load_open_clip("hf-hub:somebody/clip")[1] == config
    assert asked == ["somebody/clip"]


def test_a_hub_out_of_reach_is_an_error(monkeypatch):
    def out_of_reach(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(weights, "snapshot_download", out_of_reach)
    with pytest.raises(UsageError, match="go online, or name a local folder"):
        load_open_clip("somebody/clip")
