"""Any source of a model through one door, and sources that are none."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError
from native_clip import native_clip
from safetensors.torch import load_file, save_file

from figclip.config import UsageError
from figclip.models import opening
from figclip.models.clip import Clip, ClipConfig
from figclip.models.hf_clip import write_hf_clip
from figclip.models.open_clip import write_open_clip
from figclip.models.opening import MEAN, open_model
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import save_weights
from figclip.store import Store

BERT = ClipConfig(
    vision=VisionConfig(timm_model="vit_tiny_patch16_224"),
    text=TextConfig(
        vocab_size=50,
        hidden_size=64,
        layers=1,
        heads=1,
        intermediate_size=32,
        max_positions=24,
        context_length=12,
    ),
    embed_dim=8,
)
OWN_CLIP = native_clip(vocab_size=50, context_length=12)
MIXED = ClipConfig(vision=BERT.vision, text=OWN_CLIP.text, embed_dim=8, initial_bias=-10.0)
HALF = (0.5, 0.5, 0.5)
POSITION_IDS = "text.transformer.embeddings.position_ids"


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path).folder("elsewhere", "one")


def written(folder, config):
    torch.manual_seed(1)
    clip = Clip(config)
    write_open_clip(folder, clip, config, mean=HALF, std=HALF)
    return clip


def changed(folder, **options):
    told = json.loads(folder.read("open_clip_config.json"))
    for tower, values in options.items():
        told["model_cfg"][tower].update(values)
    folder.write("open_clip_config.json", json.dumps(told).encode())


def assert_same_weights(clip, other):
    assert clip.state_dict().keys() == other.state_dict().keys()
    for name, tensor in clip.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


@pytest.mark.parametrize("config", [BERT, OWN_CLIP, MIXED], ids=["bert", "openai", "mixed"])
def test_what_is_written_for_open_clip_is_opened_bit_for_bit(folder, config):
    clip = written(folder, config)
    opened = open_model(folder.path)
    assert_same_weights(clip, opened.clip)
    expected = config.with_overrides({"text.dropout": opened.config.text.dropout})
    if config.initial_bias is not None:
        assert opened.config.initial_bias == -10
    assert opened.config == expected
    assert (opened.mean, opened.std) == (HALF, HALF)


def test_what_is_written_for_transformers_is_opened_bit_for_bit(folder):
    clip = Clip(OWN_CLIP)
    write_hf_clip(folder, clip, OWN_CLIP, mean=HALF, std=HALF, marks=(0, 48, 49))
    opened = open_model(folder.path)
    assert_same_weights(clip, opened.clip)
    assert opened.config == OWN_CLIP
    assert opened.mean == HALF


def test_our_own_folder_is_opened_with_its_place(folder):
    clip = Clip(BERT)
    save_weights(folder, clip, BERT)
    for source in (folder, folder.path, f"file://{folder.path}"):
        opened = open_model(source)
        assert_same_weights(clip, opened.clip)
        assert opened.folder is not None
        assert opened.folder.path == folder.path


def test_the_released_biomedclips_stray_position_ids_are_dropped(folder, tmp_path):
    written(folder, BERT)
    path = tmp_path / "elsewhere/one/open_clip_model.safetensors"
    state = dict(open_model(folder.path).clip.state_dict()) | {POSITION_IDS: torch.arange(24)[None]}
    path.unlink()
    torch.save(state, path.with_name("open_clip_pytorch_model.bin"))
    assert POSITION_IDS not in open_model(folder.path).clip.state_dict()


@pytest.mark.parametrize(
    ("config", "options", "words"),
    [
        (BERT, {"vision_cfg": {"timm_pool": "avg"}}, "vision_cfg.timm_pool = 'avg'"),
        (BERT, {"vision_cfg": {"timm_proj": "mlp"}}, "vision_cfg.timm_proj = 'mlp'"),
        (BERT, {"text_cfg": {"hf_pooler_type": "mean_pooler"}}, "text_cfg.hf_pooler_type"),
        (BERT, {"text_cfg": {"hf_proj_type": "linear"}}, "text_cfg.hf_proj_type"),
        (OWN_CLIP, {"vision_cfg": {"no_ln_pre": True}}, "vision_cfg.no_ln_pre = True"),
        (OWN_CLIP, {"text_cfg": {"no_causal_mask": True}}, "text_cfg.no_causal_mask = True"),
        (OWN_CLIP, {"text_cfg": {"pool_type": "last"}}, "text_cfg.pool_type = 'last'"),
        (OWN_CLIP, {"vision_cfg": {"layers": [1, 1, 1, 1]}}, "timm has no ResNet of CLIP"),
        (OWN_CLIP, {"vision_cfg": {"layers": 3}}, "1[0-9] missing: visual.trunk.blocks.2"),
    ],
)
def test_towers_that_are_not_ours_are_refused_by_name(folder, config, options, words):
    written(folder, config)
    changed(folder, **options)
    with pytest.raises(UsageError, match=words):
        open_model(folder.path)


def test_a_bert_whose_heads_nobody_knows_is_an_error_that_says_where_to_tell_them(folder):
    written(folder, BERT.with_overrides({"text.hidden_size": 48, "text.heads": 2}))
    assert open_model(folder.path).config.text.heads == 2  # config.json lies beside
    folder.delete("config.json")
    changed(folder, text_cfg={"hf_model_name": "nobody/bert"})
    with pytest.raises(UsageError, match="number of attention heads"):
        open_model(folder.path)


def test_a_model_that_open_clip_could_not_build_is_not_written_for_it(folder):
    narrow = BERT.with_overrides({"vision.width": 48})
    with pytest.raises(UsageError, match="keep our own folder"):
        write_open_clip(folder, Clip(narrow), narrow, mean=HALF, std=HALF)
    with pytest.raises(UsageError, match="CLIP's own ViT and text tower"):
        write_hf_clip(folder, Clip(BERT), BERT, mean=HALF, std=HALF, marks=(0, 1, 2))
    assert not folder.files()


def test_at_another_size_a_timm_tower_has_timms_name_of_that_size(folder):
    large = BERT.with_overrides({"vision.image_size": 384})
    written(folder, large)
    told = json.loads(folder.read("open_clip_config.json"))["model_cfg"]["vision_cfg"]
    assert told["timm_model_name"] == "vit_tiny_patch16_384"
    assert open_model(folder.path).config.vision.image_size == 384


def test_sources_that_are_none_are_errors(tmp_path):
    with pytest.raises(UsageError, match="neither a local folder nor"):
        open_model(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"none of model.json .* name the folder of a model"):
        open_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(UsageError, match=r"neither model.safetensors nor pytorch_model.bin"):
        open_model(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="a vit model, not transformers' clip"):
        open_model(tmp_path)
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(UsageError, match="has neither open_clip_model"):
        open_model(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(UsageError, match="says nothing of 'model_cfg'"):
        open_model(tmp_path)


def test_a_repository_on_the_hub_is_fetched_and_read_as_a_folder(folder, monkeypatch):
    clip = written(folder, OWN_CLIP)
    asked = []
    monkeypatch.setattr(
        opening, "snapshot_download", lambda name, **_: asked.append(name) or folder.path
    )
    monkeypatch.setattr(opening, "hf_hub_download", lambda *names: asked.append(names))
    assert_same_weights(clip, open_model("hf-hub:somebody/clip").clip)
    assert asked == ["somebody/clip", ("somebody/clip", "open_clip_model.safetensors")]


def only_pickled(folder):
    """A folder of open_clip's as it was written before safetensors."""
    path = Path(folder.path)
    state = load_file(path / "open_clip_model.safetensors")
    (path / "open_clip_model.safetensors").unlink()
    torch.save(state, path / "open_clip_pytorch_model.bin")
    return path


