"""The names that CLIP's own towers have in open_clip's checkpoints, beside the ones they have here.

Here every image tower is timm's, and CLIP's text tower is made of timm's blocks. OpenAI's release
names and shapes the same tensors otherwise, and open_clip's `CLIP` goes by that.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor

from figclip.models.vision import PROJECTS_AS_IT_POOLS

Family = Literal["timm", "vit", "resnet"]
"""Whose names an image tower has: timm's, or one of the two of OpenAI's release."""

_VIT = re.compile(r"vit_\w+_clip_\w+(\..+)?")
_BLOCKS = (
    (r"\.norm([12])\.", r".ln_\1."),
    (r"\.attn\.qkv\.", ".attn.in_proj_"),
    (r"\.attn\.proj\.", ".attn.out_proj."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
)
_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "timm": (),
    "vit": (
        (r"^visual\.trunk\.cls_token$", "visual.class_embedding"),
        (r"^visual\.trunk\.pos_embed$", "visual.positional_embedding"),
        (r"^visual\.trunk\.patch_embed\.proj\.", "visual.conv1."),
        (r"^visual\.trunk\.norm_pre\.", "visual.ln_pre."),
        (r"^visual\.trunk\.norm\.", "visual.ln_post."),
        (r"^visual\.head\.proj\.weight$", "visual.proj"),
        (r"^visual\.trunk\.blocks\.", "visual.transformer.resblocks."),
        *_BLOCKS,
    ),
    "resnet": (
        *((rf"^visual\.trunk\.stages\.{n}\.", f"visual.layer{n + 1}.") for n in range(4)),
        (r"^visual\.trunk\.stem\.conv(\d)\.conv\.", r"visual.conv\1."),
        (r"^visual\.trunk\.stem\.conv(\d)\.bn\.", r"visual.bn\1."),
        (r"\.shortcut\.conv\.conv\.", ".downsample.0."),
        (r"\.shortcut\.conv\.bn\.", ".downsample.1."),
        (r"\.conv(\d)_(?:1x1|kxk)\.conv\.", r".conv\1."),
        (r"\.conv(\d)_(?:1x1|kxk)\.bn\.", r".bn\1."),
        (r"^visual\.trunk\.head\.pos_embed$", "visual.attnpool.positional_embedding"),
        (r"^visual\.trunk\.head\.([qkv])\.", r"visual.attnpool.\1_proj."),
        (r"^visual\.trunk\.head\.proj\.", "visual.attnpool.c_proj."),
    ),
    "gpt": ((r"^text\.blocks\.", "text.transformer.resblocks."), *_BLOCKS),
}
_TURNED = "visual.proj"
"""A matrix that is multiplied from the left there, from the right here."""
_LEADING = {"visual.class_embedding": 2, "visual.positional_embedding": 1}
"""Axes of length one that these have here in front of the others."""


def family_of(timm_model: str) -> Family:
    """Whose layout open_clip has for this image tower."""
    if PROJECTS_AS_IT_POOLS.fullmatch(timm_model):
        return "resnet"
    return "vit" if _VIT.fullmatch(timm_model) else "timm"


def native_names(names: Iterable[str], family: Family, *, text_prefix: bool) -> dict[str, str]:
    """Our name → open_clip's, for every parameter and buffer of a `Clip`.

    `family` says how the image tower is named there. Its `CustomTextCLIP` has `text.` before the
    names of the text tower (`text_prefix`), its `CLIP` has not.
    """
    return {name: _native(name, family, text_prefix=text_prefix) for name in names}


def to_native(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Our state dict by open_clip's names, in its shapes."""
    return {names[name]: _shaped(names[name], tensor) for name, tensor in state.items()}


def from_native(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """What `to_native` made, as it was; names that the table does not have stay as they are."""
    ours = {theirs: name for name, theirs in names.items()}
    return {ours.get(name, name): _unshaped(name, tensor) for name, tensor in state.items()}


def _native(name: str, family: Family, *, text_prefix: bool) -> str:
    if name.startswith("visual."):
        return _renamed(name, family)
    if not name.startswith("text.") or name.startswith("text.transformer."):  # BERT's are the same
        return name
    found = _renamed(name, "gpt")
    return found if text_prefix else found.removeprefix("text.")


def _renamed(name: str, rules: str) -> str:
    for pattern, replacement in _RULES[rules]:
        name = re.sub(pattern, replacement, name)
    return name


def _shaped(native: str, tensor: Tensor) -> Tensor:
    if native == _TURNED:
        return tensor.T.contiguous()
    return tensor.reshape(tensor.shape[_LEADING.get(native, 0) :])


def _unshaped(native: str, tensor: Tensor) -> Tensor:
    if native == _TURNED:
        return tensor.T.contiguous()
    return tensor[(None,) * _LEADING.get(native, 0)] if native in _LEADING else tensor
