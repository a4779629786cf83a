"""open_clip's `model_cfg` of a model, from ours and to ours."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from torch import Tensor

from figclip.config import UsageError
from figclip.models.clip import Clip, ClipConfig
from figclip.models.native_names import family_of
from figclip.models.text import TextConfig, find_bert_config
from figclip.models.vision import VisionConfig

log = logging.getLogger(__name__)

# Every released BERT, from the tiny one to the large, has heads of this width; so have CLIP's.
HEAD_WIDTH = 64
MLP_RATIO = 4.0
RESNETS = {
    (3, 4, 6, 3, 64): "resnet50_clip",
    (3, 4, 23, 3, 64): "resnet101_clip",
    (4, 6, 10, 6, 80): "resnet50x4_clip",
    (6, 8, 18, 8, 96): "resnet50x16_clip",
    (3, 15, 36, 10, 128): "resnet50x64_clip",
}
"""Blocks of the four stages and the width → timm's name."""
VITS = {
    (768, 12, 12, 16): "base_patch16",
    (768, 12, 12, 32): "base_patch32",
    (1024, 24, 16, 14): "large_patch14",
}
"""Width, depth, heads and side of a patch → what timm's name says of them."""
UNDERSTOOD = {
    "vision_cfg": "image_size layers width head_width mlp_ratio patch_size patch_dropout",
    "text_cfg": "context_length vocab_size width heads layers mlp_ratio pool_type eos_id pad_id "
    "hf_tokenizer_name",
}
"""What may be said of CLIP's own towers; all else would make another architecture."""


def config_from(
    model: Mapping[str, Any], state: Mapping[str, Tensor], *, folder: Path
) -> ClipConfig:
    """Our config of open_clip's `model_cfg`; BERT's sizes are read off the weights.

    `UsageError` names the option that makes another architecture than ours.
    """
    vision, text = model["vision_cfg"], model["text_cfg"]
    _refuse_other_architectures(vision, text)
    quick = bool(model.get("quick_gelu", False))
    is_bert = "hf_model_name" in text
    return ClipConfig(
        vision=_vision_config(vision, quick),
        text=_bert_config(text, state, folder) if is_bert else _gpt_config(text, quick),
        embed_dim=model["embed_dim"],
        initial_bias=model.get("init_logit_bias", 0.0) if "logit_bias" in state else None,
    )


def _refuse_other_architectures(vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    faults = []
    if "timm_model_name" in vision:
        faults += _unlike(
            ("vision_cfg.timm_pool", vision.get("timm_pool", "avg"), ("", "token")),
            ("vision_cfg.timm_proj", vision.get("timm_proj", "linear"), ("linear",)),
            ("vision_cfg.timm_proj_bias", vision.get("timm_proj_bias", False), (False,)),
        )
    else:
        faults += _unknown("vision_cfg", vision)
        faults += _unlike(
            ("vision_cfg.mlp_ratio", vision.get("mlp_ratio", MLP_RATIO), (MLP_RATIO,)),
        )
    if "hf_model_name" in text:
        pooler = text.get("hf_pooler_type")
        faults += _unlike(
            ("text_cfg.hf_proj_type", text.get("hf_proj_type", "mlp"), ("mlp",)),
            ("text_cfg.hf_pooler_type", pooler, ("cls_last_hidden_state_pooler",)),
        )
    else:
        faults += _unknown("text_cfg", text)
        faults += _unlike(
            ("text_cfg.pool_type", text.get("pool_type", "argmax"), ("argmax", "eos")),
        )
    if faults:
        raise UsageError(f"towers that are not built here: {'; '.join(faults)}")


def _unlike(*claims: tuple[str, Any, tuple[Any, ...]]) -> list[str]:
    return [f"{name} = {value!r}" for name, value, allowed in claims if value not in allowed]


def _unknown(part: str, options: Mapping[str, Any]) -> list[str]:
    known = UNDERSTOOD[part].split()
    return [f"{part}.{name} = {value!r}" for name, value in options.items() if name not in known]


def _vision_config(vision: Mapping[str, Any], quick: bool) -> VisionConfig:
    size = vision.get("image_size", 224)
    if "timm_model_name" in vision:
        return VisionConfig(timm_model=vision["timm_model_name"], image_size=size)
    width, layers = vision.get("width", 768), vision.get("layers", 12)
    if isinstance(layers, list):
        name = RESNETS.get((*layers, width))
        if name is None:
            raise UsageError(f"timm has no ResNet of CLIP with {layers} blocks of width {width}")
        return VisionConfig(timm_model=name, image_size=size)
    heads, patch = width // vision.get("head_width", HEAD_WIDTH), vision.get("patch_size", 16)
    middle = "clip_quickgelu" if quick else "clip"
    if known := VITS.get((width, layers, heads, patch)):
        return VisionConfig(timm_model=f"vit_{known}_{middle}_224", image_size=size)
    return VisionConfig(
        timm_model=f"vit_base_patch16_{middle}_224",
        image_size=size,
        width=width,
        depth=layers,
        heads=heads,
        patch_size=patch,
    )


def _gpt_config(text: Mapping[str, Any], quick: bool) -> TextConfig:
    width, length = text.get("width", 512), text.get("context_length", 77)
    return TextConfig(
        architecture="gpt",
        vocab_size=text.get("vocab_size", 49_408),
        hidden_size=width,
        layers=text.get("layers", 12),
        heads=text.get("heads", 8),
        intermediate_size=int(width * text.get("mlp_ratio", MLP_RATIO)),
        max_positions=length,
        context_length=length,
        activation="quick_gelu" if quick else "gelu",
    )


def _bert_config(text: Mapping[str, Any], state: Mapping[str, Tensor], folder: Path) -> TextConfig:
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
        heads=_num_heads(text["hf_model_name"], hidden_size, folder),
        intermediate_size=intermediate_size,
        max_positions=max_positions,
        context_length=text.get("context_length", 77),
    )


