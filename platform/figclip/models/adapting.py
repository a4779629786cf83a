"""What of a model learns: all of it, its heads and last layers, or low-rank updates of its layers.

Heads, temperature and bias learn in any case: they are what a new corpus changes first.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import NonNegativeInt, PositiveInt
from timm.models import group_parameters
from torch import Tensor, nn

from figclip.config import Config, UsageError
from figclip.models.clip import Clip, ClipConfig
from figclip.models.gpt import GptTower

HEADS = ("visual.head.", "text.proj.", "text.text_projection", "logit_scale", "logit_bias")
LORA_IN_IMAGE = r"visual\.trunk\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.fc[12])"
LORA_IN_TEXT = (
    r"text\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.fc[12])",
    r"text\.transformer\.encoder\.layer\.\d+\..*(query|key|value|dense)",
)
"""The linear maps inside the layers of each kind of transformer, by their full names."""


class AdaptConfig(Config):
    """As it stands, everything learns."""

    lock_image: bool = False
    """Keep the image tower as it is (LiT, arXiv 2111.07991); its projection learns."""
    image_unlocked: NonNegativeInt = 0
    """Of a locked image tower, how many groups learn, counted from the end; a block is a group."""
    lock_text: bool = False
    """Keep the text tower as it is; its projection learns."""
    text_unlocked: NonNegativeInt = 0
    """Of a locked text tower, how many groups learn, counted from the end; a layer is a group."""
    freeze_batch_norm: bool = False
    """Keep weights and statistics of a ResNet's batch norms: then a picture's features do not
    depend on its neighbours, and a batch can go through in parts."""
    lora_rank: NonNegativeInt = 0
    """Above 0, towers that are not locked learn by updates of this rank to the linear maps of
    their transformer alone (LoRA, arXiv 2106.09685); what is published holds the sum."""
    lora_alpha: PositiveInt = 16
    """The updates are multiplied by this over the rank."""


def adapted(clip: Clip, config: AdaptConfig) -> Clip:
    """The same model, changed in place, in which only what is to learn requires gradients."""
    if config.lora_rank:
        _with_lora(clip, config)
    towers = (
        (config.lock_image, _image_groups(clip), config.image_unlocked, "image"),
        (config.lock_text, _text_groups(clip), config.text_unlocked, "text"),
    )
    for is_locked, groups, unlocked, name in towers:
        if unlocked and not is_locked:
            raise UsageError(
                f"{name}_unlocked {unlocked} without lock_{name}: set --adapt.lock-{name}"
            )
        if is_locked:
            _lock(groups, unlocked, name)
    if config.freeze_batch_norm:
        for norm in _batch_norms(clip):
            norm.requires_grad_(False)
    return clip.train(clip.training)  # what is locked does not count either


def mixes_pictures(clip: Clip) -> bool:
    """Whether, in training, a picture's features depend on the others of its batch."""
    return any(norm.training for norm in _batch_norms(clip))


def _batch_norms(clip: Clip) -> list[nn.BatchNorm2d]:
    return [module for module in clip.modules() if isinstance(module, nn.BatchNorm2d)]


def plain(state: Mapping[str, Tensor], model: ClipConfig, config: AdaptConfig) -> dict[str, Tensor]:
    """The state dict of an adapted model as that of the plain one, low-rank updates added in."""
    if not config.lora_rank:
        return dict(state)
    clip = Clip(model.settled())
    lora = _with_lora(clip, config)
    clip.load_state_dict(state)
    merged: nn.Module = lora.merge_and_unload()
    return merged.state_dict()


def _with_lora(clip: Clip, config: AdaptConfig) -> Any:
    """peft's hand on the model, whose linear maps it replaces in place."""
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        raise UsageError(
            "--adapt.lora-rank needs peft: install figclip with its extra, 'figclip[lora]'"
        ) from error
    targets = [] if config.lock_image else [LORA_IN_IMAGE]
    targets += [] if config.lock_text else LORA_IN_TEXT
    there = [name for name, module in clip.named_modules() if isinstance(module, nn.Linear)]
    chosen = [name for name in there if _matches(name, targets)]
    if not chosen:
        raise UsageError("no tower has a transformer that learns: set --adapt.lora-rank 0")
    lora = LoraModel(
        clip,
        LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=chosen),
        "default",
    )
    for name, parameter in clip.named_parameters():  # peft froze these as well
        if name.startswith(HEADS):
            parameter.requires_grad_(True)
    return lora


def _matches(name: str, patterns: list[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _lock(groups: list[list[nn.Parameter]], unlocked: int, name: str) -> None:
    if unlocked > len(groups):
        raise UsageError(
            f"the {name} tower has {len(groups)} groups: set --adapt.{name}-unlocked no higher"
        )
    for parameter in (p for group in groups[: len(groups) - unlocked] for p in group):
        parameter.requires_grad_(False)


def _image_groups(clip: Clip) -> list[list[nn.Parameter]]:
    """As timm groups its trunks: what makes the tokens, each block, the last with the norm."""
    trunk = clip.visual.trunk
    groups: dict[int, list[str]] = group_parameters(trunk, trunk.group_matcher())
    return [[trunk.get_parameter(name) for name in groups[key]] for key in sorted(groups)]


def _text_groups(clip: Clip) -> list[list[nn.Parameter]]:
    """The embeddings, each layer, and with the last layer the norm after it."""
    text: Any = clip.text
    if isinstance(text, GptTower):
        embeddings = [*text.token_embedding.parameters(), text.positional_embedding]
        layers = [list(block.parameters()) for block in text.blocks]
        return [embeddings, *layers[:-1], [*layers[-1], *text.ln_final.parameters()]]
    bert = text.transformer
    return [list(part.parameters()) for part in (bert.embeddings, *bert.encoder.layer)]
