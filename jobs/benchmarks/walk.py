"""The whole walk, `make demo`, as somebody meets it who has only cloned the repository."""

import subprocess
import time
from pathlib import Path

from figclip.config import UsageError
from figclip.store import Store
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.processes import Family

HERE = Path(__file__).parents[2]


def walk(folder: Path) -> Figures:
    """Clone this commit into an empty folder and time `make demo` there, set-up included."""
    if subprocess.run(["git", "-C", str(HERE), "rev-parse"], capture_output=True).returncode:
        raise UsageError("the benchmark `walk` clones the commit: run it in a git checkout")
    clone = folder / "figclip"
    subprocess.run(["git", "clone", "--quiet", str(HERE), str(clone)], check=True)
    start = time.monotonic()
    demo = subprocess.Popen(["make", "demo"], cwd=clone)
    with Family(demo.pid, with_pss=True) as family:
        code = demo.wait()
    seconds = time.monotonic() - start
    if code != 0:
        raise UsageError(f"`make demo` ended with exit code {code} after {seconds:.0f} s")
    return {
        "seconds_total": round(seconds, 1),
        "peak_rss_mb": round(family.peak_pss / 2**20, 1),
        **walked(Store(clone / "artifacts"), "quickstart"),
    }


def walked(store: Store, version: str) -> Figures:
    """What a walk reached on its held-out articles; of the two directions the lesser."""
    counts = store.manifest("evaluation", version).counts
    found = {"num_test_pairs": counts["num_pairs"]}
    others = {f"_{of['encoder']}_on_{of['pairs']}": of for of in counts.get("beside", [])[1:]}
    for name, of in ({"": counts} | others).items():
        found[f"recall_at_1_over_chance{name}"] = round(of["recall_at_1_over_chance"], 2)
    return found
