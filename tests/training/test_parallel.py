"""Two ranks, whole (DDP) or in parts (FSDP2), against one process that has the whole batch."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from small_clip import PIXELS, noise, rows, small_clip
from torch import Tensor, nn
from torch.nn import functional as F

from figclip.config import UsageError
from figclip.inputs.pixels import normalise
from figclip.training.average import WeightAverage
from figclip.training.gradients import whole
from figclip.training.optim import OptimConfig, build_optimizer
from figclip.training.parallel import place
from figclip.training.step import Forward, train_step, unwrapped

SIZE, NUM_STEPS, MAX_NORM, DECAY = 12, 3, 0.5, 0.8
OPTIM = OptimConfig(lr=1e-2)
CPU = torch.device("cpu")
WAYS = [
    (parallel, part, checkpointing)
    for parallel in ("ddp", "fsdp")
    for part, checkpointing in ((None, False), (None, True), (4, False))
]


def one_rank(rank: int, folder: str, num_ranks: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=num_ranks
    )
    for parallel, part, checkpointing in WAYS:
        found = trained(rank, num_ranks, parallel, part, checkpointing)
        torch.save(found, Path(folder) / f"{parallel}-{part}-{checkpointing}-{rank}.pt")
    dist.destroy_process_group()


def trained(rank, num_ranks, parallel, part, checkpointing):
    clip = small_clip(dropout=0.0, patch_dropout=0.0, gradient_checkpointing=checkpointing)
    model = place(clip, CPU, parallel=parallel)
    optimizer = build_optimizer(model, OPTIM)
    average = WeightAverage(model, DECAY)
    share = SIZE // num_ranks
    norms = []
    for step in range(NUM_STEPS):
        batch = rows(noise(SIZE, seed=step), rank * share, (rank + 1) * share)
        forward = Forward(PIXELS, "fp32", part)
        found = train_step(model, optimizer, batch, forward, rng_seed=step, max_grad_norm=MAX_NORM)
        average.update(model)
        norms.append(found.grad_norm)
    weights = {name: whole(tensor) for name, tensor in unwrapped(model).state_dict().items()}
    held = sum(getattr(p, "_local_tensor", p).numel() for p in model.parameters())
    reloaded = WeightAverage(model, DECAY)
    reloaded.load_state_dict(average.state_dict())
    return {
        "weights": weights,
        "average": reloaded.state_dict(),
        "norms": torch.stack(norms),
        "held": torch.tensor(held),
    }


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(one_rank, args=(str(folder), 2), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, Tensor]]:
    """The whole batch in one process: torch's own loss, cut, unfused AdamW, an average by hand."""
    torch.set_num_threads(1)
    clip = small_clip(dropout=0.0, patch_dropout=0.0)
    groups = [
        {"params": [p for p in clip.parameters() if p.ndim >= 2 and p.shape[0] > 1]},
        {"params": [p for p in clip.parameters() if p.ndim < 2 or p.shape[0] == 1]},
    ]
    groups[0]["weight_decay"], groups[1]["weight_decay"] = 0.2, 0.0
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.98), eps=1e-6)
    average = {name: p.detach().clone() for name, p in clip.named_parameters()}
    norms = []
    for step in range(NUM_STEPS):
        batch = noise(SIZE, seed=step)
        image, text, scale = clip(normalise(batch.pixels, PIXELS), batch.ids, batch.mask)
        logits, pairs = scale * image @ text.T, torch.arange(SIZE)
        optimizer.zero_grad()
        ((F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2).backward()
        norms.append(nn.utils.clip_grad_norm_(clip.parameters(), MAX_NORM))
        optimizer.step()
        clip.clamp_scale()
        for name, p in clip.named_parameters():
            average[name] = DECAY * average[name] + (1 - DECAY) * p.detach()
    weights = {name: p.detach() for name, p in clip.named_parameters()}
    return {"weights": weights, "average": average, "norms": torch.stack(norms)}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(("parallel", "part", "checkpointing"), WAYS)
def test_steps_of_two_ranks_are_those_of_one_process(
    ranks, alone, rank, parallel, part, checkpointing
):
    found = torch.load(ranks / f"{parallel}-{part}-{checkpointing}-{rank}.pt", weights_only=True)
    torch.testing.assert_close(found["norms"], alone["norms"], rtol=1e-4, atol=0)
    assert (alone["norms"] > MAX_NORM).any()  # or nothing would be cut
    for kind in ("weights", "average"):
        assert found[kind].keys() >= alone[kind].keys()
        for name, truth in alone[kind].items():
            assert found[kind][name].shape == truth.shape
            # AdamW divides by the gradient's size, which blows the rounding of tiny ones up
            assert (found[kind][name] - truth).abs().max() <= 2e-3, name
            assert (found[kind][name] - truth).norm() <= 1e-4 * (1 + truth.norm()), name


@pytest.mark.timeout(240)
def test_a_sharded_rank_holds_half_of_the_weights(ranks):
    held = {
        parallel: torch.load(ranks / f"{parallel}-None-False-0.pt", weights_only=True)[
            "held"
        ].item()
        for parallel in ("ddp", "fsdp")
    }
    assert held["fsdp"] == pytest.approx(held["ddp"] / 2, rel=0.03)


def test_float8_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match="--precision bf16"):
        place(small_clip(), CPU, is_fp8=True)
