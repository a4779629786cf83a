"""A run that stops and goes on takes the very steps of one that never stopped."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing import spawn

from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.store import Store
from figclip.training.checkpoint import (
    FILE,
    Progress,
    newest_checkpoint,
    read_checkpoint,
    restore,
    save_checkpoint,
    save_shards,
    snapshot,
)
from figclip.training.optim import OptimConfig, build_optimizer
from figclip.training.step import Forward, step_seed, train_step

SIDE, LENGTH, VOCABULARY, NUM_STEPS = 32, 8, 50, 6
CONFIG = ClipConfig(
    vision=VisionConfig(
        timm_model="vit_tiny_patch16_224",
        image_size=SIDE,
        width=16,
        depth=1,
        heads=2,
        patch_dropout=0.5,
    ),
    text=TextConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        layers=1,
        heads=2,
        intermediate_size=32,
        max_positions=16,
        context_length=LENGTH,
        dropout=0.3,
    ),
    embed_dim=8,
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def batch(step: int) -> Batch:
    random = torch.Generator().manual_seed(step)
    return Batch(
        pixels=torch.randint(0, 256, (4, 3, SIDE, SIDE), generator=random, dtype=torch.uint8),
        ids=torch.randint(5, VOCABULARY, (4, LENGTH), generator=random),
        mask=torch.ones(4, LENGTH, dtype=torch.bool),
    )


class Process:
    """What a training process holds; a new one knows only what a checkpoint tells it."""

    def __init__(self, *, init_seed: int = 0) -> None:
        torch.manual_seed(init_seed)
        self.model = Clip(CONFIG)
        self.optimizer = build_optimizer(self.model, OptimConfig(lr=1e-2))
        self.progress = Progress()
        self.others = {"scaler": torch.amp.GradScaler("cpu", init_scale=2.0**init_seed)}

    def steps(self, up_to: int, *, seed: int = 0) -> list[float]:
        losses = []
        for step in range(self.progress.steps_done, up_to):
            metrics = train_step(
                self.model,
                self.optimizer,
                batch(step),
                Forward(PixelConfig(size=SIDE), "bf16"),
                rng_seed=step_seed(seed, step=step, rank=0),
            )
            losses.append(metrics.loss.item())
            self.progress.steps_done += 1
            self.progress.loss_sum = self.progress.loss_sum + metrics.loss.double()
        return losses

    def save(self, folder: Path) -> None:
        save_checkpoint(
            Store(folder).root, snapshot(self.model, self.optimizer, self.progress, self.others)
        )

    def load(self, folder: Path) -> None:
        self.progress = restore(folder, self.model, self.optimizer, self.others)


def test_with_patch_and_word_dropout_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = Process()
    losses = whole.steps(NUM_STEPS)
    stopped = Process()
    first = stopped.steps(2)
    stopped.progress.history.append({"epoch": 1, "loss": 0.5})
    copy = snapshot(stopped.model, stopped.optimizer, stopped.progress, stopped.others)
    stopped.steps(3)  # taken in vain, and the copy that is written later knows nothing of it
    save_checkpoint(Store(tmp_path).root, copy)

    resumed = Process(init_seed=99)
    torch.rand(1000)  # the new process drew other numbers before
    resumed.load(tmp_path)
    assert resumed.others["scaler"].get_scale() == 1.0
    assert resumed.progress.history == [{"epoch": 1, "loss": 0.5}]
    assert first + resumed.steps(NUM_STEPS) == losses
    assert torch.equal(resumed.progress.loss_sum, whole.progress.loss_sum)
    expected, found = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    moments, others = whole.optimizer.state_dict(), resumed.optimizer.state_dict()
    for number, state in moments["state"].items():
        assert all(torch.equal(others["state"][number][name], state[name]) for name in state)


def test_dropout_is_at_work_and_decided_by_seed_step_and_rank():
    assert Process().steps(1) == Process().steps(1)
    assert Process().steps(1) != Process().steps(1, seed=1)
    seeds = {step_seed(s, step=n, rank=r) for s in (0, 1) for n in range(50) for r in range(4)}
    assert len(seeds) == 400


def test_without_any_checkpoint_there_is_none(tmp_path):
    assert newest_checkpoint(Store(tmp_path).root / "train") is None


def test_the_newest_checkpoint_that_is_whole_is_found(tmp_path):
    process = Process()
    names = [f"checkpoint_2026-11-22_10-00-0{number}.000" for number in (1, 2, 3)]
    for name in names:
        process.save(tmp_path / "train" / name)
    run = Store(tmp_path).root / "train"
    assert newest_checkpoint(run) == names[2]
    newest = tmp_path / "train" / names[2] / FILE
    os.truncate(newest, newest.stat().st_size // 2)  # killed while it was copied
    assert newest_checkpoint(run) == names[1]
    os.truncate(newest, 0)
    assert newest_checkpoint(run) == names[1]


FULL_DISK = """
import resource, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_checkpoint import Process
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    Process().save(Path(sys.argv[1]))
except OSError as error:
    print(f"said {error}")
