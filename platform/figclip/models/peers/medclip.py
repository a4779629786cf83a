"""MedCLIP (arXiv 2210.10163): a Swin transformer or a ResNet-50 beside BioClinicalBERT.

Its folder holds `pytorch_model.bin` alone, as https://github.com/RyanWangZf/MedCLIP saves it; the
sizes are read off the weights. The feature of a text is the mean over its tokens, and over the
states after the first, the second and the last layer. There the mean is taken over padding as well,
so that a text's vector depends on its neighbours in a batch; here it is the one of the text alone.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import BertModel, SwinConfig, SwinModel

from figclip.config import UsageError
from figclip.models.clip import TwoTowers
from figclip.models.peers.peer import Peer, below, bert_config_of, filled, num_in, scalar
from figclip.models.peers.resnet import WIDTH, resnet_like
from figclip.models.weights import read_tensors

WEIGHTS = "pytorch_model.bin"
VOCABULARY = "emilyalsentzer/Bio_ClinicalBERT"
VOCABULARIES = ("tokenizer.json", "vocab.txt")
CONTEXT_LENGTH = 77
MEAN, STD = 0.5862785803043838, 0.27950088968644304
"""Of the one grey channel."""
IMAGE_SIZE = 224
STRAYS = re.compile(
    r"text_model\.model\.embeddings\.position_ids|.*\.relative_position_index|.*\.pooler\.dense\..*"
)
_RULES = (
    (r"\.attention\.self\.(query|key|value)\.", lambda m: f".attention.{m[1][0]}_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (
        r"\.attention\.self\.(relative_position_bias_table)$",
        r".attention.relative_position_bias.\1",
    ),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)
"""The names of Swin's parts in the transformers that MedCLIP was saved with → in today's."""


class SwinImages(nn.Module):
    """Named as in MedCLIP's `vision_model`."""

    def __init__(self, config: SwinConfig, embed_dim: int) -> None:
        super().__init__()
        self.model = SwinModel(config)
        self.projection_head = nn.Linear(config.hidden_size, embed_dim, bias=False)

    def forward(self, pixels: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch dim"]:
        features: Tensor = self.projection_head(self.model(pixels).pooler_output)
        return features


class ResnetImages(nn.Module):
    """The same of MedCLIP-ResNet50, whose classifier is the projection."""

    def __init__(self, state: Mapping[str, Tensor], embed_dim: int) -> None:
        super().__init__()
        self.model = resnet_like(below(state, "vision_model.model."))
        self.model.fc = nn.Linear(WIDTH, embed_dim, bias=False)

    def forward(self, pixels: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch dim"]:
        features: Tensor = self.model(pixels)
        return features


class MeanTexts(nn.Module):
    """Named as in MedCLIP's `text_model`."""

    def __init__(self, model: BertModel, embed_dim: int) -> None:
        super().__init__()
        self.model = model
        self.projection_head = nn.Linear(model.config.hidden_size, embed_dim, bias=False)

    def forward(
        self,
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch dim"]:
        told = self.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        states = torch.stack([told.hidden_states[place] for place in (1, 2, -1)]).mean(0)
        weight = mask[..., None].to(states.dtype)
        features: Tensor = self.projection_head((weight * states).sum(1) / weight.sum(1))
        return features


def is_medclip(state: Mapping[str, Tensor]) -> bool:
    return all(any(name.startswith(f"{part}_model.model.") for name in state) for part in PARTS)


PARTS = ("text", "vision")


def read_medclip(folder: Path) -> Peer:
    """`UsageError` where the weights are not MedCLIP's."""
    origin = str(folder)
    state = read_tensors(folder / WEIGHTS)
    if not is_medclip(state):
        raise UsageError(
            f"{folder} has weights and no config, but these are not MedCLIP's: lay the model's "
            f"config.json beside them"
        )
    dim = len(state["text_model.projection_head.weight"])
    bert = bert_config_of(below(state, "text_model.model."), origin=origin)
    is_swin = "vision_model.projection_head.weight" in state
    visual: nn.Module
    if is_swin:
        state = {_todays(name): tensor for name, tensor in state.items()}
        visual = SwinImages(_swin_config(below(state, "vision_model.model.")), dim)
    else:
        visual = ResnetImages(state, dim)
    texts = MeanTexts(BertModel(bert, add_pooling_layer=False), dim)
    whole = nn.ModuleDict({"vision_model": visual, "text_model": texts})
    scale = scalar(state, "logit_scale", 0.0)
    rest = {name: tensor for name, tensor in state.items() if name != "logit_scale"}
    filled(whole, rest, origin=origin, strays=STRAYS)
    has_vocabulary = any((folder / name).is_file() for name in VOCABULARIES)
    return Peer(
        TwoTowers(visual, texts, scale),
        origin=origin,
        embed_dim=dim,
        context_length=min(CONTEXT_LENGTH, bert.max_position_embeddings),
        vocab_size=bert.vocab_size,
        vocabulary=origin if has_vocabulary else VOCABULARY,
        pixels={
            "size": IMAGE_SIZE,
            "fit": "pad",
            "is_grey": True,
            "mean": (MEAN,) * 3,
            "std": (STD,) * 3,
        },
    )


def _todays(name: str) -> str:
    if not name.startswith("vision_model."):
        return name
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name


def _swin_config(state: Mapping[str, Tensor]) -> SwinConfig:
    """Depths, widths and windows, read off the weights."""
    patches = state["embeddings.patch_embeddings.projection.weight"]
    stages = range(num_in(state, "encoder.layers."))
    table = "attention.relative_position_bias.relative_position_bias_table"
    tables = [state[f"encoder.layers.{n}.blocks.0.{table}"] for n in stages]
    settings: dict[str, Any] = {
        "image_size": IMAGE_SIZE,
        "patch_size": patches.shape[-1],
        "embed_dim": len(patches),
        "depths": [num_in(state, f"encoder.layers.{n}.blocks.") for n in stages],
        "num_heads": [one.shape[1] for one in tables],
        "window_size": (round(len(tables[0]) ** 0.5) + 1) // 2,
    }
    return SwinConfig(**settings)
