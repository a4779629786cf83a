"""The door for measurements: its last line is one JSON object; memory is counted once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from figclip.config import UsageError
from figclip.store import Store
from jobs import benchmark
from jobs.benchmark import BenchmarkJob
from jobs.benchmarks.processes import Family
from jobs.benchmarks.walk import walked


def test_the_last_line_is_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(benchmark.BENCHMARKS, "two", lambda *_: {"a": 1.0, "b": None})
    benchmark.main(BenchmarkJob(benchmark="two"))
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1]) == {"benchmark": "two", "figures": {"a": 1.0, "b": None}}
    assert [line.split() for line in lines[:-1]] == [
        ["a", "1.00"],
        ["b", "not", "measured"],
    ]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path):
    (tmp_path / "precious").touch()
    with pytest.raises(UsageError, match="is not empty"):
        benchmark.main(BenchmarkJob(benchmark="walk", folder=str(tmp_path)))


def test_a_part_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="nonsense: no part; parts are xml, images"):
        benchmark.main(BenchmarkJob(benchmark="ingest", parts=("plan", "nonsense")))


HELD = 64 * 2**20
BUSY_S = 0.5

CHILD = f"""
import time
held = bytearray(b"x" * {HELD})
while time.process_time() < {BUSY_S}:
    pass
print("held", flush=True)
input()
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.fixture
def family():
    """A parent that has a child which holds memory and was busy; it ends with a line on stdin."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        family = Family(process.pid, with_pss=True)
        assert process.stdout.readline() == b"held\n"
        family.sample()
        process.communicate(b"\n")
    return family


def test_memory_of_a_child_is_counted_with_its_parent(family: Family):
    assert HELD < family.peak_pss < 3 * HELD


def test_the_largest_process_is_told_by_its_title(family: Family):
    assert HELD < family.peak_rss_of(sys.executable) < 3 * HELD
    assert family.peak_rss_of("ray::") == 0


def test_cpu_time_of_processes_that_have_ended_is_kept(family: Family):
    assert BUSY_S <= family.cpu_s() < 20 * BUSY_S
    assert sum(family.cpu_s_by_process().values()) == pytest.approx(family.cpu_s())


def test_a_walk_is_judged_by_its_lesser_direction(tmp_path: Path):
    counts = {"num_pairs": 400, "recall_at_1_over_chance": 31.004, "other": 1}
    store = Store(tmp_path)
    with store.publishing("evaluation", "v", config={}) as publication:
        publication.counts.update(counts)
    found = {"num_test_pairs": 400, "recall_at_1_over_chance": 31.0}
    assert walked(store, "v") == found
    others = [
        {"pairs": "p", "encoder": e, "recall_at_1_over_chance": n} for n, e in enumerate("ab")
    ]
    with store.publishing("evaluation", "w", config={}) as publication:
        publication.counts.update(counts | {"beside": others})
    assert walked(store, "w") == found | {"recall_at_1_over_chance_b_on_p": 1}
