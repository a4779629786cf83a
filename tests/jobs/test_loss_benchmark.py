"""The sides that the benchmark of the loss compares, on few pairs."""

import pytest
import torch

from figclip.training.loss import clip_loss
from jobs.benchmarks.loss import memory, plain_loss, times


def test_both_sides_give_the_same_loss():
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(40, 8, generator=generator).double() for _ in range(2))
    scale = torch.tensor(1.0)
    found = clip_loss(image, text, scale).item()
    assert found == pytest.approx(plain_loss(image, text, scale.double()).item(), rel=1e-6)


def test_every_figure_is_measured():
    found = times("cpu", num_pairs=600, rounds=1) | memory("cpu", num_pairs=600)
    assert {"tiled_ratio", "recomputed_ratio", "rss_mb_64k"} < found.keys()
    assert all(value > 0 for value in found.values())
