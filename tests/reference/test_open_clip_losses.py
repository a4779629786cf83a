"""Our losses against those of open_clip, also on a model and a batch that it wrote itself."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from open_clip.loss import ClipLoss, SigLipLoss
from torch import Tensor
from torch.nn import functional as F

from figclip.models.clip import ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import clip_with
from figclip.training.loss import clip_loss, siglip_loss

pytestmark = pytest.mark.reference


def leaves(scale: float, *more: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    image, text = torch.randn(2, 40, 16, generator=generator, dtype=torch.float64)
    text = F.normalize(image + text, dim=1)
    scalars = [torch.tensor(value, dtype=torch.float64) for value in (scale, *more)]
    return [x.requires_grad_() for x in (F.normalize(image, dim=1), text, *scalars)]


def assert_same(ours: Tensor, theirs: Tensor, values: list[Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    found, peers = torch.autograd.grad(ours, values), torch.autograd.grad(theirs, values)
    for gradient, peer in zip(found, peers, strict=True):
        assert (gradient - peer).norm() <= 1e-12 * peer.norm()


@pytest.mark.parametrize("scale", [14.0, 100.0])
def test_clip_loss_is_open_clips(scale):
    values = leaves(scale)
    assert_same(clip_loss(*values, tile_rows=7), ClipLoss()(*values), values)


@pytest.mark.parametrize("scale", [14.0, 100.0])
def test_siglip_loss_is_open_clips(scale):
    values = leaves(scale, -10.0)
    assert_same(siglip_loss(*values, tile_rows=7), SigLipLoss()(*values), values)


@pytest.mark.real
@pytest.mark.timeout(240)
def test_the_loss_of_a_batch_that_open_clip_wrote_is_the_one_that_it_found(
    shared_folder: Callable[[str], Path], tmp_path: Path
):
    script = shared_folder("bench") / "bench_openclip.py"
    command = [sys.executable, str(script), "--no-dropout", "--dump", "--steps", "1"]
    command += ["--warmup", "0", "--batch", "8", "--threads", "1", "--workdir", "."]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | offline, stdout=subprocess.PIPE, check=True
    )
    theirs = json.loads(done.stdout.splitlines()[-1])["loss_first"]
    dumped = torch.load(tmp_path / "batch.pt", weights_only=True)
    config = ClipConfig(
        vision=VisionConfig(timm_model="vit_tiny_patch16_224"),
        text=TextConfig(
            vocab_size=30_522,
            hidden_size=192,
            layers=6,
            heads=3,
            intermediate_size=768,
            max_positions=512,
            context_length=128,
        ),
        embed_dim=256,
    )
    clip = clip_with(dumped["state_dict"], config, origin="the dumped batch")
    ((pixels, ids),) = dumped["batches"]
    with torch.no_grad():
        ours = clip_loss(*clip(pixels, ids, ids != 0))
    assert ours.item() == pytest.approx(theirs, abs=1e-4)
