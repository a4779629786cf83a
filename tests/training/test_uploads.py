"""Checkpoints on their way: the training goes on meanwhile, and no two are written at once."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from small_clip import small_clip

from figclip.inputs.pixels import PixelConfig
from figclip.store import Store
from figclip.training import uploads
from figclip.training.checkpoint import Progress, read_checkpoint
from figclip.training.learner import Learner
from figclip.training.optim import OptimConfig
from figclip.training.step_config import StepConfig
from figclip.training.uploads import Uploads


class Reports:
    """Ray Train's thread for uploads; what it is told, it does in the order of the reports."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.written: list[Future[Any]] = []

    def report(
        self, metrics: dict[str, Any], checkpoint_upload_fn: Callable[..., Any], **_: Any
    ) -> None:
        name = f"checkpoint_{len(self.written)}"
        self.written.append(self.thread.submit(checkpoint_upload_fn, None, name))


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Reports:
    found = Reports()
    monkeypatch.setattr(uploads.ray.train, "report", found.report)
    return found


@pytest.fixture
def learner() -> Learner:
    return Learner(
        small_clip(),
        torch.device("cpu"),
        steps=StepConfig(precision="fp32"),
        optim=OptimConfig(),
        pixels=PixelConfig(size=32),
    )


def change(learner: Learner, value: float) -> None:
    with torch.no_grad():
        learner.model.logit_scale.fill_(value)


def kept(store: Store, name: str) -> float:
    folder = Path(store.root.path, "run", name)
    return read_checkpoint(folder)["model"]["logit_scale"].item()


def test_training_goes_on_while_a_checkpoint_is_written_which_keeps_the_state_it_was_sent_with(
    tmp_path, reports, learner, monkeypatch
):
    store, may_write = Store(tmp_path), threading.Event()
    save = uploads.save_checkpoint

    def slow(*args: Any, **options: Any) -> None:
        assert may_write.wait(timeout=30)
        save(*args, **options)

    monkeypatch.setattr(uploads, "save_checkpoint", slow)
    sender = Uploads(store.root / "run", rank=0)
    change(learner, 1.0)
    sender.send({}, learner, Progress())  # returns, though nothing can be written yet
    change(learner, 2.0)
    assert not reports.written[0].done()
    may_write.set()
    reports.written[0].result(timeout=30)
    assert kept(store, "checkpoint_0") == 1.0


def test_the_next_checkpoint_waits_for_the_last_one(tmp_path, reports, learner, monkeypatch):
    store, may_write, at_work = Store(tmp_path), threading.Event(), []
    save = uploads.save_checkpoint

    def slow(*args: Any, **options: Any) -> None:
        at_work.append(1)
        assert may_write.wait(timeout=30)
        save(*args, **options)

    monkeypatch.setattr(uploads, "save_checkpoint", slow)
    sender = Uploads(store.root / "run", rank=0)
    sender.send({}, learner, Progress())
    second = threading.Thread(target=sender.send, args=({}, learner, Progress()))
    second.start()
    second.join(timeout=0.3)
    assert second.is_alive()
    assert len(reports.written) == 1
    may_write.set()
    second.join(timeout=30)
    assert not second.is_alive()
    assert len(reports.written) == 2


def test_a_write_that_fails_holds_up_no_other(tmp_path, reports, learner, monkeypatch):
    def full(*args: Any, **options: Any) -> None:
        raise OSError("No space left on device")

    sender = Uploads(Store(tmp_path).root / "run", rank=0)
    with monkeypatch.context() as broken:
        broken.setattr(uploads, "save_checkpoint", full)
        sender.send({}, learner, Progress())
        with pytest.raises(OSError, match="No space"):
            reports.written[0].result(timeout=30)
    change(learner, 3.0)
    sender.send({}, learner, Progress())
    reports.written[1].result(timeout=30)
    assert kept(Store(tmp_path), "checkpoint_1") == 3.0
