"""Every door to weights: our own folders, and the checkpoints of open_clip."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor

from figclip.config import UsageError
from figclip.models.clip import BIOMEDCLIP, Clip, ClipConfig
from figclip.models.text import TextConfig, find_bert_config
from figclip.models.vision import VisionConfig
from figclip.store import Folder

log = logging.getLogger(__name__)

CONFIG_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
# A buffer of older transformers, saved with the released BiomedCLIP and computed anew today.
STRAY_KEYS = ("text.transformer.embeddings.position_ids",)
# Every released BERT, from the tiny one to the large, has heads of this width.
BERT_HEAD_WIDTH = 64


def save_weights(folder: Folder, clip: Clip, config: ClipConfig) -> None:
    """Write `model.json` and `model.safetensors`; what they hold is opened without any hub."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in clip.state_dict().items()}
    folder.write(WEIGHTS_FILE, save(state, metadata={"format": "pt"}))
    folder.write(CONFIG_FILE, config.settled().to_json().encode())


def load_clip(folder: Folder) -> tuple[Clip, ClipConfig]:
    """The model that `save_weights` wrote, on the CPU, in eval mode."""
    absent = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not folder.exists(name)]
    if absent:
        raise UsageError(f"{folder.path} has no {' and no '.join(absent)}: it holds no encoder")
    config = ClipConfig.from_json(folder.read(CONFIG_FILE))
    return clip_with(load(folder.read(WEIGHTS_FILE)), config, origin=folder.path), config


def load_open_clip(
    source: str | Path | Mapping[str, Tensor], *, config: ClipConfig = BIOMEDCLIP
) -> tuple[Clip, ClipConfig]:
    """A CustomTextCLIP of open_clip whose towers are a timm model and a BERT, such as BiomedCLIP.

    `source` is a state dict, of which `config` tells the sizes; or else a local folder with
    `open_clip_config.json` and its weights, or such a repository's name on the hub, which tell
    their sizes themselves. `UsageError` where keys are missing, unexpected or of another shape.
    """
    if isinstance(source, Mapping):
        return clip_with(source, config, origin="the state dict"), config
    folder = _local_folder(str(source))
    state = _read_open_clip_weights(folder)
    found = _open_clip_config(folder, state)
    return clip_with(state, found, origin=str(folder)), found


def clip_with(state: Mapping[str, Tensor], config: ClipConfig, *, origin: str) -> Clip:
    """A model of this config with exactly these weights, in eval mode."""
    clip = Clip(config.settled())
    state = {name: tensor for name, tensor in state.items() if name not in STRAY_KEYS}
    _check_keys(state, clip.state_dict(), origin=origin)
    clip.load_state_dict(state)
    return clip.eval()


def _check_keys(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, origin: str
) -> None:
    faults = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    told = [
        f"{len(names)} {fault}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for fault, names in faults.items()
        if names
    ]
    if told:
        raise UsageError(
            f"the weights of {origin} do not fit the model; give the config they were made "
            f"with. {'; '.join(told)}"
        )


def _local_folder(source: str) -> Path:
    if Path(source).is_dir():
        return Path(source)
    name = source.removeprefix("hf-hub:")
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise UsageError(
            f"{source}: neither a local folder nor the name of a repository on the hub (OWNER/NAME)"
        )
    try:
        return Path(snapshot_download(name, allow_patterns=[OPEN_CLIP_CONFIG, *OPEN_CLIP_WEIGHTS]))
    except OSError as error:
        raise UsageError(
            f"{name} is neither in the cache nor to be fetched from the hub "
            f"({type(error).__name__}): go online, or name a local folder"
        ) from error


def _read_open_clip_weights(folder: Path) -> dict[str, Tensor]:
    path = next((folder / name for name in OPEN_CLIP_WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise UsageError(f"{folder} has neither {' nor '.join(OPEN_CLIP_WEIGHTS)}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        raise UsageError(
            f"{path} holds no plain tensors, or not all of them ({type(error).__name__}); "
            f"fetch it again"
        ) from error
    return state


def _open_clip_config(folder: Path, state: Mapping[str, Tensor]) -> ClipConfig:
    if not (folder / OPEN_CLIP_CONFIG).is_file():
        raise UsageError(f"{folder} has no {OPEN_CLIP_CONFIG}")
    model = json.loads((folder / OPEN_CLIP_CONFIG).read_bytes())["model_cfg"]
    vision, text = model["vision_cfg"], model["text_cfg"]
    _check_architecture(vision, text)
    return ClipConfig(
        vision=VisionConfig(
            timm_model=vision["timm_model_name"], image_size=vision.get("image_size", 224)
        ),
        text=_text_config(text, state),
        embed_dim=model["embed_dim"],
    )


def _check_architecture(vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    """The towers are as ours, or `UsageError` names the option that is not."""
    expected = [
        ("vision_cfg.timm_pool", vision.get("timm_pool", "avg"), ("", "token")),
        ("vision_cfg.timm_proj", vision.get("timm_proj", "linear"), ("linear",)),
        ("text_cfg.hf_proj_type", text.get("hf_proj_type", "mlp"), ("mlp",)),
        ("text_cfg.hf_pooler_type", text.get("hf_pooler_type"), ("cls_last_hidden_state_pooler",)),
    ]
    faults = [f"{name} = {value!r}" for name, value, allowed in expected if value not in allowed]
    faults += [
        f"no {name}"
        for name, there in (
            ("vision_cfg.timm_model_name", "timm_model_name" in vision),
            ("text_cfg.hf_model_name", "hf_model_name" in text),
        )
        if not there
    ]
    if faults:
        raise UsageError(
            f"this checkpoint has other towers than BiomedCLIP's timm and BERT: {'; '.join(faults)}"
        )


def _text_config(text: Mapping[str, Any], state: Mapping[str, Tensor]) -> TextConfig:
    """Sizes read off the weights; the heads, which leave no trace there, off the BERT's config."""
    prefix = "text.transformer."
    layers = {name.split(".")[4] for name in state if name.startswith(f"{prefix}encoder.layer.")}
    try:
        vocab_size, hidden_size = state[f"{prefix}embeddings.word_embeddings.weight"].shape
        max_positions = len(state[f"{prefix}embeddings.position_embeddings.weight"])
        intermediate_size = len(state[f"{prefix}encoder.layer.0.intermediate.dense.weight"])
    except KeyError as error:
        raise UsageError(f"the weights hold no BERT: {error} is missing") from error
    return TextConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        layers=len(layers),
        heads=_num_heads(text["hf_model_name"], hidden_size),
        intermediate_size=intermediate_size,
        max_positions=max_positions,
        context_length=text.get("context_length", 77),
    )


def _num_heads(hf_model_name: str, hidden_size: int) -> int:
    if bert := find_bert_config(hf_model_name, offline=True):
        return bert.num_attention_heads
    if hidden_size % BERT_HEAD_WIDTH:
        raise UsageError(
            f"only the config of {hf_model_name} tells the number of attention heads, and it is "
            f"not in the cache: name a local folder with its config.json in text_cfg.hf_model_name"
        )
    heads = hidden_size // BERT_HEAD_WIDTH
    log.info("the config of %s is not in the cache: taken to have %d heads", hf_model_name, heads)
    return heads
