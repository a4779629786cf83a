"""transformers' `CLIPModel`: a folder of `config.json` and weights, read and written."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPConfig as HfClipConfig

from figclip.config import UsageError
from figclip.models.clip import Clip, ClipConfig
from figclip.models.native_names import from_native, native_names, to_native
from figclip.models.open_clip_config import config_from, model_cfg_of
from figclip.models.weights import as_safetensors, read_json, read_tensors
from figclip.store import Folder

HF_CONFIG = "config.json"
HF_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
HF_PIXELS = "preprocessor_config.json"
STRAY_KEYS = re.compile(r"(text|vision)_model\.embeddings\.position_ids")
"""Buffers of older transformers, computed anew today."""
_RULES = (
    (r"^visual\.class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^visual\.positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^visual\.conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual\.ln_pre\.", "vision_model.pre_layrnorm."),  # misspelt there
    (r"^visual\.ln_post\.", "vision_model.post_layernorm."),
    (r"^visual\.proj$", "visual_projection.weight"),
    (r"^visual\.transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    (r"^ln_final\.", "text_model.final_layer_norm."),
    (r"^text_projection$", "text_projection.weight"),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)
_JOINT = re.compile(r"\.attn\.in_proj_(weight|bias)$")
"""Query, key and value are one matrix in open_clip and three there."""


def read_hf_clip(folder: Path) -> tuple[dict[str, Tensor], ClipConfig]:
    """State dict by our names, and the config it fits; `UsageError` where the model is no CLIP."""
    path = next((folder / name for name in HF_WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise UsageError(f"{folder} has neither {' nor '.join(HF_WEIGHTS)}")
    config = config_of(read_json(folder / HF_CONFIG), folder)
    state = {name: t for name, t in read_tensors(path).items() if not STRAY_KEYS.fullmatch(name)}
    with torch.device("meta"):
        expected = Clip(config).state_dict()
    names = native_names(expected, "vit", text_prefix=False)
    return from_native(_joined(state, names.values()), names), config


def config_of(told: Mapping[str, Any], folder: Path) -> ClipConfig:
    """Our config of transformers' `CLIPConfig`."""
    if told.get("model_type") != "clip":
        raise UsageError(f"{folder} holds a {told.get('model_type')} model, not transformers' clip")
    found = HfClipConfig.from_dict(dict(told))
    vision: Any = found.vision_config
    text: Any = found.text_config
    wrong = [
        f"{part}.{name} = {value!r}"
        for part, tower in (("vision_config", vision), ("text_config", text))
        for name, value, allowed in (
            ("hidden_act", tower.hidden_act, ("gelu", "quick_gelu")),
            ("layer_norm_eps", tower.layer_norm_eps, (1e-5,)),
            ("intermediate_size", tower.intermediate_size / tower.hidden_size, (4.0,)),
        )
        if value not in allowed
    ]
    if wrong or vision.hidden_act != text.hidden_act:
        raise UsageError(f"{folder} is unlike OpenAI's CLIP: {'; '.join(wrong) or 'activations'}")
    vision_cfg = {
        "image_size": vision.image_size,
        "width": vision.hidden_size,
        "layers": vision.num_hidden_layers,
        "head_width": vision.hidden_size // vision.num_attention_heads,
        "patch_size": vision.patch_size,
    }
    text_cfg = {
        "context_length": text.max_position_embeddings,
        "vocab_size": text.vocab_size,
        "width": text.hidden_size,
        "heads": text.num_attention_heads,
        "layers": text.num_hidden_layers,
    }
    model = {
        "embed_dim": found.projection_dim,
        "quick_gelu": text.hidden_act == "quick_gelu",
        "vision_cfg": vision_cfg,
        "text_cfg": text_cfg,
    }
    return config_from(model, {}, folder=folder)


def write_hf_clip(
    folder: Folder,
    clip: Clip,
    config: ClipConfig,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    marks: tuple[int, int, int],
) -> None:
    """Write what `CLIPModel` and `CLIPImageProcessor` read by `from_pretrained`.

    `marks` are the tokenizer's ids of padding, begin and end. `UsageError` where the towers are
    not CLIP's own: transformers has no `CLIPModel` of others.
    """
    told = hf_config_of(clip, config, marks)
    folder.write(HF_WEIGHTS[0], as_safetensors(by_hfs_names(clip)))
    folder.write(HF_PIXELS, _json(pixels_of(config.vision.image_size, mean, std)))
    folder.write(HF_CONFIG, _json(told))


def by_hfs_names(clip: Clip) -> dict[str, Tensor]:
    """The state dict of `CLIPModel`: of ViT-B/16, 398 tensors."""
    state = clip.state_dict()
    native = to_native(state, native_names(state, "vit", text_prefix=False))
    found: dict[str, Tensor] = {}
    for name, tensor in native.items():
        theirs = _hf_names(name)
        parts = tensor.chunk(len(theirs)) if len(theirs) > 1 else [tensor]
        for part, rows in zip(theirs, parts, strict=True):
            found[part] = (rows.T if name in _TURNED else rows).contiguous()
    return found


_TURNED = ("visual.proj", "text_projection")
"""Matrices that open_clip multiplies from the right, and transformers' Linear from the left."""


def _joined(state: Mapping[str, Tensor], native: Iterable[str]) -> dict[str, Tensor]:
    """transformers' state dict by open_clip's names; keys that the model lacks stay."""
    rest, found = dict(state), {}
    for name in native:
        theirs = _hf_names(name)
        if all(part in rest for part in theirs):
            tensor = torch.cat([rest.pop(part) for part in theirs]) if len(theirs) > 1 else None
            tensor = rest.pop(theirs[0]) if tensor is None else tensor
            found[name] = tensor.T.contiguous() if name in _TURNED else tensor
    return found | rest


def _hf_names(native: str) -> list[str]:
    for pattern, replacement in _RULES:
        native = re.sub(pattern, replacement, native)
    if joint := _JOINT.search(native):
        start = native[: joint.start()]
        return [f"{start}.self_attn.{part}_proj.{joint[1]}" for part in "qkv"]
    return [native]


def hf_config_of(clip: Clip, config: ClipConfig, marks: tuple[int, int, int]) -> dict[str, Any]:
    model = model_cfg_of(clip, config, place="", end_id=None)
    vision, text = model["vision_cfg"], model["text_cfg"]
    if "patch_size" not in vision or "vocab_size" not in text or config.initial_bias is not None:
        raise UsageError(
            "transformers' CLIPModel has CLIP's own ViT and text tower and no bias: "
            "write this model for open_clip"
        )
    activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    pad, begin, end = marks
    return HfClipConfig(
        projection_dim=config.embed_dim,
        vision_config={
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "hidden_size": vision["width"],
            "intermediate_size": 4 * vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision["head_width"],
            "hidden_act": activation,
            "projection_dim": config.embed_dim,
        },
        text_config={
            "vocab_size": text["vocab_size"],
            "hidden_size": text["width"],
            "intermediate_size": config.text.intermediate_size,
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "hidden_act": activation,
            "projection_dim": config.embed_dim,
            "pad_token_id": pad,
            "bos_token_id": begin,
            "eos_token_id": end,
        },
        architectures=["CLIPModel"],
    ).to_dict()


def pixels_of(size: int, mean: Sequence[float], std: Sequence[float]) -> dict[str, Any]:
    """The evaluation recipe as transformers' image processor is told it."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(std),
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode()
