"""The door for measurements: its last line is one JSON object; memory is counted once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from figclip.config import UsageError
from figclip.store import Store
from jobs import benchmark
from jobs.benchmark import BenchmarkJob, PeakMemory, walked


def test_the_last_line_is_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(benchmark.BENCHMARKS, "two", lambda folder: {"a": 1.0, "b": 2.5})
    benchmark.main(BenchmarkJob(benchmark="two"))
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1]) == {"benchmark": "two", "figures": {"a": 1.0, "b": 2.5}}
    assert [line.split() for line in lines[:-1]] == [["a", "1.00"], ["b", "2.50"]]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path):
    (tmp_path / "precious").touch()
    with pytest.raises(UsageError, match="is not empty"):
        benchmark.main(BenchmarkJob(benchmark="walk", folder=str(tmp_path)))


def test_memory_of_a_child_is_counted_with_its_parent():
    held = 64 * 2**20
    code = f"import sys; held = bytearray(b'x' * {held}); print('held', flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        sampled = PeakMemory(process.pid).sample()
        process.communicate(b"\n")
    assert held < sampled < 3 * held


def test_a_walk_is_judged_by_its_lesser_direction(tmp_path: Path):
    counts = {"num_pairs": 400, "recall_at_1_over_chance": 31.004, "other": 1}
    store = Store(tmp_path)
    with store.publishing("evaluation", "v", config={}) as publication:
        publication.counts.update(counts)
    assert walked(store, "v") == {"num_test_pairs": 400, "recall_at_1_over_chance": 31.0}