"""


def test_a_disk_that_is_full_keeps_the_last_checkpoint_and_is_named(tmp_path):
    """In a process of its own that may write no more than 50,000 bytes to a file."""
    process, train = Process(), tmp_path / "train"
    process.save(train / "checkpoint_1")
    assert (train / "checkpoint_1" / FILE).stat().st_size > 50_000
    words = [sys.executable, "-c", FULL_DISK, str(train / "checkpoint_2"), *sys.path]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"said [Errno {errno.EFBIG}]" in said
    assert newest_checkpoint(Store(tmp_path).root / "train") == "checkpoint_1"
    assert not list((train / "checkpoint_2").rglob("*")), "nothing partial is left"
    assert read_checkpoint(train / "checkpoint_1")["progress"]["steps_done"] == 0


def sharded_steps(rank: int, num_ranks: int, folder: Path, start: int, stop: int) -> None:
    """One of `num_ranks` processes that hold a part of the model each, from step to step."""
    torch.set_num_threads(1)
    place = f"file://{folder}/meet-{start}"
    dist.init_process_group("gloo", init_method=place, rank=rank, world_size=num_ranks)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3))
    fully_shard(model, mesh=init_device_mesh("cpu", (num_ranks,)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    progress = restore(folder / f"at-{start}", model, optimizer) if start else Progress()
    for step in range(start, stop):
        model(example(step)).square().sum().backward()  # the same rows on every rank
        optimizer.step()
        optimizer.zero_grad()
    progress.steps_done = stop
    save_shards(folder / f"at-{stop}", snapshot(model, optimizer, progress), rank=rank)
    dist.destroy_process_group()


def example(step: int) -> torch.Tensor:
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(step))


@pytest.mark.timeout(240)
def test_a_sharded_checkpoint_is_whole_and_any_number_of_ranks_goes_on_with_it(tmp_path):
    """Two ranks take two steps, one rank the third; one plain process judges."""
    for num_ranks, start, stop in ((2, 0, 2), (1, 2, 3)):
        (tmp_path / f"at-{stop}").mkdir()
        spawn(sharded_steps, (num_ranks, tmp_path, start, stop), nprocs=num_ranks)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for step in range(3):
        model(example(step)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    found = read_checkpoint(tmp_path / "at-3")
    assert found["progress"]["steps_done"] == 3
    torch.testing.assert_close(found["model"], dict(model.state_dict()))

    run = Store(tmp_path).root
    assert newest_checkpoint(run) == "at-3"
    shard = next((tmp_path / "at-3").glob("*.distcp"))
    os.truncate(shard, shard.stat().st_size - 1)
    assert newest_checkpoint(run) == "at-2"
    next((tmp_path / "at-2").glob("__1_*.distcp")).unlink()  # of the other rank
    assert newest_checkpoint(run) is None


def test_a_pair_that_gives_nothing_is_named_once_and_kept_with_the_checkpoint(caplog, tmp_path):
    process = Process()
    for _ in range(2):
        process.progress.leave_out({"PMC1.1/F1/a.jpg": "broken_image: cut off"})
    assert [record.message for record in caplog.records] == [
        "pair PMC1.1/F1/a.jpg gives way to another one: broken_image: cut off"
    ]
    process.save(tmp_path)
    found = read_checkpoint(tmp_path)["progress"]["left_out"]
    assert found == {"PMC1.1/F1/a.jpg": "broken_image: cut off"}
