"""Our side of `train_step`: `python -m jobs.benchmarks.train_step_side FOLDER`.

FOLDER has what open_clip's side dumped: weights, tensors and arguments. The last line printed is
one JSON object with `samples_per_cpu_s`.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.training.cached_gradients import Features
from figclip.training.optim import OptimConfig, build_optimizer
from figclip.training.step import Forward, Precision, train_step


class OfFloats(Forward):
    """For pixels that are floats already: open_clip's side does not normalise either."""

    def __call__(self, model: nn.Module, batch: Batch) -> Features:
        with self.autocast(batch.pixels.device):
            features: Features = model(batch.pixels, batch.ids, batch.mask)
        return features


def main(folder: Path, precision: Precision, *, steps: int, warmup: int) -> dict[str, float]:
    dump = torch.load(folder / "batch.pt", weights_only=True)
    torch.set_num_threads(dump["args"]["threads"])
    clip = clip_of(dump["state_dict"], dump["args"])
    batch, num_parts = joined(dump["batches"])
    optimizer = build_optimizer(clip, OptimConfig(lr=5e-4))
    size = len(batch.pixels)
    micro = size // num_parts if num_parts > 1 else None
    forward = OfFloats(PixelConfig(), precision, micro)
    seconds, losses = [], []
    for step in range(warmup + steps):
        start = time.process_time()
        metrics = train_step(clip, optimizer, batch, forward, rng_seed=step)
        losses.append(float(metrics.loss))
        seconds.append(time.process_time() - start)
    cpu_s = median(seconds[warmup:])
    return {
        "samples_per_cpu_s": size / cpu_s,
        "cpu_s_per_step": cpu_s,
        "loss_first": losses[0],
        "loss_last": losses[-1],
    }


def clip_of(weights: dict[str, torch.Tensor], arguments: dict[str, Any]) -> Clip:
    """The model whose weights these are, by their shapes; dropout as open_clip's side has it."""
    layers = {name.split(".")[4] for name in weights if ".encoder.layer." in name}
    vocab_size, width = weights["text.transformer.embeddings.word_embeddings.weight"].shape
    inner = weights["text.transformer.encoder.layer.0.intermediate.dense.weight"].shape[0]
    image_width = weights["visual.trunk.cls_token"].shape[-1]
    names = {192: "vit_tiny_patch16_224", 768: "vit_base_patch16_224"}
    config = ClipConfig(
        vision=VisionConfig(
            timm_model=names[image_width],
            patch_dropout=arguments["patch_dropout"],
            gradient_checkpointing=arguments["grad_checkpointing"],
        ),
        text=TextConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            layers=len(layers),
            heads=width // 64,
            intermediate_size=inner,
            context_length=256,
            dropout=0.0 if arguments["no_dropout"] else 0.1,
            gradient_checkpointing=arguments["grad_checkpointing"],
        ),
        embed_dim=weights["visual.head.proj.weight"].shape[0],
    )
    clip = Clip(config)
    clip.load_state_dict(weights)
    return clip.train()


def joined(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[Batch, int]:
    """One batch of all, and how many it is made of; id 0 pads."""
    pixels, ids = (torch.cat(side) for side in zip(*batches, strict=True))
    return Batch(pixels, ids, ids != 0), len(batches)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=1)
    asked = parser.parse_args()
    print(json.dumps(main(asked.folder, asked.precision, steps=asked.steps, warmup=asked.warmup)))