def _num_heads(hf_model_name: str, hidden_size: int, folder: Path) -> int:
    beside = str(folder) if (folder / "config.json").is_file() else None
    for place in filter(None, (beside, hf_model_name)):
        if bert := find_bert_config(place, offline=True):
            return bert.num_attention_heads
    if hidden_size % HEAD_WIDTH:
        raise UsageError(
            f"only the config of {hf_model_name} tells the number of attention heads, and it is "
            f"not in the cache: name a local folder with its config.json in text_cfg.hf_model_name"
        )
    heads = hidden_size // HEAD_WIDTH
    log.info("the config of %s is not in the cache: taken to have %d heads", hf_model_name, heads)
    return heads


def model_cfg_of(
    clip: Clip, config: ClipConfig, *, place: str, end_id: int | None
) -> dict[str, Any]:
    """open_clip's `model_cfg` of this model; `UsageError` where it could not build the towers.

    `place` is where a BERT's config and the tokenizer lie; `end_id` the last token of every text
    where that is not OpenAI's, whose end has the highest id of all.
    """
    family, text = family_of(config.vision.timm_model), config.text
    quick = {text.activation == "quick_gelu"} if text.architecture == "gpt" else set()
    if family == "vit":
        quick.add("quickgelu" in config.vision.timm_model)
    if len(quick) > 1:
        raise UsageError("open_clip gives both of CLIP's towers one activation; these have two")
    bias = {} if config.initial_bias is None else {"init_logit_bias": config.initial_bias}
    vision_cfg = _timm_cfg(config.vision) if family == "timm" else _native_cfg(clip, config.vision)
    is_bert = text.architecture == "bert"
    text_cfg = _hf_cfg(text, place) if is_bert else _text_cfg(text, place, end_id)
    return {
        "embed_dim": config.embed_dim,
        **({"quick_gelu": True} if quick == {True} else {}),
        **bias,
        "vision_cfg": vision_cfg,
        "text_cfg": text_cfg,
    }


def _timm_cfg(vision: VisionConfig) -> dict[str, Any]:
    """open_clip builds timm's models by their name alone, in the size that the name says."""
    name = vision.timm_model.partition(".")[0]
    default = timm.get_pretrained_cfg(name)
    if (
        default is not None
        and default.fixed_input_size
        and default.input_size[1] != (size := vision.image_size)
    ):
        name = name.removesuffix(str(default.input_size[1])) + str(size)
    if name not in timm.list_models() or vision.sizes:
        raise UsageError(
            f"open_clip builds timm's models by name, and there is none for {name} with "
            f"{vision.sizes or 'this image size'}: keep our own folder"
        )
    return {
        "timm_model_name": name,
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": vision.image_size,
    }


def _native_cfg(clip: Clip, vision: VisionConfig) -> dict[str, Any]:
    trunk: Any = clip.visual.trunk
    name = vision.timm_model.partition(".")[0]
    if family_of(vision.timm_model) == "resnet":
        *layers, width = next(sizes for sizes, n in RESNETS.items() if n == name)
        return {"image_size": vision.image_size, "layers": layers, "width": width}
    width = trunk.embed_dim
    return {
        "image_size": vision.image_size,
        "layers": len(trunk.blocks),
        "width": width,
        "head_width": width // trunk.blocks[0].attn.num_heads,
        "patch_size": trunk.patch_embed.patch_size[0],
    }


def _hf_cfg(text: TextConfig, place: str) -> dict[str, Any]:
    return {
        "hf_model_name": place,
        "hf_tokenizer_name": place,
        "hf_model_pretrained": False,
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": text.context_length,
    }


def _text_cfg(text: TextConfig, place: str, end_id: int | None) -> dict[str, Any]:
    own = {"pool_type": "eos", "eos_id": end_id, "hf_tokenizer_name": place}
    return {
        "context_length": text.context_length,
        "vocab_size": text.vocab_size,
        "width": text.hidden_size,
        "heads": text.heads,
        "layers": text.layers,
        "mlp_ratio": text.intermediate_size / text.hidden_size,
        **({} if end_id is None else own),
    }
