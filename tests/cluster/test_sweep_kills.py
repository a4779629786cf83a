"""A sweep whose driver is killed, or whose machine is lost, ends with exactly its trials."""

import random
import signal
import sqlite3
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import small_pairs
from drivers import below, driver
from small_sweeps import BASE

from figclip.store import Store
from figclip.tuning.record import SweepRecord, TrialRecord, read_sweep
from jobs.pretrain import PretrainJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]

NAME = "batch_size-tiny"
EPOCHS = 20
OF_ONE_TRIAL = EPOCHS * 192
ALL_SAMPLES = 3 * OF_ONE_TRIAL


def publish(root: Path) -> Store:
    store = small_pairs.publish_pairs(root, num_train=200, num_validation=16)
    (root / "base.json").write_text(PretrainJob(**dict(BASE)).to_json())
    return store


def words_of(store: Path, epochs: int = EPOCHS) -> list[str]:
    """A sweep of three trials."""
    words = [f"--store={store}", "--pairs=small", f"--base={store}/base.json", "--num-seeds=1"]
    return ["jobs.sweep", "batch_size", *words, f"--epochs={epochs}"]


def finish(store: Path, **options: Any) -> SweepRecord:
    with driver(words_of(store), log=store / "log", **options) as process:
        code = process.wait(timeout=240)
    assert code == 0, (store / "log").read_text()[-5000:]
    return read(store)


def read(store: Path) -> SweepRecord:
    return read_sweep(f"sqlite:///{store}/sweeps.db", NAME)


def samples_seen(store: Path) -> int:
    """Of all trials together, as far as the record knows; asked of SQLite, which is quick."""
    query = "SELECT value_json FROM trial_user_attributes WHERE key = 'samples_seen'"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(store / "sweeps.db")) as base:
        return sum(int(value) for (value,) in base.execute(query))
    return 0


def kill_after(samples: int, store: Path) -> None:
    """Start the driver and SIGKILL it when its trials have seen so many samples."""
    with driver(words_of(store), log=store / "log") as process:
        deadline = time.monotonic() + 200
        while not (store / "sweeps.db").exists() or samples_seen(store) < samples:
            assert process.poll() is None, (store / "log").read_text()[-5000:]
            assert time.monotonic() < deadline, (store / "log").read_text()[-5000:]
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)


def what_seeds_fix(trial: TrialRecord) -> tuple[Any, ...]:
    curve = [
        (point.samples_seen, {k: v for k, v in point.metrics.items() if k != "epoch_seconds"})
        for point in trial.curve
    ]
    return trial.number, dict(trial.params), trial.seed, trial.state, trial.values, curve


@pytest.mark.parametrize(
    "num_kills",
    [
        pytest.param(1, id="one", marks=pytest.mark.slow),
        pytest.param(3, id="three", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_driver_that_is_killed_loses_doubles_and_restarts_no_trial(
    num_kills: int, tmp_path: Path
):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    publish(calm), publish(killed)
    expected = finish(calm)
    dice = random.Random(num_kills)
    for samples in sorted(dice.randrange(1, ALL_SAMPLES * 3 // 4) for _ in range(num_kills)):
        kill_after(samples, killed)
    left = [trial for trial in read(killed).trials if trial.state == "running"]
    found = finish(killed)
    assert [trial.state for trial in found.trials] == ["complete"] * 3
    assert list(map(what_seeds_fix, found.trials)) == list(map(what_seeds_fix, expected.trials))
    text = (killed / "log").read_text()
    for trial in left:
        assert f"trial {trial.number} goes on after {trial.samples_seen} samples" in text
    assert Store(killed).is_published("encoder", NAME)
    again = finish(killed)
    assert again == read(killed), "a further call finds the work done"
    assert again.trials == found.trials


@pytest.mark.slow
def test_a_sweep_on_two_machines_outlives_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from ray.cluster_utils import Cluster

    # Ray writes the head's address there, and whoever starts a Ray meanwhile would join it.
    folder = tempfile.TemporaryDirectory(prefix="ray-")
    monkeypatch.setenv("RAY_TMPDIR", folder.name)
    publish(tmp_path)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)

        def lose() -> None:
            while not (tmp_path / "sweeps.db").exists() or samples_seen(tmp_path) < OF_ONE_TRIAL:
                time.sleep(0.05)
            cluster.remove_node(node, allow_graceful=False)

        loser = threading.Thread(target=lose, daemon=True)
        loser.start()
        environment = {"RAY_ADDRESS": cluster.address}
        with driver(words_of(tmp_path), log=tmp_path / "log", environment=environment) as process:
            code = process.wait(timeout=400)
        assert code == 0, (tmp_path / "log").read_text()[-5000:]
        assert not loser.is_alive(), "the machine was lost while the sweep went on"
    finally:
        cluster.shutdown()
        folder.cleanup()
    assert [trial.state for trial in read(tmp_path).trials] == ["complete"] * 3
    assert [trial.samples_seen for trial in read(tmp_path).trials] == [OF_ONE_TRIAL] * 3


GB = 2**30


@pytest.mark.slow
def test_want_of_memory_ends_a_trial_and_not_the_sweep(tmp_path: Path):
    publish(tmp_path)
    memory = psutil.virtual_memory()
    most = (memory.total - memory.available + 6 * GB) / memory.total
    if most > 0.98:
        pytest.skip("needs 7 GB of free memory")
    epochs = 150
    of_one_trial = epochs * 192
    environment = {"RAY_memory_usage_threshold": f"{most:.3f}"}
    words = words_of(tmp_path, epochs)
    with driver(words, log=tmp_path / "log", environment=environment) as process:
        while not (tmp_path / "sweeps.db").exists() or samples_seen(tmp_path) == 0:
            assert process.poll() is None, (tmp_path / "log").read_text()[-5000:]
            time.sleep(0.05)
        trials = [one for one in below(process.pid) if one.name().startswith("ray::Impl")]
        taken: list[bytearray] = []
        while all(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in trials):
            assert len(taken) < 16, "Ray let its trials live"
            taken.append(bytearray(b"1") * (GB // 2))
            time.sleep(0.2)
        taken.clear()
        assert trials
        assert samples_seen(tmp_path) < of_one_trial, "none had ended by itself"
        assert process.wait(timeout=300) == 0, (tmp_path / "log").read_text()[-5000:]
    assert [trial.state for trial in read(tmp_path).trials] == ["complete"] * 3
    assert [trial.samples_seen for trial in read(tmp_path).trials] == [of_one_trial] * 3
