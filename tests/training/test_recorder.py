"""The curves of a run, read back by TensorBoard itself."""

import tempfile

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from figclip.store import Folder, Store
from figclip.training.recorder import Recorder
from figclip.training.step import StepMetrics

BATCH = 8


def recorder(target: Folder, *, steps_done: int = 0, every_s: float = 1e9) -> Recorder:
    return Recorder(
        target,
        steps_done=steps_done,
        num_steps=100,
        steps_per_epoch=5,
        batch_size=BATCH,
        every_s=every_s,
    )


def metrics(step: int, *, shift: float = 0.0) -> StepMetrics:
    return StepMetrics(*(torch.tensor(part + step + shift) for part in (0.5, 100.0, 1000.0)))


def curves(folder: Folder) -> dict[str, list[tuple[int, float]]]:
    """`(sample, value)` of every point of every curve."""
    reader = EventAccumulator(folder.path, size_guidance={"scalars": 0})
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["scalars"]
    }


def test_every_step_and_epoch_is_found_again_at_the_samples_it_had_seen(tmp_path):
    target = Store(tmp_path).root / "tensorboard"
    writer = recorder(target)
    for step in (1, 2, 3):
        writer.step(step, step / 1024, metrics(step))
    writer.end_epoch(1, 3, {"loss": 2.5, "image_to_text_r1": 0.25})
    writer.upload()
    found = curves(target)
    assert found["train/loss"] == [(8, 1.5), (16, 2.5), (24, 3.5)]
    assert found["train/grad_norm"] == [(8, 101), (16, 102), (24, 103)]
    assert found["train/scale"] == [(8, 1001), (16, 1002), (24, 1003)]
    assert found["train/lr"] == [(8, 1 / 1024), (16, 2 / 1024), (24, 3 / 1024)]
    assert [sample for sample, _ in found["train/samples_per_s"]] == [24]
    assert found["epoch/loss"] == [(24, 2.5)]
    assert found["epoch/image_to_text_r1"] == [(24, 0.25)]


def test_an_upload_holds_every_step_before_it(tmp_path):
    """However long the pause between two lines of the log is."""
    target = Store(tmp_path).root / "tensorboard"
    writer = recorder(target, every_s=1e9)
    for step in (1, 2):
        writer.step(step, 1e-3, metrics(step))
    writer.upload()
    writer.step(3, 1e-3, metrics(3))
    assert [sample for sample, _ in curves(target)["train/loss"]] == [8, 16]


def test_a_resumed_run_shows_each_step_once_and_as_it_took_it(tmp_path):
    target = Store(tmp_path).root / "tensorboard"
    killed = recorder(target)
    for step in (1, 2, 3, 4):
        killed.step(step, 1e-3, metrics(step))
    killed.upload()  # and before its checkpoint was kept, the process died
    resumed = recorder(target, steps_done=2)
    for step in (3, 4, 5):
        resumed.step(step, 1e-3, metrics(step, shift=0.25))
    resumed.upload()
    expected = [(8, 1.5), (16, 2.5), (24, 3.75), (32, 4.75), (40, 5.75)]
    assert curves(target)["train/loss"] == expected


def test_a_closed_recorder_leaves_nothing_on_the_local_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "local"))
    (tmp_path / "local").mkdir()
    writer = recorder(Store(tmp_path).root / "tensorboard")
    writer.step(1, 1e-3, metrics(1))
    writer.upload()
    assert list((tmp_path / "local").iterdir())
    writer.close()
    assert not list((tmp_path / "local").iterdir())
