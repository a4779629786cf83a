"""The study says what is left to do, whoever asks, and however often."""

from pathlib import Path

import optuna
import pytest
from small_sweeps import GRID, SEARCH, news, open_study, question, sqlite

from figclip.config import UsageError
from figclip.tuning.record import SweepRecord, read_sweep
from figclip.tuning.spaces import Budget
from figclip.tuning.storage import open_storage
from figclip.tuning.study import SweepStudy


def states(record: SweepRecord) -> list[str]:
    return [trial.state for trial in record.trials]


def test_all_points_of_a_grid_are_planned_before_the_first_trial(tmp_path: Path):
    study, _ = open_study(sqlite(tmp_path), GRID.model_copy(update={"num_seeds": 3}))
    assert states(study.record) == ["planned"] * 6
    assert study.record.planned == 6
    asked = [(trial.params["batch_size"], trial.seed) for trial in study.record.trials]
    assert asked == [(4, 0), (8, 0), (4, 1), (8, 1), (4, 2), (8, 2)]


@pytest.mark.parametrize("with_cost", [False, True])
def test_what_is_told_is_what_is_read(with_cost: bool, tmp_path: Path):
    study, plan = open_study(sqlite(tmp_path), with_cost=with_cost)
    first, second = plan.next(), plan.next()
    study.tell(first.number, news([0.1]), revision="abc", pairs="pairs@small")
    study.finish(first.number, news([0.1, 0.4], is_over=True))
    study.tell(second.number, news([0.1]))
    study.prune(second.number, "behind the others after 100 samples")
    assert plan.next() is None
    record = read_sweep(sqlite(tmp_path), "small")
    assert record == study.record
    done, stopped = record.trials
    assert (done.state, stopped.state) == ("complete", "pruned")
    assert done.values == (0.4, *([4 / 3600] if with_cost else []))
    assert stopped.values == ()
    assert stopped.reason == "behind the others after 100 samples"
    assert [point.metrics["mean_recall"] for point in done.curve] == [0.1, 0.4]
    assert (done.samples_seen, done.seconds, done.cpu_hours) == (200, 4.0, 4 / 3600)
    assert (done.revision, done.pairs) == ("abc", "pairs@small")


@pytest.mark.parametrize("budget", [GRID, SEARCH])
def test_a_driver_that_dies_at_any_moment_loses_and_doubles_no_trial(
    budget: Budget, tmp_path: Path
):
    """A new driver after every single call."""
    while True:
        study, plan = open_study(sqlite(tmp_path), budget)
        trial = plan.next()
        if trial is None:
            break
        if not trial.curve:
            study.tell(trial.number, news([0.2]))
            continue
        assert len(trial.curve) == 1, "it goes on where it was"
        study.finish(trial.number, news([0.2, 0.3], is_over=True))
    record = study.record
    assert states(record) == ["complete"] * record.planned
    assert len({(str(trial.params), trial.seed) for trial in record.trials}) == record.planned


def test_a_search_begins_with_the_base_and_draws_no_value_twice_after_a_kill(tmp_path: Path):
    for _ in range(2):
        study, plan = open_study(sqlite(tmp_path), SEARCH)
        for _ in range(2):
            study.finish(plan.next().number, news([0.1], is_over=True))
    rates = [trial.params["optim.lr"] for trial in study.record.trials]
    assert rates[0] == 1e-3
    assert len(set(rates)) == 4


def test_the_best_and_the_base_are_confirmed_with_fresh_seeds(tmp_path: Path):
    budget = SEARCH.model_copy(update={"num_seeds": 2})
    study, plan = open_study(sqlite(tmp_path), budget)
    trials = [plan.next() for _ in range(4)]
    assert plan.next() == "wait"
    for trial in trials[:3]:
        study.finish(trial.number, news([0.1 * trial.number], is_over=True))
    assert plan.next() == "wait"
    study.fail(trials[3].number, "out of memory")
    confirming = [plan.next() for _ in range(4)]
    assert {trial.seed for trial in confirming} == {1, 2}
    winner, base = trials[2].params, trials[0].params
    assert [trial.params for trial in confirming] == [winner, base, winner, base]
    assert study.record.planned == 8
    for trial in confirming:
        study.finish(trial.number, news([0.1], is_over=True))
    assert plan.next() is None


def test_another_question_under_the_same_name_is_refused(tmp_path: Path):
    open_study(sqlite(tmp_path))
    other = GRID.model_copy(update={"grid": {"batch_size": (4, 16)}})
    with pytest.raises(UsageError, match=r"another question \(grid differ\).*--name"):
        open_study(sqlite(tmp_path), other)
    with pytest.raises(UsageError, match=r"objectives differ"):
        SweepStudy(sqlite(tmp_path), "small", question(GRID, with_cost=True))


def test_more_seeds_and_more_samples_are_the_same_question(tmp_path: Path):
    study, plan = open_study(sqlite(tmp_path))
    study.finish(plan.next().number, news([0.1], is_over=True))
    study, _ = open_study(sqlite(tmp_path), GRID.model_copy(update={"num_seeds": 2}))
    assert states(study.record) == ["complete", "planned", "planned", "planned"]
    assert study.record.planned == 4


def test_somebody_elses_study_is_refused(tmp_path: Path):
    study = optuna.create_study(storage=open_storage(sqlite(tmp_path)), study_name="small")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(UsageError, match="not one of figclip"):
        open_study(sqlite(tmp_path))
    with pytest.raises(UsageError, match="not one of figclip"):
        read_sweep(sqlite(tmp_path), "small")


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("postgresql://u:secret@127.0.0.1:1/sweeps", r"u:\*\*\*@127\.0\.0\.1:1/sweeps.*refused"),
        ("sqlite:////no/such/folder/x.db", "/no/such/folder"),
        ("mysql://localhost/x", "no storage of sweeps"),
        ("file.db", "no storage of sweeps"),
    ],
)
def test_a_database_that_cannot_be_had_is_named_without_its_password(storage: str, words: str):
    with pytest.raises(UsageError, match=words) as error:
        open_study(storage)
    assert "secret" not in str(error.value)


def test_a_trial_without_the_metric_has_failed(tmp_path: Path):
    study, plan = open_study(sqlite(tmp_path))
    number = plan.next().number
    study.finish(number, news([], is_over=True))
    assert study.record.trials[number].state == "failed"
    assert "mean_recall" in study.record.trials[number].reason


@pytest.mark.parametrize("with_cost", [False, True])
def test_the_values_have_their_names_wherever_the_study_is_opened(with_cost: bool, tmp_path: Path):
    names = ["mean_recall", *(["cpu_hours"] if with_cost else [])]
    for _ in range(2):
        open_study(sqlite(tmp_path), with_cost=with_cost)
        other = optuna.load_study(study_name="small", storage=sqlite(tmp_path))
        assert other.metric_names == names


def test_a_strangers_study_is_refused_without_a_word_written_to_it(tmp_path: Path):
    optuna.create_study(storage=sqlite(tmp_path), study_name="small").optimize(
        lambda trial: trial.suggest_float("x", 0, 1), n_trials=1
    )
    with pytest.raises(UsageError, match="not one of figclip's"):
        SweepStudy(sqlite(tmp_path), "small", question(GRID))
    other = optuna.load_study(study_name="small", storage=sqlite(tmp_path))
    assert other.metric_names is None
