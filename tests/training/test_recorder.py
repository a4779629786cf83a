"""The curves of a run, read back by TensorBoard itself."""

import tempfile

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from figclip.store import Folder, Store
from figclip.training.recorder import Recorder, StepFacts, duration, progress_line
from figclip.training.schedule import schedule_of
from figclip.training.step import StepMetrics
from figclip.training.trackers import TensorBoard

BATCH = 8
SCHEDULE = schedule_of(num_rows=40, epochs=20, batch_size=BATCH)


def recorder(target: Folder, *, steps_done: int = 0, every_s: float = 1e9) -> Recorder:
    board = TensorBoard(target, samples_done=steps_done * BATCH)
    return Recorder([board], SCHEDULE, every_s=every_s, peak_flops=1e9)


def facts(lr: float = 1e-3) -> StepFacts:
    return StepFacts(lr, wait_s=0.0, flops=1e6)


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
        writer.step(step, facts(step / 1024), metrics(step))
    writer.end_epoch(1, 3, {"loss": 2.5, "image_to_text_r1": 0.25})
    writer.save()
    found = curves(target)
    assert found["train/loss"] == [(8, 1.5), (16, 2.5), (24, 3.5)]
    assert found["train/grad_norm"] == [(8, 101), (16, 102), (24, 103)]
    assert found["train/scale"] == [(8, 1001), (16, 1002), (24, 1003)]
    assert found["train/lr"] == [(8, 1 / 1024), (16, 2 / 1024), (24, 3 / 1024)]
    assert [sample for sample, _ in found["train/samples_per_s"]] == [24]
    assert found["epoch/loss"] == [(24, 2.5)]
    assert found["epoch/image_to_text_r1"] == [(24, 0.25)]


def test_what_is_saved_holds_every_step_before_it(tmp_path):
    """However long the pause between two lines of the log is."""
    target = Store(tmp_path).root / "tensorboard"
    writer = recorder(target, every_s=1e9)
    for step in (1, 2):
        writer.step(step, facts(), metrics(step))
    writer.save()
    writer.step(3, facts(), metrics(3))
    assert [sample for sample, _ in curves(target)["train/loss"]] == [8, 16]


def test_a_resumed_run_shows_each_step_once_and_as_it_took_it(tmp_path):
    target = Store(tmp_path).root / "tensorboard"
    killed = recorder(target)
    for step in (1, 2, 3, 4):
        killed.step(step, facts(), metrics(step))
    killed.save()  # and before its checkpoint was kept, the process died
    resumed = recorder(target, steps_done=2)
    for step in (3, 4, 5):
        resumed.step(step, facts(), metrics(step, shift=0.25))
    resumed.save()
    expected = [(8, 1.5), (16, 2.5), (24, 3.75), (32, 4.75), (40, 5.75)]
    assert curves(target)["train/loss"] == expected


def test_a_closed_recorder_leaves_nothing_on_the_local_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "local"))
    (tmp_path / "local").mkdir()
    writer = recorder(Store(tmp_path).root / "tensorboard")
    writer.step(1, facts(), metrics(1))
    writer.save()
    assert list((tmp_path / "local").iterdir())
    writer.close()
    assert not list((tmp_path / "local").iterdir())


def test_the_axis_counts_samples_also_where_the_batch_grows(tmp_path):
    target = Store(tmp_path).root / "tensorboard"
    grown = schedule_of(num_rows=16, epochs=2, batch_size=8, batch_schedule=((1, 16),))
    writer = Recorder([TensorBoard(target, samples_done=0)], grown, every_s=1e9)
    for step in (1, 2, 3):
        writer.step(step, facts(), metrics(step))
    writer.save()
    assert [sample for sample, _ in curves(target)["train/loss"]] == [8, 16, 32]


def test_rates_are_shares_of_the_time_that_went_by(tmp_path, monkeypatch):
    """Two steps of 8 samples and 0.5 GFLOP in 4 s on 1 GFLOP/s, a quarter of them waiting."""
    clock = iter([100.0, 101.0, 104.0, 104.0])
    monkeypatch.setattr("figclip.training.recorder.time.monotonic", lambda: next(clock))
    target = Store(tmp_path).root / "tensorboard"
    writer = recorder(target, every_s=3.0)
    for step in (1, 2):
        writer.step(step, StepFacts(1e-3, wait_s=0.5, flops=5e8), metrics(step))
    monkeypatch.undo()
    writer.save()
    found = {name: points[-1] for name, points in curves(target).items()}
    assert found["train/samples_per_s"] == (16, 4)
    assert found["train/wait_share"] == (16, 0.25)
    assert found["train/mfu"] == (16, 0.25)
    assert 0.05 < found["train/memory_gb"][1] < 100


def test_the_line_says_where_the_run_stands_and_how_long_it_goes_on():
    grown = schedule_of(num_rows=100, epochs=3, batch_size=10, batch_schedule=((1, 50),))
    rates = {"samples_per_s": 0.5, "wait_share": 0.07, "mfu": 0.461}
    line = progress_line(grown, 11, 2.34567, 1.5e-4, rates)
    assert line == (
        "epoch 2/3, step 11/14 (150 samples): loss 2.3457, lr 1.50e-04, 0.5 samples/s, MFU 46.1%, "
        "waiting for data 7%, 5 min left"
    )


def test_durations_are_read_at_a_glance():
    seconds = (5, 89, 100, 3_600, 7_500, 3 * 86_400 + 4 * 3_600)
    expected = ["5 s", "89 s", "2 min", "1 h 00 min", "2 h 05 min", "3 d 04 h"]
    assert [duration(s) for s in seconds] == expected
