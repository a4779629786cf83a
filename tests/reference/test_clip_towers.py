"""CLIP's own towers against open_clip's and transformers', with shared random weights."""

import json

import open_clip
import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP, ModifiedResNet, resize_pos_embed
from open_clip.model import resize_text_pos_embed as peers_resized_table
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel

from figclip.models.clip import OPENAI_RN50, OPENAI_VIT_B16, Clip
from figclip.models.hf_clip import by_hfs_names, hf_config_of, write_hf_clip
from figclip.models.native_names import from_native, native_names, to_native
from figclip.models.open_clip import by_open_clips_names, write_open_clip
from figclip.models.opening import open_model
from figclip.models.resampling import resized_grid, resized_table
from figclip.models.vision import VisionTower
from figclip.store import Store

pytestmark = pytest.mark.reference

VISION = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
TEXT = {"context_length": 12, "vocab_size": 60, "width": 32, "heads": 4, "layers": 2}
LENGTHS = [12, 7, 2]


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    """As OpenAI's tokenizer makes them: the end's id is the highest, padding is 0."""
    ids = torch.randint(1, 58, (3, 12))
    for row, length in zip(ids, LENGTHS, strict=True):
        row[length - 1], row[length:] = 59, 0
    return ids, torch.arange(12)[None] < torch.tensor(LENGTHS)[:, None]


def shaken(model: nn.Module) -> nn.Module:
    """No weight as it begins: zeros and ones would hide a mistake."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and name not in ("logit_scale", "logit_bias"):
            around = 1.0 if tensor.ndim == 1 and name.endswith(("weight", "var")) else 0.0
            tensor.copy_(around + 0.1 * torch.randn_like(tensor))
    return model.eval()


def saved(folder, peer, model):
    save_file(peer.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    return folder


@pytest.mark.parametrize("build", [CLIP, CustomTextCLIP])
@pytest.mark.parametrize("quick", [True, False])
@torch.no_grad()
def test_both_layouts_of_open_clip_embed_the_same_in_ours(tmp_path, build, quick):
    model = {"embed_dim": 16, "quick_gelu": quick, "vision_cfg": VISION, "text_cfg": TEXT}
    peer = shaken(build(**model))
    opened = open_model(saved(tmp_path, peer, model))
    pixels, (ids, mask) = torch.randn(3, 3, 32, 32), texts()
    images, captions = peer.encode_image(pixels, True), peer.encode_text(ids, True)
    assert (opened.clip.encode_image(pixels) - images).abs().max() <= 1e-6
    assert (opened.clip.encode_text(ids, mask) - captions).abs().max() <= 1e-6
    trimmed = opened.clip.encode_text(ids[1:, :7], mask[1:, :7])
    assert (trimmed - captions[1:]).abs().max() <= 1e-6
    if build is CLIP:
        back = by_open_clips_names(opened.clip, opened.config)
        assert back.keys() == peer.state_dict().keys()
        assert all(torch.equal(back[name], tensor) for name, tensor in peer.state_dict().items())


@pytest.mark.parametrize(
    ("config", "name", "num_keys"),
    [(OPENAI_VIT_B16, "ViT-B-16-quickgelu", 302), (OPENAI_RN50, "RN50-quickgelu", 489)],
)
def test_openais_models_have_open_clips_keys_and_shapes(config, name, num_keys):
    with torch.device("meta"):
        ours = by_open_clips_names(Clip(config), config)
        peer = CLIP(**open_clip.get_model_config(name)).state_dict()
    assert len(ours) == num_keys
    assert {k: tensor.shape for k, tensor in ours.items()} == {k: t.shape for k, t in peer.items()}


def drawn(peer: nn.Module) -> dict[str, torch.Tensor]:
    """A state dict of a model that was built without memory: each tensor of its own numbers."""
    state = peer.to_empty(device="cpu").state_dict()
    for tensor in state.values():
        tensor.uniform_(-1, 1) if tensor.is_floating_point() else tensor.random_(0, 100)
    return state


def assert_written_again(state, path):
    """Key for key, and bit for bit."""
    found = load_file(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


NARROW_VIT = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 12, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 60, "width": 64, "heads": 1, "layers": 12},
}
"""All layers of OpenAI's ViT-B/16, and so all of its keys."""


