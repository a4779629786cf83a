"""The one door for measurements: `python -m jobs.benchmark NAME`.

Prints a table and, as the last line, `{"benchmark": NAME, "figures": {name: number}}`.
"""

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from figclip.config import UsageError
from figclip.store import Store
from jobs.entry import Job, run

Figures = dict[str, float]
HERE = Path(__file__).parents[1]


class BenchmarkJob(Job):
    """What to measure; the preset's name is the benchmark's."""

    benchmark: str
    """Name of the benchmark."""
    folder: str | None = None
    """An empty folder to work in; unset: a temporary one that is removed."""


class PeakMemory(threading.Thread):
    """Samples the proportional set size of a process and all below it, every four seconds.

    Proportional: a page that n processes share counts 1/n in each, so the sum counts it once.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.root = psutil.Process(pid)
        self.peak_bytes = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(4.0):  # often enough for stages of minutes; a sample costs CPU
            self.peak_bytes = max(self.peak_bytes, self.sample())

    def sample(self) -> int:
        total = 0
        try:
            family = [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return 0
        for process in family:
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return total


def walk(folder: Path) -> Figures:
    """Clone this commit into an empty folder and time `make demo` there, set-up included."""
    if subprocess.run(["git", "-C", str(HERE), "rev-parse"], capture_output=True).returncode:
        raise UsageError("the benchmark `walk` clones the commit: run it in a git checkout")
    clone = folder / "figclip"
    subprocess.run(["git", "clone", "--quiet", str(HERE), str(clone)], check=True)
    start = time.monotonic()
    demo = subprocess.Popen(["make", "demo"], cwd=clone)
    memory = PeakMemory(demo.pid)
    memory.start()
    code = demo.wait()
    seconds = time.monotonic() - start
    memory.done.set()
    memory.join()
    if code != 0:
        raise UsageError(f"`make demo` ended with exit code {code} after {seconds:.0f} s")
    return {
        "seconds_total": round(seconds, 1),
        "peak_rss_mb": round(memory.peak_bytes / 2**20, 1),
        **walked(Store(clone / "artifacts"), "quickstart"),
    }


def walked(store: Store, version: str) -> Figures:
    """What a walk reached on its held-out articles; of the two directions the lesser."""
    counts = store.manifest("evaluation", version).counts
    return {
        "num_test_pairs": counts["num_pairs"],
        "recall_at_1_over_chance": round(counts["recall_at_1_over_chance"], 2),
    }


BENCHMARKS: dict[str, Callable[[Path], Figures]] = {"walk": walk}
PRESETS = {name: BenchmarkJob(benchmark=name) for name in BENCHMARKS}


def main(config: BenchmarkJob) -> None:
    if config.folder is not None:
        folder = Path(config.folder)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty: name an empty --folder, or none")
        figures = BENCHMARKS[config.benchmark](folder)
    else:
        with tempfile.TemporaryDirectory(prefix="figclip-") as temporary:
            figures = BENCHMARKS[config.benchmark](Path(temporary))
    print(table(figures))
    print(json.dumps({"benchmark": config.benchmark, "figures": figures}), flush=True)


def table(figures: Figures) -> str:
    width = max(map(len, figures))
    return "\n".join(f"{name:<{width}}  {value:>12,.2f}" for name, value in figures.items())


if __name__ == "__main__":
    run(PRESETS, main, "benchmark")
