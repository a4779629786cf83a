"""BiomedCLIP's own step on one GPU, ours and open_clip's in turn, without a Ray cluster.

The batch is noise; its texts fill 256 tokens, or are as long as real captions, which open_clip pads
to 256 as well.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from transformers import BertConfig

from figclip.inputs.pixels import PixelConfig, normalise
from figclip.inputs.reader import Batch
from figclip.models.clip import BIOMEDCLIP, Clip, ClipConfig
from figclip.models.flops import clip_flops, peak_flops
from figclip.training.optim import OptimConfig, build_optimizer
from figclip.training.step import AUTOCAST, Forward, Precision, train_step
from jobs.benchmarks.figures import Figures

ROUNDS, STEPS = 3, 10
MEAN_LENGTH, DEVIATION = 110, 65
"""Of real captions in tokens, once those above 256 are cut, where no file says them."""


@dataclass(frozen=True)
class Side:
    """One program's step, and what it takes."""

    step: Callable[[], object]
    seconds: list[float]


def train_step_on(
    device: torch.device,
    *,
    batch_size: int,
    precision: Precision,
    config: ClipConfig = BIOMEDCLIP,
    lengths: Path | None = None,
    steps: int = STEPS,
) -> Figures:
    """Samples per second of both sides, at full and at natural length of the texts; of ours, MFU as
    `figclip.models.flops` has it, peak memory and the largest batch that a step has room for."""
    figures: Figures = {}
    for name in ("padded", "natural"):
        batch = batch_of(config, batch_size, None if name == "padded" else lengths, device)
        if name == "padded":
            batch = _filled(batch)
        found = _compared(config, batch, precision, device, steps)
        figures |= {f"{figure}_{name}": value for figure, value in found.items()}
    figures["largest_batch"] = _largest_batch(config, batch_size, precision, device)
    return figures


def _compared(
    config: ClipConfig, batch: Batch, precision: Precision, device: torch.device, steps: int
) -> Figures:
    sides = {"ours": _ours(config, batch, precision, device)}
    memory = {"ours": _peak_memory(sides["ours"].step, device)}
    sides["open_clip"] = _open_clip(config, batch, precision, device)
    memory["open_clip"] = _peak_memory(sides["open_clip"].step, device)
    for _ in range(ROUNDS):
        for side in sides.values():
            side.seconds.append(_seconds_per_step(side.step, device, steps))
    rates = {name: batch.num_images / median(side.seconds) for name, side in sides.items()}
    flops = clip_flops(config).batch(batch.num_images, batch.mask.sum(dim=1).tolist())
    peak = peak_flops(device, precision)
    per_sample = flops / batch.num_images
    return {
        "ratio": round(rates["ours"] / rates["open_clip"], 3),
        **{f"{name}_samples_per_s": round(rate, 1) for name, rate in rates.items()},
        "gflops_per_sample": round(per_sample / 1e9, 1),
        "mfu": None if peak is None else round(rates["ours"] * per_sample / peak, 4),
        **{f"{name}_peak_memory_gb": found for name, found in memory.items()},
    }


def _largest_batch(
    config: ClipConfig, batch_size: int, precision: Precision, device: torch.device
) -> int | None:
    """Of texts that fill 256 tokens, in doublings of `batch_size`; None without a GPU."""
    if device.type != "cuda":
        return None
    largest, size = 0, batch_size
    while True:
        batch = _filled(batch_of(config, size, None, device))
        try:
            _ours(config, batch, precision, device).step()
            torch.cuda.synchronize(device)
        except torch.cuda.OutOfMemoryError:
            return largest
        largest, size = size, 2 * size


def _filled(batch: Batch) -> Batch:
    """Texts without padding."""
    return replace(batch, ids=batch.ids.clamp(min=5), mask=torch.ones_like(batch.mask))


def batch_of(config: ClipConfig, size: int, lengths: Path | None, device: torch.device) -> Batch:
    noise = torch.Generator().manual_seed(0)
    side, length = config.vision.image_size, config.text.context_length
    if lengths is not None:
        real = torch.tensor([int(line) for line in lengths.read_text().split()])
        tokens = real[torch.randint(len(real), (size,), generator=noise)]
    else:
        tokens = (MEAN_LENGTH + DEVIATION * torch.randn(size, generator=noise)).long()
    mask = torch.arange(length) < tokens.clamp(3, length)[:, None]
    ids = torch.randint(5, config.text.vocab_size, mask.shape, generator=noise) * mask
    pixels = torch.randint(0, 256, (size, 3, side, side), generator=noise, dtype=torch.uint8)
    return Batch(pixels.to(device), ids.to(device), mask.to(device))


def _ours(config: ClipConfig, batch: Batch, precision: Precision, device: torch.device) -> Side:
    clip = Clip(config).to(device).train()
    optimizer = build_optimizer(clip, OptimConfig())
    forward = Forward(PixelConfig(), precision)
    return Side(lambda: train_step(clip, optimizer, batch, forward, rng_seed=0), [])


def _open_clip(
    config: ClipConfig, batch: Batch, precision: Precision, device: torch.device
) -> Side:
    """Its towers with these sizes, its loss, AdamW as its training script has it."""
    from open_clip.loss import ClipLoss
    from open_clip.model import CustomTextCLIP

    text = config.text
    with tempfile.TemporaryDirectory() as folder:
        BertConfig(
            vocab_size=text.vocab_size,
            hidden_size=text.hidden_size,
            num_hidden_layers=text.layers,
            num_attention_heads=text.heads,
            intermediate_size=text.intermediate_size,
            max_position_embeddings=text.max_positions,
        ).save_pretrained(folder)
        vision = {
            "timm_model_name": config.vision.timm_model,
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": config.vision.image_size,
        }
        words = {
            "hf_model_name": folder,
            "hf_tokenizer_name": folder,
            "hf_model_pretrained": False,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": text.context_length,
        }
        peer = CustomTextCLIP(config.embed_dim, vision, words, output_dict=True)
    peer = peer.to(device).train()
    optimizer = build_optimizer(peer, OptimConfig())
    loss_of, dtype = ClipLoss(cache_labels=True), AUTOCAST.get(precision)

    def step() -> Tensor:
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            pixels = normalise(batch.pixels, PixelConfig())
            found = peer(pixels, batch.ids)
            loss = loss_of(found["image_features"], found["text_features"], found["logit_scale"])
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Side(step, [])


def _peak_memory(step: Callable[[], object], device: torch.device) -> float | None:
    """Of a step, in GB of 10^9 bytes, with all that is allocated besides; None without a GPU."""
    if device.type != "cuda":
        step()
        return None
    torch.cuda.reset_peak_memory_stats(device)
    step()
    torch.cuda.synchronize(device)
    return round(torch.cuda.max_memory_allocated(device) / 1e9, 2)


def _seconds_per_step(step: Callable[[], object], device: torch.device, steps: int) -> float:
    step()
    _wait_for(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait_for(device)
    return (time.perf_counter() - start) / steps


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
