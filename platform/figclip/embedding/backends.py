"""Ways to run an encoder on a CPU, each proven on a sample to give the plain model's vectors.

`fp32` and `bf16` lay the weights of the linear layers out once as oneDNN's kernels read them, and
let the first half of an MLP apply the activation as it writes. `bf16` multiplies bfloat16 and adds
float32; residuals, norms, attention's sums and both towers' heads stay float32. `compile` is
`torch.compile` of the towers' blocks, `onnx` ONNX Runtime.
"""

import copy
import logging
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from timm.layers import QuickGELU
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertIntermediate

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.embedding.ways import Backend, Tower

log = logging.getLogger(__name__)

LEAST_COSINE = 0.9999
"""Between the vectors of a backend and those of the plain model."""
WORDS = "Axial CT of the chest shows bilateral ground-glass opacities (arrows); 10 µm scale bar. "
NUM_SAMPLES = 8
HEADS = ("head", "proj", "text_projection")
"""Of a tower, by the first part of a name: what makes the embedding of its last state. Nothing
after them would average an error out."""
SWISH = 1.702
"""QuickGELU(x) = x sigmoid(1.702 x) = SiLU(1.702 x) / 1.702."""

mkldnn: Any = torch.ops.mkldnn


class PackedLinear(nn.Module):
    """A linear layer whose weights lie as oneDNN reads them; of any float in, of `dtype` out."""

    def __init__(
        self, linear: nn.Linear, dtype: torch.dtype, *, then: str = "none", scale: float = 1.0
    ) -> None:
        """`then` is oneDNN's word for the activation; `scale` multiplies what goes into it."""
        super().__init__()
        self._dtype, self._then = dtype, then
        self._algorithm = "none" if then == "gelu" else ""  # "none": the exact one, not by tanh
        self._bias = None if linear.bias is None else (linear.bias * scale).to(dtype)
        self._weight = mkldnn._reorder_linear_weight((linear.weight * scale).to(dtype), None)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = mkldnn._linear_pointwise(
            x.to(self._dtype), self._weight, self._bias, self._then, [], self._algorithm
        )
        return found


class PackedMlp(nn.Module):
    """timm's MLP in two steps instead of three."""

    def __init__(self, mlp: Any, dtype: torch.dtype) -> None:
        super().__init__()
        if isinstance(mlp.act, QuickGELU):
            then, scale = "swish", SWISH
        else:
            then, scale = "gelu", 1.0
        second = copy.copy(mlp.fc2)
        second.weight = nn.Parameter(mlp.fc2.weight / scale, requires_grad=False)
        self.fc1 = PackedLinear(mlp.fc1, dtype, then=then, scale=scale)
        self.fc2 = PackedLinear(second, dtype)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(self.fc1(x))
        return found


def packed(tower: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of the tower with its linear layers packed, heads apart."""
    tower = copy.deepcopy(tower)
    trunk: Any = getattr(tower, "trunk", None)
    # The last block's projection is cut in two by `figclip.models.pooled`.
    last = trunk.blocks[-1].attn.qkv if hasattr(trunk, "blocks") else None
    for name, child in tower.named_children():
        if name not in HEADS:
            _pack_below(child, dtype, leave=last)
    return tower


def _pack_below(module: nn.Module, dtype: torch.dtype, *, leave: nn.Module | None) -> None:
    for name, child in module.named_children():
        if child is leave:
            continue
        if (found := _packed_layer(child, dtype)) is not None:
            setattr(module, name, found)
        else:
            _pack_below(child, dtype, leave=leave)


def _packed_layer(layer: nn.Module, dtype: torch.dtype) -> nn.Module | None:
    if _is_plain_mlp(layer):
        return PackedMlp(layer, dtype)
    if isinstance(layer, BertIntermediate) and isinstance(layer.intermediate_act_fn, nn.Module):
        return PackedLinear(layer.dense, dtype, then="gelu")
    return PackedLinear(layer, dtype) if type(layer) is nn.Linear else None


def _is_plain_mlp(layer: nn.Module) -> bool:
    return (
        type(layer) is Mlp
        and type(layer.fc1) is nn.Linear
        and isinstance(layer.norm, nn.Identity)
        and (
            isinstance(layer.act, QuickGELU)
            or (isinstance(layer.act, nn.GELU) and layer.act.approximate == "none")
        )
    )


def compiled(tower: nn.Module) -> nn.Module:
    """A copy of the tower, its blocks compiled for any number of items."""
    if shutil.which("g++") is None:
        raise UsageError("torch.compile needs g++ on a CPU: install it, or take backend=fp32")
    tower = copy.deepcopy(tower)
    for module in tower.modules():
        if isinstance(module, nn.ModuleList):
            for block in module:
                block.compile(dynamic=True)
    return tower


WAYS: dict[Backend, Callable[[nn.Module], nn.Module]] = {
    "fp32": lambda tower: packed(tower, torch.float32),
    "bf16": lambda tower: packed(tower, torch.bfloat16),
    "compile": compiled,
}


def with_backend(encoder: Encoder, backend: Backend, *, tower: Tower) -> Encoder:
    """An encoder of this one tower, run so.

    `UsageError` where it cannot be run so here, or does not give the plain model's vectors.
    """
    if backend == "plain":
        return encoder.only(tower)
    if encoder.device.type != "cpu":
        raise UsageError(f"backend={backend} is for CPUs: on a GPU take backend=plain")
    found = encoder.only(tower, run_by=WAYS[backend])
    cosine = parity(found, encoder, tower)
    log.info("%s, %s by %s: least cosine %.6f", encoder.name, tower, backend, cosine)
    check_parity(cosine, f"{encoder.name}, {tower} by backend={backend}")
    return found


def check_parity(cosine: float, who: str) -> None:
    if not cosine >= LEAST_COSINE:  # so that NaN is refused as well
        raise UsageError(
            f"{who}: a cosine of {cosine:.6f} with the plain model is less than {LEAST_COSINE}: "
            f"take backend=fp32 or backend=plain"
        )


def parity(found: Encoder, plain: Encoder, tower: Tower) -> float:
    """The least cosine of a sample's vectors with the plain model's, alone and in a batch."""
    embed, sample = _sample(plain, tower)
    expected = embed(plain, sample)
    alone = np.concatenate([embed(found, sample[place : place + 1]) for place in range(2)])
    cosines = [(alone * expected[:2]).sum(axis=1), (embed(found, sample) * expected).sum(axis=1)]
    return float(np.concatenate(cosines).min())


def _sample(encoder: Encoder, tower: Tower) -> tuple[Callable[[Encoder, Any], np.ndarray], Any]:
    if tower == "text":
        return (lambda model, texts: model.encode_texts(texts).vectors), sample_texts()
    return (lambda model, levels: model.encode_levels(levels)), sample_levels(encoder)


def sample_texts() -> list[str]:
    """From a word to more than any context."""
    return [(WORDS * 20)[: 5 * 4**number] for number in range(NUM_SAMPLES)]


def sample_levels(encoder: Encoder) -> np.ndarray:
    """Squares of noise on one colour, from flat to wild."""
    random = np.random.default_rng(0)
    side = encoder.pixels.size
    spread = np.linspace(0, 120, NUM_SAMPLES)[:, None, None, None]
    colour = random.uniform(0, 255, (NUM_SAMPLES, 1, 1, 3))
    noise = random.standard_normal((NUM_SAMPLES, side, side, 3))
    return (colour + spread * noise).clip(0, 255).astype(np.uint8)
