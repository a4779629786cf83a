"""Sweeps on a real Ray: pretended trials for what Tune does, small real ones for what they are."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_pairs
import small_sweeps
from ray import cloudpickle
from small_runs import ALONE
from small_sweeps import BASE, GRID, news, open_study, pretend, question, setup, sqlite

from figclip.store import Store
from figclip.tuning.plan import Plan
from figclip.tuning.record import SweepRecord, TrialRecord, read_sweep
from figclip.tuning.schedulers import scheduler_of
from figclip.tuning.spaces import Between, Budget
from figclip.tuning.study import News, SweepStudy
from figclip.tuning.sweep import Limits, sweep
from figclip.tuning.trial import Setup

pytestmark = [pytest.mark.ray, pytest.mark.timeout(280)]

EIGHT = Budget(base="small", grid={"batch_size": tuple(range(4, 36, 4))}, num_seeds=1)


@pytest.fixture(autouse=True, scope="module")
def carried_to_the_workers() -> Iterator[None]:
    cloudpickle.register_pickle_by_value(small_sweeps)
    yield
    cloudpickle.unregister_pickle_by_value(small_sweeps)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def run(
    storage: str,
    store: Store,
    budget: Budget,
    trial: Callable[..., None] | None,
    *,
    limits: Limits | None = None,
    scheduler: str = "none",
) -> SweepRecord:
    study, plan = open_study(storage, budget)
    asked = budget.model_copy(update={"scheduler": scheduler})
    return sweep(
        study,
        setup(store, study),
        plan.next,
        limits=limits or Limits(at_once=2),
        scheduler=scheduler_of(asked, study, total_samples=400, epoch_samples=100),
        run=trial,
    )


def states(record: SweepRecord) -> dict[int, str]:
    return {trial.params["batch_size"]: trial.state for trial in record.trials}


def test_halving_stops_the_poor_and_marks_them_pruned(ray_cluster: None, store: Store):
    """The first to come is the best, so that all others are behind it at 100 samples."""
    learns = pretend(lambda config: [(40 - config["params"]["batch_size"]) / 40] * 4, pause_s=0.2)

    def trial(setup: Setup, config: dict[str, Any], tell: Callable[[News], None]) -> None:
        if config["params"]["batch_size"] == 32:
            tell(News((), 0.0, "", fault="diverged before its first epoch"))
        else:
            learns(setup, config, tell)

    record = run(sqlite(Path(store.url)), store, EIGHT, trial, scheduler="asha")
    found = states(record)
    assert (found[4], found.pop(32)) == ("complete", "failed")
    assert sum(state == "pruned" for state in found.values()) >= 4
    for one in record.trials:
        if one.state == "pruned":
            assert one.samples_seen < 400
            assert one.reason == f"behind the others after {one.samples_seen:,} samples"
            assert one.values == ()
        elif one.state == "complete":
            assert one.samples_seen == 400


def test_what_goes_wrong_in_a_trial_is_recorded_and_the_sweep_goes_on(
    ray_cluster: None, store: Store
):
    def trial(_: Setup, config: dict[str, Any], tell: Callable[[News], None]) -> None:
        match config["params"]["batch_size"]:
            case 4:
                tell(News((), 0.0, "", fault="the training has diverged at step 7"))
            case 8:
                raise ValueError("a broken disk\nof two lines")
            case 12:
                os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory ends
            case _:
                tell(news([0.5], is_over=True))

    budget = Budget(base="small", grid={"batch_size": (4, 8, 12, 16)}, num_seeds=1)
    limits = Limits(at_once=2, max_failures=0)
    record = run(sqlite(Path(store.url)), store, budget, trial, limits=limits)
    assert states(record) == {4: "failed", 8: "failed", 12: "failed", 16: "complete"}
    reasons = {one.params["batch_size"]: one.reason for one in record.trials}
    assert reasons[4] == "the training has diverged at step 7"
    assert reasons[8] == "ValueError: a broken disk of two lines"
    assert reasons[12].startswith("its process was lost")


def test_a_trial_whose_process_is_lost_goes_on(ray_cluster: None, store: Store):
    marker = Path(store.url) / "killed"

    def trial(_: Setup, config: dict[str, Any], tell: Callable[[News], None]) -> None:
        tell(news([0.1]))
        if config["params"]["batch_size"] == 4 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        tell(news([0.1, 0.2], is_over=True))

    record = run(sqlite(Path(store.url)), store, GRID, trial)
    assert marker.exists()
    assert states(record) == {4: "complete", 8: "complete"}


@pytest.mark.slow
def test_a_budget_of_time_leaves_the_rest_for_the_next_call(ray_cluster: None, store: Store):
    slow = pretend(lambda config: [0.1] * 3, pause_s=1.0)
    limits = Limits(at_once=2, hours=4 / 3600)
    record = run(sqlite(Path(store.url)), store, EIGHT, slow, limits=limits)
    left = [one for one in record.trials if one.state in ("planned", "running")]
    assert 0 < len(left) < 8 or len(left) == 8
    quick = pretend(lambda config: [0.1] * 3)
    record = run(sqlite(Path(store.url)), store, EIGHT, quick)
    assert set(states(record).values()) == {"complete"}
    assert len(record.trials) == 8


def test_a_budget_of_money_counts_what_earlier_drivers_spent(ray_cluster: None, store: Store):
    trial = pretend(lambda config: [0.1])  # two seconds of one CPU each, as they tell
    price = 3600 / 2  # so that each costs 1
    limits = Limits(at_once=1, cost=3.0, price_per_hour=price)
    for _ in range(2):
        record = run(sqlite(Path(store.url)), store, EIGHT, trial, limits=limits)
        done = [one for one in record.trials if one.state == "complete"]
        assert len(done) == 3


def what_seeds_fix(trial: TrialRecord) -> tuple[Any, ...]:
    curve = [
        (point.samples_seen, {k: v for k, v in point.metrics.items() if k != "epoch_seconds"})
        for point in trial.curve
    ]
    return trial.number, dict(trial.params), trial.seed, trial.state, trial.values, curve


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server named in the environment, or the one that a wheel carries."""
    if named := os.environ.get("FIGCLIP_TEST_POSTGRES"):
        yield named
        return
    import pgserver

    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


