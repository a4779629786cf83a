from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler
from small_sweeps import SEARCH, open_study, sqlite

from figclip.tuning.schedulers import scheduler_of


def halving(tmp_path: Path) -> Any:
    """Of trials that see 400 samples, in which a rung lies at 100, 200 and 400."""
    study, _ = open_study(sqlite(tmp_path), SEARCH)
    asked = SEARCH.model_copy(update={"scheduler": "asha"})
    return scheduler_of(asked, study, total_samples=400, epoch_samples=100)


def told(scheduler: Any, number: int, recalls: list[float], *, seed: int = 0) -> list[str]:
    """What the scheduler says to each validation of a trial, until it says stop."""
    config = {"number": number, "seed": seed}
    trial = SimpleNamespace(trial_id=f"trial-{number}", config=config)
    scheduler.on_trial_add(None, trial)
    answers = []
    for epoch, recall in enumerate(recalls, start=1):
        result = {"samples_seen": 100 * epoch, "metric": recall}
        answers.append(scheduler.on_trial_result(None, trial, result))
        if answers[-1] == TrialScheduler.STOP:
            break
    return answers


def test_who_has_seen_all_samples_is_complete_whatever_the_others_reached(tmp_path: Path):
    scheduler = halving(tmp_path)
    assert told(scheduler, 0, [0.5, 0.6, 0.7, 0.8]) == ["CONTINUE"] * 4
    assert told(scheduler, 1, [0.6, 0.7, 0.8, 0.1]) == ["CONTINUE"] * 4


def test_who_is_behind_at_a_rung_is_stopped_there(tmp_path: Path):
    scheduler = halving(tmp_path)
    told(scheduler, 0, [0.5, 0.6, 0.7, 0.8])
    assert told(scheduler, 1, [0.4]) == ["STOP"]
    assert told(scheduler, 2, [0.6, 0.5]) == ["CONTINUE", "STOP"]


def test_who_confirms_is_never_stopped(tmp_path: Path):
    scheduler = halving(tmp_path)
    told(scheduler, 0, [0.5, 0.6, 0.7, 0.8])
    assert told(scheduler, 1, [0.1] * 4, seed=1) == ["CONTINUE"] * 4
