"""A run that stops and goes on takes the very steps of one that never stopped."""

import os
from pathlib import Path

import pytest
import torch

from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.store import Store
from figclip.training.checkpoint import (
    Progress,
    load_checkpoint,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
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
        folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(folder, self.model, self.optimizer, self.progress)


def test_with_patch_and_word_dropout_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = Process()
    losses = whole.steps(NUM_STEPS)
    stopped = Process()
    first = stopped.steps(2)
    stopped.progress.history.append({"epoch": 1, "loss": 0.5})
    stopped.save(tmp_path)
    stopped.steps(3)  # taken in vain

    resumed = Process(init_seed=99)
    torch.rand(1000)  # the new process drew other numbers before
    resumed.progress = load_checkpoint(read_checkpoint(tmp_path), resumed.model, resumed.optimizer)
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
    for number, steps in ((1, 1), (2, 2), (3, 3)):
        process.progress.steps_done = steps
        process.save(tmp_path / "train" / f"checkpoint_2026-11-22_10-00-0{number}.000")
    run = Store(tmp_path).root / "train"
    assert newest_checkpoint(run)["progress"]["steps_done"] == 3
    newest = tmp_path / "train" / "checkpoint_2026-11-22_10-00-03.000" / "state.pt"
    os.truncate(newest, newest.stat().st_size // 2)  # killed while it was copied
    assert newest_checkpoint(run)["progress"]["steps_done"] == 2
    os.truncate(newest, 0)
    assert newest_checkpoint(run)["progress"]["steps_done"] == 2


def test_a_pair_that_gives_nothing_is_named_once_and_kept_with_the_checkpoint(caplog, tmp_path):
    model = Clip(CONFIG)
    optimizer = build_optimizer(model, OptimConfig())
    progress = Progress()
    for _ in range(2):
        progress.leave_out({"PMC1.1/F1/a.jpg": "broken_image: cut off"})
    assert [record.message for record in caplog.records] == [
        "pair PMC1.1/F1/a.jpg gives way to another one: broken_image: cut off"
    ]
    save_checkpoint(tmp_path, model, optimizer, progress)
    found = load_checkpoint(read_checkpoint(tmp_path), model, optimizer)
    assert found.left_out == {"PMC1.1/F1/a.jpg": "broken_image: cut off"}