def test_of_a_repository_without_safetensors_the_older_file_is_fetched(
    folder, tmp_path, monkeypatch
):
    """The hub's two calls are stood in for: small files, and one file, which may not be there."""
    clip, cache = written(folder, BERT), tmp_path / "cache"
    hub = only_pickled(folder)

    def snapshot_download(name, *, allow_patterns):
        small = [path for pattern in allow_patterns for path in hub.glob(pattern)]
        cache.mkdir()
        for path in small:
            shutil.copy(path, cache)
        return str(cache)

    def hf_hub_download(name, file):
        if not (hub / file).is_file():
            raise EntryNotFoundError(f"404: {name} has no {file}")
        return shutil.copy(hub / file, cache)

    monkeypatch.setattr(opening, "snapshot_download", snapshot_download)
    monkeypatch.setattr(opening, "hf_hub_download", hf_hub_download)
    assert_same_weights(clip, open_model("somebody/clip").clip)
    assert (cache / "open_clip_pytorch_model.bin").is_file()


def test_without_the_hub_a_repository_in_the_cache_is_opened_by_the_file_that_it_has(
    folder, tmp_path, monkeypatch
):
    clip, cache = written(folder, BERT), tmp_path / "cache"
    place, commit = cache / "models--somebody--clip", "0" * 40
    shutil.copytree(only_pickled(folder), place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_same_weights(clip, open_model("somebody/clip").clip)
    (place / "snapshots" / commit / "open_clip_pytorch_model.bin").unlink()
    with pytest.raises(UsageError, match=r"neither in the cache nor .* go online"):
        open_model("somebody/clip")


def test_a_hub_out_of_reach_is_an_error(monkeypatch):
    def out_of_reach(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(opening, "snapshot_download", out_of_reach)
    with pytest.raises(UsageError, match="go online, or name a local folder"):
        open_model("somebody/clip")


def test_a_checkpoint_that_does_not_say_its_colours_has_clips(folder):
    written(folder, OWN_CLIP)
    told = json.loads(folder.read("open_clip_config.json"))
    del told["preprocess_cfg"]
    folder.write("open_clip_config.json", json.dumps(told).encode())
    assert open_model(folder.path).mean == MEAN