def test_postgres_and_sqlite_record_the_same_sweep_of_real_trials(
    ray_cluster: None, postgres: str, tmp_path: Path
):
    found = []
    for name in ("sqlite", "postgres"):
        store = small_pairs.publish_pairs(tmp_path / name, num_train=40, num_validation=16)
        storage = postgres if name == "postgres" else sqlite(tmp_path / name)
        record = run(storage, store, GRID, None)
        assert record == read_sweep(storage, "small")
        found.append([what_seeds_fix(trial) for trial in record.trials])
        assert states(record) == {4: "complete", 8: "complete"}
        for trial in record.trials:
            assert trial.pairs == "pairs@small"
            assert trial.revision
            assert Path(trial.checkpoint).is_dir()
            assert trial.samples_seen == 40 * BASE.epochs
            assert trial.cpu_hours == pytest.approx(trial.seconds * 0.5 / 3600)
    assert found[0] == found[1]


@pytest.mark.slow
def test_trials_of_two_workers_tell_their_epochs_and_end_alike(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nothing is drawn that would depend on the rank, so that the curve is that of one process."""
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    budget = Budget(base="small", grid={"batch_size": (8,)}, num_seeds=1)
    found, scales = [], []
    for name, num_workers in (("one", 1), ("two", 2)):
        store = small_pairs.publish_pairs(
            tmp_path / name, num_train=40, num_validation=16, num_test=9
        )
        study, plan = open_study(sqlite(tmp_path / name), budget)
        of_all = replace(
            setup(store, study, ALONE),
            num_workers=num_workers,
            downstream=lambda encoder: {"zero_shot_scale": encoder.scale},
        )
        record = sweep(study, of_all, plan.next, limits=Limits())
        (trial,) = record.trials
        assert trial.state == "complete"
        assert trial.cpu_hours == pytest.approx(trial.seconds * 0.5 * num_workers / 3600)
        found.append([point.metrics["loss"] for point in trial.curve])
        scales.append(trial.curve[-1].metrics["zero_shot_scale"])
        assert [("test_mean_recall" in point.metrics) for point in trial.curve] == [False, True]
    assert len(found[0]) == ALONE.epochs
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    assert scales[1] == pytest.approx(scales[0], rel=1e-4)


@pytest.mark.slow
def test_a_population_goes_on_with_the_better_weights(ray_cluster: None, tmp_path: Path):
    """One of four trials cannot learn: its rate is next to nothing until it is given another's."""
    store = small_pairs.publish_pairs(tmp_path, num_train=80, num_validation=16)
    base = ALONE.with_overrides({"epochs": 4, "optim.lr": 1e-3})
    budget = Budget(
        base="small",
        search={"optim.lr": Between(low=1e-7, high=1e-2, log=True)},
        num_samples=4,
        num_seeds=1,
        scheduler="pbt",
    )
    study = SweepStudy(sqlite(tmp_path), "small", question(budget, base=base))
    plan = Plan(study, budget, base)
    plan.write()
    schedule = scheduler_of(budget, study, total_samples=320, epoch_samples=40)
    record = sweep(
        study,
        setup(store, study, base),
        plan.next,
        limits=Limits(at_once=4),
        scheduler=schedule,
    )
    assert [trial.state for trial in record.trials] == ["complete"] * 4
    assert schedule._num_perturbations > 0
    assert all(len(trial.curve) == 4 for trial in record.trials)
    drawn = [trial.params["optim.lr"] for trial in study.study.trials]
    ended = [trial.params["optim.lr"] for trial in record.trials]
    assert drawn != ended, "who took over weights took over a rate near theirs"