@pytest.mark.parametrize(
    ("model", "num_keys"),
    [(NARROW_VIT, 302), (open_clip.get_model_config("RN50-quickgelu"), 489)],
    ids=["vit", "resnet"],
)
def test_files_of_openais_models_are_read_and_written_key_for_key(tmp_path, model, num_keys):
    with torch.device("meta"):
        peer = CLIP(**model)
    state = drawn(peer)
    assert len(state) == num_keys
    save_file(state, tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    opened, folder = open_model(tmp_path), Store(tmp_path).folder("again", "one")
    write_open_clip(folder, opened.clip, opened.config, mean=opened.mean, std=opened.std)
    assert_written_again(state, f"{folder.path}/open_clip_model.safetensors")


def test_the_file_of_transformers_vit_is_read_and_written_key_for_key(tmp_path):
    tower = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1}
    vision = tower | {"num_hidden_layers": 12, "image_size": 32, "patch_size": 8}
    text = tower | {"num_hidden_layers": 12, "vocab_size": 60, "max_position_embeddings": 12}
    told = CLIPConfig(projection_dim=32, vision_config=vision, text_config=text).to_dict()
    with torch.device("meta"):
        peer = CLIPModel(CLIPConfig.from_dict(told))
    state = drawn(peer)
    assert len(state) == 398
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(told))
    opened, folder = open_model(tmp_path), Store(tmp_path).folder("again", "one")
    write_hf_clip(
        folder, opened.clip, opened.config, mean=opened.mean, std=opened.std, marks=(1, 2, 3)
    )
    assert_written_again(state, f"{folder.path}/model.safetensors")


@torch.no_grad()
def test_openais_resnet_sees_as_open_clips_does():
    peer = shaken(ModifiedResNet([3, 4, 6, 3], output_dim=64, heads=32))
    tower = VisionTower(OPENAI_RN50.vision, embed_dim=64).eval()
    expected = {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}
    names = native_names(expected, "resnet", text_prefix=False)
    theirs = {f"visual.{name}": tensor for name, tensor in peer.state_dict().items()}
    state = from_native(theirs, names)
    assert to_native(state, names).keys() == theirs.keys()
    tower.load_state_dict({name.removeprefix("visual."): t for name, t in state.items()})
    pixels = torch.randn(2, 3, 224, 224)
    found, expected_features = tower(pixels), peer(pixels)
    scale = expected_features.norm(dim=1, keepdim=True)
    assert ((found - expected_features) / scale).abs().max() <= 1e-6


@torch.no_grad()
def test_transformers_clip_model_embeds_the_same_and_round_trips_key_for_key(tmp_path):
    model = {"embed_dim": 16, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT}
    opened = open_model(saved(tmp_path, shaken(CLIP(**model)), model))
    folder = Store(tmp_path).folder("hf", "one")
    write_hf_clip(
        folder, opened.clip, opened.config, mean=opened.mean, std=opened.std, marks=(0, 58, 59)
    )
    peer = CLIPModel.from_pretrained(folder.path).eval()
    pixels, (ids, mask) = torch.randn(3, 3, 32, 32), texts()
    out = peer(input_ids=ids, pixel_values=pixels, attention_mask=mask.long())
    assert (opened.clip.encode_image(pixels) - out.image_embeds).abs().max() <= 1e-6
    assert (opened.clip.encode_text(ids, mask) - out.text_embeds).abs().max() <= 1e-6
    found = by_hfs_names(open_model(folder.path).clip)
    assert found.keys() == peer.state_dict().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in peer.state_dict().items())


def test_openais_vit_has_the_398_keys_of_transformers():
    with torch.device("meta"):
        clip = Clip(OPENAI_VIT_B16)
        told = hf_config_of(clip, OPENAI_VIT_B16, (1, 49_406, 49_407))
        peer = CLIPModel(CLIPConfig.from_dict(told)).state_dict()
    assert len(peer) == 398
    ours = by_hfs_names(clip)
    assert {k: tensor.shape for k, tensor in ours.items()} == {k: t.shape for k, t in peer.items()}


@torch.no_grad()
def test_open_clip_builds_and_loads_what_is_written_for_it(tmp_path):
    model = {"embed_dim": 16, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT}
    opened = open_model(saved(tmp_path, shaken(CLIP(**model)), model))
    folder = Store(tmp_path).folder("again", "one")
    write_open_clip(folder, opened.clip, opened.config, mean=opened.mean, std=opened.std)
    peer = open_clip.create_model(f"local-dir:{folder.path}").eval()
    pixels, (ids, mask) = torch.randn(3, 3, 32, 32), texts()
    assert (peer.encode_text(ids, True) - opened.clip.encode_text(ids, mask)).abs().max() <= 1e-6
    assert (peer.encode_image(pixels, True) - opened.clip.encode_image(pixels)).abs().max() <= 1e-6


@pytest.mark.parametrize(("old", "new"), [(7, 12), (14, 7), (4, 4)])
def test_grids_are_resampled_as_in_open_clip(old, new):
    class Peer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = nn.Module()
            self.visual.grid_size = (new, new)

    positions = torch.randn(1 + old * old, 24)
    state = {"visual.positional_embedding": positions}
    resize_pos_embed(state, Peer())
    expected = state["visual.positional_embedding"]
    assert torch.equal(resized_grid(positions, 1 + new * new), expected)
    assert torch.equal(resized_grid(positions[None], 1 + new * new), expected[None])


def test_a_longer_table_of_text_positions_is_stretched_as_in_open_clip():
    class Peer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positional_embedding = nn.Parameter(torch.empty(20, 6))

    state = {"positional_embedding": (old := torch.randn(12, 6))}
    peers_resized_table(state, Peer())
    torch.testing.assert_close(resized_table(old, 20), state["positional_embedding"])
    assert torch.equal(resized_table(old, 5), old[:5])
