"""BioViL and BioViL-T (arXiv 2204.09817, 2301.04558): a ResNet-50 beside CXR-BERT.

Their folders on the hub, `microsoft/BiomedVLP-CXR-BERT-specialized` and
`microsoft/BiomedVLP-BioViL-T`, hold transformers' files of the text tower and a file of torch's for
the image tower. Of BioViL-T's, which compares a radiograph with an earlier one, the case without an
earlier one is built.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from figclip.models.clip import TwoTowers
from figclip.models.peers.peer import Peer, filled, first_of
from figclip.models.peers.resnet import WIDTH, trunk_like
from figclip.models.unpadded import first_token_states
from figclip.models.weights import read_json, read_tensors

MODEL_TYPE = "cxr-bert"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
IMAGE_WEIGHTS = ("biovil_image_resnet50_proj_size_128.pt", "biovil_t_image_model_proj_size_128.pt")
RESIZED, BIOVIL_SIZE, BIOVIL_T_SIZE = 512, 480, 448
"""Shortest side before the crop, and the crops."""
IMAGE_STRAYS = re.compile(r"encoder\.encoder\.fc\..*|encoder\.vit_pooler\..*|classifier\..*")
TEXT_STRAYS = re.compile(r"cls\..*|bert\.pooler\..*|bert\.embeddings\.position_ids")


class BioVilImages(nn.Module):
    """Named as in `ImageModel` of https://github.com/microsoft/hi-ml."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        trunk = {name.removeprefix("encoder.encoder."): t for name, t in state.items()}
        missing = state.get("encoder.missing_previous_emb")
        self.encoder = _Encoder(trunk, None if missing is None else missing.shape[1])
        first, last = state["projector.model.0.weight"], state["projector.model.3.weight"]
        layers = nn.Sequential(
            nn.Conv2d(first.shape[1], len(first), 1, bias=False),
            nn.BatchNorm2d(len(first)),
            nn.ReLU(),
            nn.Conv2d(len(first), len(last), 1),
        )
        self.projector = nn.ModuleDict({"model": layers})

    def forward(self, pixels: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch dim"]:
        """The mean of the projected patches."""
        features: Tensor = self.projector["model"](self.encoder(pixels)).mean((2, 3))
        return features


class _Encoder(nn.Module):
    """A ResNet; in BioViL-T's, beside its map stands what means that there is no earlier one."""

    def __init__(self, trunk: Mapping[str, Tensor], num_channels: int | None) -> None:
        super().__init__()
        self.encoder = trunk_like(trunk)
        self.has_time = num_channels is not None
        if num_channels is not None:
            self.backbone_to_vit = nn.Conv2d(WIDTH, num_channels, 1, bias=False)
            self.missing_previous_emb = nn.Parameter(torch.zeros(1, num_channels, 1, 1))

    def forward(
        self, pixels: Float[Tensor, "batch 3 side side"]
    ) -> Float[Tensor, "batch channels height width"]:
        found: Tensor = self.encoder(pixels)
        if not self.has_time:
            return found
        now = self.backbone_to_vit(found)
        return torch.cat([now, self.missing_previous_emb.expand_as(now)], dim=1)


class CxrBertTexts(nn.Module):
    """Named as in `CXRBertModel`: the first token's state, projected."""

    def __init__(self, config: BertConfig, embed_dim: int) -> None:
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        self.cls_projection_head = nn.ModuleDict(
            {
                "dense_to_hidden": nn.Linear(config.hidden_size, embed_dim),
                "LayerNorm": nn.LayerNorm(embed_dim, eps=1e-12),
                "dense_to_output": nn.Linear(embed_dim, embed_dim),
            }
        )

    def forward(
        self,
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch dim"]:
        head = self.cls_projection_head
        hidden = F.gelu(head["dense_to_hidden"](first_token_states(self.bert, ids, mask)))
        features: Tensor = head["dense_to_output"](head["LayerNorm"](hidden))
        return features


def read_biovil(folder: Path) -> Peer:
    """`UsageError` where a file is missing or does not fit."""
    origin = str(folder)
    told = read_json(folder / "config.json")
    images = read_tensors(first_of(folder, IMAGE_WEIGHTS, what="weights of the image tower"))
    texts = read_tensors(first_of(folder, WEIGHTS, what="weights of the text tower"))
    visual = filled(BioVilImages(images), images, origin=origin, strays=IMAGE_STRAYS)
    dim = int(told.get("projection_size", 128))
    bert: Any = BertConfig.from_dict(told)
    text = filled(CxrBertTexts(bert, dim), texts, origin=origin, strays=TEXT_STRAYS)
    return Peer(
        TwoTowers(visual, text, torch.tensor(0.0)),  # no temperature is published
        origin=origin,
        embed_dim=dim,
        context_length=bert.max_position_embeddings,
        vocab_size=bert.vocab_size,
        vocabulary=origin,
        pixels={
            "size": BIOVIL_T_SIZE if visual.encoder.has_time else BIOVIL_SIZE,
            "resize": RESIZED,
            "resample": "bilinear",
            "is_grey": True,
            "is_stretched": True,
            "mean": (0.0,) * 3,
            "std": (1.0,) * 3,
        },
    )
