"""What all jobs do alike: presets that run again from their JSON, and answers to errors."""

import errno
import importlib
import sys
from pathlib import Path

import pytest

from figclip.config import UsageError, config_from_args
from figclip.store import Store
from jobs.entry import Job, keep_config, run

JOBS = (
    "quickstart",
    "ingest",
    "statistics",
    "export",
    "check_leakage",
    "pretrain",
    "embed",
    "evaluate",
    "build_index",
    "benchmark",
)
PRESETS = [
    (job, preset) for job in JOBS for preset in importlib.import_module(f"jobs.{job}").PRESETS
]


@pytest.mark.parametrize(("job", "preset"), PRESETS)
def test_the_config_beside_an_artifact_runs_its_job_again(job: str, preset: str, tmp_path: Path):
    presets = importlib.import_module(f"jobs.{job}").PRESETS
    changed = config_from_args(presets, [preset, "--store", "elsewhere", "--log", "json"], job)
    keep_config(Store(tmp_path), "made", "v", job, changed)
    kept = tmp_path / "made" / "v" / f"_jobs.{job}.json"
    assert config_from_args(presets, [str(kept)], job) == changed
    again = config_from_args(presets, [str(kept), "--store", "there"], job)
    assert again == changed.with_overrides({"store": "there"})


def test_a_rerun_does_not_replace_the_config_that_made_the_artifact(tmp_path: Path):
    for store in ("first", "second"):
        keep_config(Store(tmp_path), "made", "v", "ingest", Job(store=store))
    kept = (tmp_path / "made" / "v" / "_jobs.ingest.json").read_bytes()
    assert Job.from_json(kept).store == "first"


def failing(error: Exception):
    def main(config: Job) -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UsageError("choose another version"), "choose another version"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left for ./artifacts: free"),
    ],
)
def test_what_a_person_can_mend_ends_in_one_sentence(
    error: Exception,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", ["jobs.some"])
    with pytest.raises(SystemExit) as ended:
        run({"some": Job()}, failing(error), "some")
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("jobs.some: ")
    assert words in said
    assert said.count("\n") == 1


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["jobs.some"])
    with pytest.raises(ZeroDivisionError):
        run({"some": Job()}, failing(ZeroDivisionError()), "some")
