"""transformers' `SiglipModel`: SigLIP and MedSigLIP (arXiv 2303.15343, 2507.05201).

Its text tower attends to padding, and its feature is that of the last place of a full context.
"""

import re
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SiglipConfig, SiglipModel

from figclip.models.clip import TwoTowers
from figclip.models.peers.peer import Peer, filled, first_of
from figclip.models.weights import read_json, read_tensors

MODEL_TYPE = "siglip"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
STRAYS = re.compile(r"(text|vision)_model\.embeddings\.position_ids")
RESAMPLING = {0: "nearest", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of those that released models were made with."""


class SiglipImages(nn.Module):
    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch dim"]:
        features: Tensor = self.tower(pixel_values=pixels).pooler_output
        return features


class SiglipTexts(nn.Module):
    def __init__(self, tower: nn.Module, *, context_length: int, pad_id: int) -> None:
        super().__init__()
        self.tower, self._length, self._pad_id = tower, context_length, pad_id

    def forward(
        self,
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch dim"]:
        padded = ids.masked_fill(~mask.bool(), self._pad_id)
        padded = F.pad(padded, (0, self._length - ids.shape[1]), value=self._pad_id)
        features: Tensor = self.tower(input_ids=padded).pooler_output
        return features


def read_siglip(folder: Path) -> Peer:
    """`UsageError` where weights are missing or do not fit."""
    config = SiglipConfig.from_dict(read_json(folder / "config.json"))
    text: Any = config.text_config
    vision: Any = config.vision_config
    state = read_tensors(first_of(folder, WEIGHTS, what="weights"))
    with torch.device("meta"):
        shell = SiglipModel(config)
    model = filled(shell.to_empty(device="cpu"), state, origin=str(folder), strays=STRAYS)
    _renew_buffers(model)
    length = text.max_position_embeddings
    texts = SiglipTexts(model.text_model, context_length=length, pad_id=text.pad_token_id)
    return Peer(
        TwoTowers(SiglipImages(model.vision_model), texts, model.logit_scale.detach().reshape(())),
        origin=str(folder),
        embed_dim=text.projection_size,
        context_length=length,
        vocab_size=text.vocab_size,
        vocabulary=str(folder),
        pixels=_pixels(folder, vision.image_size),
        is_sentence_pieces=True,
    )


def _renew_buffers(model: nn.Module) -> None:
    """Places are counted by buffers that no file holds, and that an empty model lacks."""
    for module in model.modules():
        if isinstance(places := getattr(module, "position_ids", None), Tensor):
            places.copy_(torch.arange(places.shape[-1])[None])


def _pixels(folder: Path, size: int) -> dict[str, Any]:
    path = folder / "preprocessor_config.json"
    told = read_json(path) if path.is_file() else {}
    return {
        "size": size,
        "fit": "squash",
        "resample": RESAMPLING.get(told.get("resample", 3), "bicubic"),
        "mean": tuple(told.get("image_mean", (0.5,) * 3)),
        "std": tuple(told.get("image_std", (0.5,) * 3)),
    }
