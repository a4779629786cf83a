"""The border network learns from generated figures, the same from the same seed."""

import numpy as np
import torch

from figclip.models.border_net import BorderNet
from figclip.training.borders import CLASSES
from jobs.train_splitter import SplitterJob, drawn, recoloured, trained


def test_the_same_seed_trains_the_same_network() -> None:
    figures = drawn(4, 0, CLASSES)
    config = SplitterJob(num_figures=4, epochs=1, batch_size=2)
    nets = []
    for _ in range(2):
        torch.manual_seed(0)
        nets.append(trained(BorderNet(), figures, config).state_dict())
    first, again = nets
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(torch.isfinite(values.float()).all() for values in first.values())


def test_figures_stay_pictures_in_other_colours() -> None:
    pixels = torch.rand(12, 3, 8, 8)
    changed = recoloured(pixels.clone(), np.random.default_rng(0))
    assert changed.shape == pixels.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, pixels)
