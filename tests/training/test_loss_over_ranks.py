"""Losses and gradients of pairs that lie on several processes, against one that has them all."""

import itertools
import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from plain_losses import plain_clip_loss, plain_siglip_loss
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from figclip.training.loss import clip_loss, siglip_loss

pytestmark = pytest.mark.timeout(240)

INPUT, DIM, BATCH, TILE_ROWS = 24, 16, 16, 3
LOSSES = {"clip": (clip_loss, plain_clip_loss), "siglip": (siglip_loss, plain_siglip_loss)}
CASES = [
    (name, scale, texts_per_image, dtype)
    for name, scale, texts_per_image, dtype in itertools.product(
        LOSSES, (14.0, 100.0), (1, 3), (torch.float64, torch.float32)
    )
]


class Towers(nn.Module):
    """A linear tower each, temperature and bias, in the shape of the real model."""

    def __init__(self, dtype: torch.dtype, scale: float, *, with_bias: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image = nn.Linear(INPUT, DIM, dtype=dtype)
        self.text = nn.Linear(INPUT, DIM, dtype=dtype)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(scale), dtype=dtype))
        self.logit_bias = nn.Parameter(torch.tensor(-10, dtype=dtype)) if with_bias else None

    def forward(self, pixels: Tensor, words: Tensor) -> tuple[Tensor, ...]:
        image, text = F.normalize(self.image(pixels), dim=-1), F.normalize(self.text(words), dim=-1)
        found = image, text, self.logit_scale.exp()
        return found if self.logit_bias is None else (*found, self.logit_bias)


def inputs(dtype: torch.dtype, texts_per_image: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Pixels, words, and which texts are there: of one image none, and of one rank's few."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randn(BATCH, INPUT, generator=generator, dtype=torch.float64)
    words = torch.randn(BATCH * texts_per_image, INPUT, generator=generator, dtype=torch.float64)
    present = torch.rand(len(words), generator=generator) < 0.7
    present[: 3 * texts_per_image] = False
    return pixels.to(dtype), words.to(dtype), None if texts_per_image == 1 else present


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {
        name.removeprefix("module."): parameter.grad.double()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def plainly(name: str, scale: float, k: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Loss and gradients of the whole batch in one process, by torch's own operations."""
    model = Towers(dtype, scale, with_bias=name == "siglip")
    pixels, words, present = inputs(dtype, k)
    values = model(pixels, words)
    loss = LOSSES[name][1](*values, **({} if present is None else {"present": present}))
    loss.backward()
    return {"loss": loss.detach().double(), **gradients(model)}


def on_rank(rank: int, num_ranks: int, name: str, scale: float, k: int, dtype: torch.dtype):
    """Its own value of the loss, and the gradients that it ends with."""
    towers = Towers(dtype, scale, with_bias=name == "siglip")
    model = DistributedDataParallel(towers) if dist.is_initialized() else towers
    pixels, words, present = (
        None if x is None else x.chunk(num_ranks)[rank] for x in inputs(dtype, k)
    )
    loss = LOSSES[name][0](*model(pixels, words), present=present, tile_rows=TILE_ROWS)
    loss.backward()
    return {"loss": loss.detach().double(), **gradients(model)}


def one_rank(rank: int, folder: str, num_ranks: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=num_ranks
    )
    found = [on_rank(rank, num_ranks, *case) for case in CASES]
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[1, 2, 4])
def by_rank(request, tmp_path_factory) -> list[list[dict[str, Tensor]]]:
    """What each of so many processes ended with, case by case; of the loss, the mean of all."""
    num_ranks = request.param
    if num_ranks == 1:
        return [[on_rank(0, 1, *case) for case in CASES]]
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(one_rank, args=(str(folder), num_ranks), nprocs=num_ranks)
    found = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(num_ranks)]
    for of_case in zip(*found, strict=True):
        mean = torch.stack([of_rank["loss"] for of_rank in of_case]).mean()
        for of_rank in of_case:
            of_rank["loss"] = mean
    return found


def distance(found: dict[str, Tensor], truth: dict[str, Tensor], name: str) -> float:
    return float((found[name] - truth[name]).norm() / truth[name].norm())


def test_loss_and_gradients_over_ranks_equal_those_of_the_full_batch(by_rank):
    for number, (*case, dtype) in enumerate(CASES):
        if dtype == torch.float64:
            truth = plainly(*case, dtype)
            for found in (one[number] for one in by_rank):
                assert found.keys() == truth.keys()
                assert max(distance(found, truth, name) for name in truth) <= 1e-12


def test_float32_loss_and_gradients_over_ranks_are_as_true_as_those_of_a_plain_loss(by_rank):
    rounding = torch.finfo(torch.float32).eps  # a scalar's plain error may be nil by luck
    for number, (*case, dtype) in enumerate(CASES):
        if dtype == torch.float32:
            truth, plain = plainly(*case, torch.float64), plainly(*case, dtype)
            for found, name in itertools.product((one[number] for one in by_rank), truth):
                bound = 2 * max(distance(plain, truth, name), rounding)
                assert distance(found, truth, name) <= bound, (case, name)
