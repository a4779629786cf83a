"""Train the border network on generated figures alone: `python -m jobs.train_splitter net`.

A figure takes 18 ms of CPU time to draw and a step of 16 figures 0.37 s, so that the 13,500 figures
and 2,248 steps of the preset are 18 minutes of one core. The same seed gives the
same network on the same machine; `python -m jobs.benchmark panel_borders` measures the one in use.

The network is written in ONNX form, for which the package `onnx` must be installed (the extra
`splitter`); what it finds is compared with what torch finds.
"""

import importlib.util
import logging
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from jaxtyping import Float, UInt8
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from figclip.config import UsageError
from figclip.models.border_net import SIDE, BorderNet
from figclip.sources.synthetic.panel_plans import LayoutClass
from figclip.training.borders import CALM_CLASSES, CELLS, CLASSES, border_loss, draw_example
from jobs.entry import Job, run

log = logging.getLogger(__name__)


class SplitterJob(Job):
    """How the border network is trained."""

    out: str = "borders.onnx"
    """Where the network is written."""
    num_figures: PositiveInt = 9_000
    """Generated figures to learn from, and half as many, mostly single ones, in a second round."""
    epochs: PositiveInt = 3
    """How often each is seen in the first round."""
    batch_size: PositiveInt = 16
    """Figures a step."""
    lr: PositiveFloat = 3e-3
    """Highest learning rate of the first round; a third of it in the second."""
    seed: NonNegativeInt = 1
    """Of the figures, and of the network's first weights."""


PRESETS = {"net": SplitterJob()}

Figures = tuple[UInt8[np.ndarray, "num 320 320 3"], UInt8[np.ndarray, "num 2 80 80"]]


def main(config: SplitterJob) -> None:
    require_onnx()
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    figures = drawn(config.num_figures, config.seed, CLASSES)
    net = trained(BorderNet(), figures, config)
    # A network that has seen borders in four of five figures sees them in tables, too.
    half, seed = max(config.num_figures // 2, 1), config.seed + 2
    calm = drawn(half, seed, CALM_CLASSES)
    both = tuple(np.concatenate([old[:half], new]) for old, new in zip(figures, calm, strict=True))
    gentle = config.with_overrides({"epochs": 1, "lr": config.lr / 3, "seed": seed})
    net = trained(net, (both[0], both[1]), gentle)
    export(net, Path(config.out))
    log.info("the written network is as torch's to %.1e", export_error(net, Path(config.out)))
    log.info("wrote %s: %d bytes", config.out, Path(config.out).stat().st_size)


def require_onnx() -> None:
    """Said before the figures are drawn, not after."""
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("the network is written by onnx: install it, `pip install .[splitter]`")


def drawn(num_figures: int, seed: int, classes: Mapping[LayoutClass, float]) -> Figures:
    """So many examples; the i-th depends on the seed and i alone."""
    pixels = np.empty((num_figures, SIDE, SIDE, 3), np.uint8)
    truth = np.empty((num_figures, 2, CELLS, CELLS), np.uint8)
    for i in range(num_figures):
        pixels[i], truth[i] = draw_example(random.Random(f"{seed}/{i}"), classes)
    return pixels, truth


def trained(net: BorderNet, figures: Figures, config: SplitterJob) -> BorderNet:
    """AdamW under one cycle of the learning rate; bfloat16 where the processor has it."""
    net = net.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.lr, weight_decay=1e-2)
    num_steps = len(figures[0]) // config.batch_size * config.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config.lr, total_steps=max(num_steps, 2), pct_start=0.15
    )
    losses: list[float] = []
    for step, (pixels, truth) in enumerate(batches(figures, config)):
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(pixels)
        loss = border_loss(logits.float(), truth)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 99:
            log.info("step %d of %d: loss %.4f", step + 1, num_steps, sum(losses[-100:]) / 100)
    return net.eval()


def batches(
    figures: Figures, config: SplitterJob
) -> Iterator[tuple[Float[Tensor, "batch 3 side side"], Float[Tensor, "batch 2 cells cells"]]]:
    """Whole batches in a new order each epoch, in changed colours."""
    rng = np.random.default_rng(config.seed)
    pixels, truth = figures
    for _ in range(config.epochs):
        order = rng.permutation(len(pixels))
        for first in range(0, len(order) - config.batch_size + 1, config.batch_size):
            chosen = np.sort(order[first : first + config.batch_size])
            seen = torch.from_numpy(pixels[chosen]).permute(0, 3, 1, 2).float().div(255)
            yield recoloured(seen, rng), torch.from_numpy(truth[chosen]).float().div(255)


def recoloured(
    pixels: Float[Tensor, "batch 3 side side"], rng: np.random.Generator
) -> Float[Tensor, "batch 3 side side"]:
    """Some grey, seldom one as a negative, all with another contrast."""
    count = len(pixels)
    is_grey = torch.from_numpy(rng.random(count) < 0.2)
    pixels[is_grey] = pixels[is_grey].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    is_negative = torch.from_numpy(rng.random(count) < 0.03)
    pixels[is_negative] = 1 - pixels[is_negative]
    power = torch.from_numpy(np.exp(rng.normal(0, 0.2, (count, 1, 1, 1)))).float()
    return pixels.clamp(1e-3, 1).pow(power).contiguous(memory_format=torch.channels_last)


class _Probabilities(torch.nn.Module):
    def __init__(self, net: BorderNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.sigmoid(self.net(pixels))


def export(net: BorderNet, path: Path) -> None:
    """`pixels` [1, 3, side, side] in [0, 1] → `borders` [1, 2, cells, cells] in [0, 1]."""
    pixels = torch.zeros(1, 3, SIDE, SIDE)
    model = _Probabilities(net).to(memory_format=torch.contiguous_format).eval()
    torch.onnx.export(
        model, (pixels,), str(path), dynamo=False, opset_version=17,
        input_names=["pixels"], output_names=["borders"],
    )  # fmt: skip


def export_error(net: BorderNet, path: Path) -> float:
    """The largest difference of a probability, over three pictures, from torch's own."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pixels = torch.rand(3, 1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = [_Probabilities(net.eval())(picture).numpy() for picture in pixels]
    other = [session.run(None, {"pixels": picture.numpy()})[0] for picture in pixels]
    return float(np.abs(np.stack(own) - np.stack(other)).max())


if __name__ == "__main__":
    run(PRESETS, main, "train_splitter")
