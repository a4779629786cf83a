"""The loss against its definition in plain loops, and its gradients across two processes."""

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from figclip.training.loss import clip_loss

INPUT, DIM, BATCH = 24, 16, 32


def unit_vectors(n: int, dim: int, *, seed: int = 0, dtype=torch.float64) -> Tensor:
    noise = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return F.normalize(noise, dim=-1)


def loss_by_definition(image: Tensor, text: Tensor, scale: float) -> float:
    """Two softmax cross-entropies, number by number."""
    n = len(image)
    similarity = [[scale * float(image[i] @ text[j]) for j in range(n)] for i in range(n)]
    by_image = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(similarity)]
    columns = list(zip(*similarity, strict=True))
    by_text = [math.log(sum(map(math.exp, col))) - col[i] for i, col in enumerate(columns)]
    return (sum(by_image) + sum(by_text)) / (2 * n)


def scalar(value: float, dtype=torch.float64) -> Tensor:
    return torch.tensor(value, dtype=dtype)


@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_clip_loss_is_the_definition(scale):
    image, text = unit_vectors(12, 8), unit_vectors(12, 8, seed=1)
    found = clip_loss(image, text, scalar(scale)).item()
    assert found == pytest.approx(loss_by_definition(image, text, scale), rel=1e-12)


def test_clip_loss_of_indistinguishable_pairs_is_log_batch():
    same = unit_vectors(1, 8).expand(16, -1)
    torch.testing.assert_close(clip_loss(same, same, scalar(10.0)), scalar(math.log(16)))


def test_clip_loss_of_perfect_pairs_vanishes_as_the_scale_grows():
    image = torch.eye(8, dtype=torch.float64)
    assert clip_loss(image, image, scalar(100.0)).item() == pytest.approx(0, abs=1e-40)


def test_clip_loss_ignores_the_order_of_the_pairs():
    image, text = unit_vectors(16, 8), unit_vectors(16, 8, seed=1)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        clip_loss(image[order], text[order], scalar(14.0)), clip_loss(image, text, scalar(14.0))
    )


def test_clip_loss_does_not_mind_which_side_is_called_image():
    image, text = unit_vectors(16, 8), unit_vectors(16, 8, seed=1)
    torch.testing.assert_close(
        clip_loss(image, text, scalar(14.0)), clip_loss(text, image, scalar(14.0))
    )


def test_autocast_does_not_touch_the_logits():
    image, text = (
        unit_vectors(64, 32, dtype=torch.float32),
        unit_vectors(64, 32, seed=1, dtype=torch.float32),
    )
    outside = clip_loss(image, text, scalar(100.0, torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        inside = clip_loss(image, text, scalar(100.0, torch.float32))
    assert torch.equal(inside, outside)
    assert inside.dtype == torch.float32


def test_bfloat16_features_lose_nothing_beyond_their_own_rounding():
    image, text = (
        unit_vectors(64, 32, seed=seed, dtype=torch.float32).bfloat16() for seed in (0, 1)
    )
    truth = clip_loss(image.double(), text.double(), scalar(100.0))
    found = clip_loss(image, text, scalar(100.0, torch.float32))
    assert found.item() == pytest.approx(truth.item(), rel=1e-6)


class Towers(nn.Module):
    """A linear tower each and a learnable temperature, in the shape of the real model."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image = nn.Linear(INPUT, DIM, dtype=dtype)
        self.text = nn.Linear(INPUT, DIM, dtype=dtype)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(50.0), dtype=dtype))

    def forward(self, pixels: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image, text = F.normalize(self.image(pixels), dim=-1), F.normalize(self.text(words), dim=-1)
        return image, text, self.logit_scale.exp()


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    pixels, words = torch.randn(2, BATCH, INPUT, generator=generator, dtype=torch.float64)
    return pixels.to(dtype), words.to(dtype)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {
        name.removeprefix("module."): parameter.grad.double()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def plain_gradients(dtype: torch.dtype) -> dict[str, Tensor]:
    """The whole batch in one process, by torch's own cross-entropy."""
    model = Towers(dtype)
    image, text, scale = model(*inputs(dtype))
    logits = scale * image @ text.T
    pairs = torch.arange(BATCH)
    ((F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2).backward()
    return gradients(model)


def one_rank(rank: int, folder: str, num_ranks: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=num_ranks
    )
    for dtype in (torch.float64, torch.float32):
        model = DistributedDataParallel(Towers(dtype))
        pixels, words = (x.chunk(num_ranks)[rank] for x in inputs(dtype))
        clip_loss(*model(pixels, words)).backward()
        torch.save(gradients(model), Path(folder) / f"{dtype}-{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> Path:
    """Gradients that each of two processes ended with, in both precisions."""
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(one_rank, args=(str(folder), 2), nprocs=2)
    return folder


def distance(found: dict[str, Tensor], truth: dict[str, Tensor], name: str) -> float:
    return float((found[name] - truth[name]).norm() / truth[name].norm())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("rank", [0, 1])
def test_sharded_gradients_equal_the_full_batch(sharded, rank):
    truth = plain_gradients(torch.float64)
    found = torch.load(sharded / f"torch.float64-{rank}.pt", weights_only=True)
    assert found.keys() == truth.keys()
    assert max(distance(found, truth, name) for name in truth) <= 1e-12


@pytest.mark.timeout(120)
@pytest.mark.parametrize("rank", [0, 1])
def test_sharded_float32_gradients_are_as_true_as_a_plain_float32_loss(sharded, rank):
    truth, plain = plain_gradients(torch.float64), plain_gradients(torch.float32)
    found = torch.load(sharded / f"torch.float32-{rank}.pt", weights_only=True)
    rounding = torch.finfo(torch.float32).eps  # a scalar's plain error may be nil by luck
    for name in truth:
        assert distance(found, truth, name) <= 2 * max(distance(plain, truth, name), rounding)
