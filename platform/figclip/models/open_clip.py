"""Checkpoints of open_clip: a folder of `open_clip_config.json` and weights, read and written."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from figclip.config import UsageError
from figclip.models.clip import Clip, ClipConfig
from figclip.models.native_names import Family, family_of, from_native, native_names, to_native
from figclip.models.open_clip_config import config_from, model_cfg_of
from figclip.models.weights import as_pickle, as_safetensors, read_json, read_tensors
from figclip.store import Folder

OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
# A buffer of older transformers, saved with the released BiomedCLIP and computed anew today.
STRAY_KEYS = ("text.transformer.embeddings.position_ids",)


def read_open_clip(folder: Path) -> tuple[dict[str, Tensor], ClipConfig, dict[str, Any]]:
    """State dict by our names, the config it fits, and all that the config file says.

    Image towers of timm or CLIP's own, text towers of Hugging Face's BERT or CLIP's own, in either
    of open_clip's layouts. `UsageError` where file, option or architecture is not as it must be.
    """
    path = next((folder / name for name in OPEN_CLIP_WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise UsageError(f"{folder} has neither {' nor '.join(OPEN_CLIP_WEIGHTS)}")
    if not (folder / OPEN_CLIP_CONFIG).is_file():
        raise UsageError(f"{folder} has no {OPEN_CLIP_CONFIG}")
    told = read_json(folder / OPEN_CLIP_CONFIG)
    state = read_tensors(path)
    try:
        return *described(told["model_cfg"], state, folder), told
    except KeyError as error:
        raise UsageError(f"{folder / OPEN_CLIP_CONFIG} says nothing of {error}") from error


def described(
    model: Mapping[str, Any], state: Mapping[str, Tensor], folder: Path
) -> tuple[dict[str, Tensor], ClipConfig]:
    """State dict by our names and config of what open_clip's `model_cfg` describes."""
    config = config_from(model, state, folder=folder)
    by_timm = "timm_model_name" in model["vision_cfg"]
    family: Family = "timm" if by_timm else family_of(config.vision.timm_model)
    return by_our_names(state, config, family), config


def by_our_names(
    state: Mapping[str, Tensor], config: ClipConfig, family: Family
) -> dict[str, Tensor]:
    """open_clip's state dict by our names; keys that a model of this config lacks stay.

    `family` is how the image tower is named there.
    """
    with torch.device("meta"):
        expected = Clip(config.settled()).state_dict()
    state = {name: tensor for name, tensor in state.items() if name not in STRAY_KEYS}
    text_prefix = any(name.startswith("text.") for name in state)
    return from_native(state, native_names(expected, family, text_prefix=text_prefix))


def by_open_clips_names(clip: Clip, config: ClipConfig) -> dict[str, Tensor]:
    """The state dict that open_clip saves of such a model: of BiomedCLIP's form, 351 tensors."""
    state = clip.state_dict()
    is_custom = config.text.architecture == "bert"
    names = native_names(state, family_of(config.vision.timm_model), text_prefix=is_custom)
    return to_native(state, names)


def write_open_clip(
    folder: Folder,
    clip: Clip,
    config: ClipConfig,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    pad_id: int = 0,
    end_id: int | None = None,
    pickled: bool = False,
) -> None:
    """Write what `open_clip.create_model("local-dir:...")` reads; the tokenizer's files go beside.

    `pad_id` and `end_id` are the tokenizer's; a GPT with OpenAI's needs no `end_id`. A BERT's own
    config lies in the folder and is named by its place: who moves the folder, mends
    `hf_model_name`. Weights are safetensors, or `pickled` for releases that read no others.
    `UsageError` where open_clip has no name for a tower.
    """
    model = model_cfg_of(clip, config, place=folder.path, end_id=end_id)
    if config.text.architecture == "bert":
        text: Any = clip.text
        folder.write(
            "config.json", _json(text.transformer.config.to_dict() | {"pad_token_id": pad_id})
        )
    told = {"model_cfg": model, "preprocess_cfg": {"mean": list(mean), "std": list(std)}}
    state = by_open_clips_names(clip, config)
    safe, binary = OPEN_CLIP_WEIGHTS
    folder.write(*((binary, as_pickle(state)) if pickled else (safe, as_safetensors(state))))
    folder.write(OPEN_CLIP_CONFIG, _json(told))


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode()
