"""Weights written and read again, and files that are none of ours."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from figclip.config import UsageError
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import clip_with, load_clip, read_json, read_tensors, save_weights
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


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path).folder("encoder", "one")


@pytest.fixture
def state():
    return dict(Clip(SMALL).state_dict())


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


def test_our_own_weights_cut_short_are_an_error(folder):
    save_weights(folder, Clip(SMALL), SMALL)
    folder.write("model.safetensors", folder.read("model.safetensors")[:-8])
    with pytest.raises(UsageError, match=r"model.safetensors holds no plain tensors, or not all"):
        load_clip(folder)


def test_a_missing_an_unexpected_and_a_misshapen_key_are_all_named(state):
    del state["visual.head.proj.weight"]
    state["visual.head.proj.bias"] = torch.zeros(8)
    state["text.proj.2.weight"] = torch.zeros(8, 11)
    with pytest.raises(UsageError) as told:
        clip_with(state, SMALL, origin="somewhere")
    for words in (
        "the weights of somewhere do not fit",
        "1 missing: visual.head.proj.weight",
        "1 unexpected: visual.head.proj.bias",
        "1 of another shape: text.proj.2.weight (8, 11) instead of (8, 12)",
    ):
        assert words in str(told.value)


def test_of_another_architecture_the_first_ten_differing_keys_are_named(state):
    gpt = SMALL.with_overrides({"text.architecture": "gpt"})
    missing = [name for name in Clip(gpt).state_dict() if name not in state]
    unexpected = [name for name in state if name.startswith("text.")]
    with pytest.raises(UsageError) as told:
        clip_with(state, gpt, origin="a BERT")
    assert f"{len(missing)} missing: {', '.join(missing[:10])}, ..." in str(told.value)
    assert f"{len(unexpected)} unexpected: {', '.join(unexpected[:10])}, ..." in str(told.value)


def test_a_scale_that_was_saved_with_an_axis_is_a_scalar(state):
    state["logit_scale"] = torch.tensor([2.5])
    assert clip_with(state, SMALL, origin="open_clip").logit_scale == torch.tensor(2.5)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.bin"])
def test_a_truncated_file_is_an_error_with_the_remedy(tmp_path, state, name):
    path = tmp_path / name
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    read_tensors(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"or not all of them .*; fetch it again"):
        read_tensors(path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('ran')",))

    for protocol in (2, 4):
        (tmp_path / "weights.bin").write_bytes(pickle.dumps({"a": Evil()}, protocol=protocol))
        with pytest.raises(UsageError, match="no plain tensors"):
            read_tensors(tmp_path / "weights.bin")
    torch.save({"a": Evil()}, tmp_path / "weights.bin")
    with pytest.raises(UsageError, match="no plain tensors"):
        read_tensors(tmp_path / "weights.bin")


def test_a_training_checkpoint_gives_the_weights_in_it(tmp_path, state):
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": wrapped, "optimizer": {}}, tmp_path / "epoch_3.pt")
    assert read_tensors(tmp_path / "epoch_3.pt").keys() == state.keys()


@pytest.mark.parametrize("content", [{}, {"lr": 0.1}, [torch.zeros(2)]])
def test_a_file_of_other_things_is_no_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "a.bin")
    with pytest.raises(UsageError, match="holds no state dict"):
        read_tensors(tmp_path / "a.bin")


@pytest.mark.parametrize("content", ["", '{"a": ', "[]"])
def test_a_config_that_is_none_is_an_error(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match="fetch it again"):
        read_json(tmp_path / "config.json")
