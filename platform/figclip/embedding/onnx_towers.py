"""Towers run by ONNX Runtime: exported when they are opened, to a graph of padded texts.

The export is by torch's tracing exporter, which needs no further library; texts are padded, because
a graph has no loop over their lengths.
"""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from figclip.config import UsageError
from figclip.models.gpt import GptTower
from figclip.models.text import TextTower

log = logging.getLogger(__name__)

OPSET = 17
SAMPLE_TEXTS, SAMPLE_TOKENS = 2, 8


class OnnxTower(nn.Module):
    """Takes and gives what the tower does that it was made of; on the CPU."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        with tempfile.TemporaryDirectory(prefix="figclip-") as folder:
            graph = Path(folder, "tower.onnx")
            self._inputs = _export(tower, graph)
            self._session = onnxruntime.InferenceSession(graph, options, providers=providers)

    def forward(self, *inputs: Tensor) -> Tensor:
        given = {name: x.numpy() for name, x in zip(self._inputs, inputs, strict=True)}
        [found] = self._session.run(None, given)
        return torch.from_numpy(np.asarray(found))


class PaddedGpt(nn.Module):
    """`GptTower` on padded texts: what follows a text's end no token of it sees."""

    def __init__(self, tower: GptTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(
        self, ids: Int[Tensor, "batch length"], mask: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch embed_dim"]:
        tower: Any = self.tower
        x = tower.token_embedding(ids) + tower.positional_embedding[: ids.shape[1]]
        for block in tower.blocks:
            attention = block.attn
            split = (-1, (3, attention.num_heads, attention.head_dim))
            qkv = attention.qkv(block.norm1(x)).unflatten(*split).permute(2, 0, 3, 1, 4)
            query, key, value = qkv.unbind(0)
            attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + attention.proj(attended.transpose(1, 2).flatten(2))
            x = x + block.mlp(block.norm2(x))
        ends = (mask.sum(dim=1) - 1)[:, None, None].expand(-1, 1, x.shape[-1])
        found: Tensor = tower.ln_final(x.gather(1, ends)[:, 0]) @ tower.text_projection
        return found


class PaddedBert(nn.Module):
    """`TextTower` on padded texts."""

    def __init__(self, tower: TextTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(
        self, ids: Int[Tensor, "batch length"], mask: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch embed_dim"]:
        bert: Any = self.tower.transformer
        places = torch.arange(ids.shape[1])[None]
        hidden = bert.embeddings(
            input_ids=ids, position_ids=places, token_type_ids=torch.zeros_like(ids)
        )
        for layer in bert.encoder.layer:
            own = layer.attention.self
            heads = (-1, (own.num_attention_heads, own.attention_head_size))
            query, key, value = (
                project(hidden).unflatten(*heads).transpose(1, 2)
                for project in (own.query, own.key, own.value)
            )
            attended = F.scaled_dot_product_attention(query, key, value, mask[:, None, None])
            state = layer.attention.output(attended.transpose(1, 2).flatten(2), hidden)
            hidden = layer.feed_forward_chunk(state)
        found: Tensor = self.tower.proj(hidden[:, 0])
        return found


def _export(tower: nn.Module, path: Path) -> tuple[str, ...]:
    """The names of what the graph takes."""
    module: nn.Module
    inputs: dict[str, Tensor]
    match tower:
        case GptTower():
            module, inputs = PaddedGpt(tower), _tokens()
        case TextTower():
            module, inputs = PaddedBert(tower), _tokens()
        case _ if (side := _side(tower)) is not None:
            module, inputs = tower, {"pixels": torch.zeros(2, 3, side, side)}
        case _:
            raise UsageError(
                f"backend=onnx does not know {type(tower).__name__}: take backend=fp32"
            )
    axes = {
        name: {0: "items", **({1: "length"} if x.ndim == 2 else {})} for name, x in inputs.items()
    }
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing warns of every size that it reads
            torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                path,
                dynamo=False,
                input_names=list(inputs),
                output_names=["features"],
                dynamic_axes={**axes, "features": {0: "items"}},
                opset_version=OPSET,
            )
    except RuntimeError as error:
        raise UsageError(
            f"backend=onnx: {type(tower).__name__} could not be exported ({error}): "
            f"take backend=fp32"
        ) from error
    return tuple(inputs)


def _tokens() -> dict[str, Tensor]:
    size = (SAMPLE_TEXTS, SAMPLE_TOKENS)
    return {"ids": torch.ones(size, dtype=torch.int64), "mask": torch.ones(size, dtype=torch.bool)}


def _side(tower: nn.Module) -> int | None:
    """Of the square that one of our image towers takes."""
    trunk: Any = getattr(tower, "trunk", None)
    embedding = getattr(trunk, "patch_embed", None)
    size = getattr(embedding, "img_size", None)
    if size is None:
        size = getattr(trunk, "pretrained_cfg", {}).get("input_size", (3, None))[1:]
    return None if size is None or size[0] is None else int(size[0])
