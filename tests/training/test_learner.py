"""What learns on a rank, where the ranks have not the same work."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from small_clip import PIXELS, noise, rows, small_clip
from torch.multiprocessing import spawn

from figclip.training.learner import Learner
from figclip.training.optim import OptimConfig
from figclip.training.step_config import StepConfig

CUTS = {0: [(0, 4), (4, 8)], 1: [(8, 11)]}
"""Rank → its validation batches of eleven rows."""


def learner(parallel: str) -> Learner:
    return Learner(
        small_clip(),
        torch.device("cpu"),
        steps=StepConfig(precision="fp32", parallel=parallel, ema_decay=0.5),
        optim=OptimConfig(),
        pixels=PIXELS,
    )


def one_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    place = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
    batches = [rows(noise(11), *cut) for cut in CUTS[rank]]
    found = learner("fsdp").embed(batches, num_passes=2)
    np.savez(folder / f"{rank}.npz", *(np.stack(part) for part in found))
    dist.destroy_process_group()


@pytest.mark.timeout(200)
def test_ranks_of_a_sharded_model_embed_unequal_numbers_of_batches(tmp_path):
    """One process with the whole model judges."""
    spawn(one_rank, (tmp_path,), nprocs=2)
    whole = learner("ddp")
    for rank, cuts in CUTS.items():
        found = np.load(tmp_path / f"{rank}.npz")
        assert len(found.files) == len(cuts)
        for name, cut in zip(found.files, cuts, strict=True):
            [expected] = whole.embed([rows(noise(11), *cut)], num_passes=1)
            np.testing.assert_allclose(found[name], np.stack(expected), atol=1e-5)
