"""What a training step has to compute, and what the hardware could: their ratio is the MFU.

Counted are the multiplications and additions of the matrix products, 2 FLOP each pair, forward and
backward, as timm and transformers compute the model, so that figures compare with other people's:
work that gradient checkpointing does twice counts once, and the last layer counts for all tokens,
though the towers here compute there what the pooled one needs. (MFU: PaLM,
https://arxiv.org/abs/2204.02311, appendix B.)
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from figclip.models.clip import ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionTower

BACKWARD = 2
"""Of a product the backward pass needs two of the same size: for the input and for the weights."""

PEAK_TFLOPS = {
    "B200": 2250, "GH200": 989, "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989,
    "A100": 312, "L40S": 362, "L40": 181, "L4": 121, "A10G": 70, "A10": 125, "RTX 4090": 165,
    "V100": 125, "T4": 65,
}  # fmt: skip
"""Dense products of 16-bit numbers, from the makers' data sheets: name of the GPU → TFLOP/s."""


@dataclass(frozen=True)
class ClipFlops:
    """Forward and backward, when every weight learns."""

    image: int
    """Of one image."""
    text: int
    """Of one text, whatever its length."""
    token: int
    """Of one token."""
    token_pair: int
    """Of one token that attends to one other."""

    def batch(self, num_images: int, lengths: Sequence[int]) -> int:
        """Of a batch whose texts have so many tokens as are computed, padding among them."""
        return (
            num_images * self.image
            + len(lengths) * self.text
            + sum(lengths) * self.token
            + sum(length * length for length in lengths) * self.token_pair
        )


def clip_flops(config: ClipConfig) -> ClipFlops:
    with torch.device("meta"):
        tower = VisionTower(config.vision.settled(), embed_dim=config.embed_dim)
    return _text_flops(config.text.settled(), config.embed_dim, image=_image_flops(config, tower))


def _text_flops(text: TextConfig, embed_dim: int, *, image: int) -> ClipFlops:
    middle = (text.hidden_size + embed_dim) // 2
    is_bert = text.architecture == "bert"
    head = middle * (text.hidden_size + embed_dim) if is_bert else text.hidden_size * embed_dim
    layer = 4 * text.hidden_size**2 + 2 * text.hidden_size * text.intermediate_size
    both = 2 * (1 + BACKWARD)
    return ClipFlops(
        image=image,
        text=both * head,
        token=both * text.layers * layer,
        token_pair=both * text.layers * 2 * text.hidden_size,
    )


def _image_flops(config: ClipConfig, tower: VisionTower) -> int:
    trunk: Any = tower.trunk
    side = config.vision.image_size
    if not isinstance(trunk, VisionTransformer):
        return _counted_flops(tower, side)
    patches = trunk.patch_embed.num_patches
    kept = max(1, int(patches * (1 - config.vision.patch_dropout)))  # as timm's PatchDropout
    tokens = kept + trunk.num_prefix_tokens
    per_token = sum(weight.numel() for weight in trunk.blocks.parameters() if weight.ndim == 2)
    attention = len(trunk.blocks) * 2 * tokens * tokens * trunk.embed_dim
    patch = trunk.patch_embed.proj.weight.numel()
    head = sum(weight.numel() for weight in tower.head.parameters())
    backward = BACKWARD * (tokens * per_token + attention + head)
    # Pixels need no gradient: of the patch embedding the backward pass has the weights' alone.
    products = tokens * per_token + attention + head + backward + 2 * patches * patch
    return 2 * products


def _counted_flops(tower: VisionTower, side: int) -> int:
    """Of any other trunk, as PyTorch counts them while it computes shapes alone."""
    with torch.device("meta"):
        pixels = torch.empty(2, 3, side, side)  # two, for a batch norm that trains
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        tower.train()(pixels).sum().backward()
    return counter.get_total_flops() // 2


def peak_flops(device: torch.device, precision: str) -> float | None:
    """FLOP/s of one device at its best; None for a GPU or a precision that the table does not know.

    Of a CPU they are measured, by a product of matrices in this process's threads.
    """
    if device.type == "cpu":
        return _measured_peak(torch.bfloat16 if precision == "bf16" else torch.float32)
    if precision not in ("bf16", "fp16"):
        return None
    name = torch.cuda.get_device_name(device)
    known = [peak for model, peak in PEAK_TFLOPS.items() if model in name]
    return known[0] * 1e12 if known else None


def _measured_peak(dtype: torch.dtype, *, size: int = 1024, tries: int = 5) -> float:
    a, b = (torch.ones(size, size, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(tries):
        begin = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - begin)
    return 2 * size**3 / min(times)
