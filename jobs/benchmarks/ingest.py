"""The measurements of ingestion, in parts: `python -m jobs.benchmark ingest --parts overhead plan`.

The figures with a bound are `xml_ratio`, `image_ratio`, `overhead`, `two_worker_efficiency`,
`worker_rss_mb` and `plan_seconds`; the others say what they come from, or what `jobs.ingest --plan`
reckons with.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path

from figclip.sources.miniature import MiniatureConfig, write_miniature
from jobs.benchmarks import hostile, overhead, planning, rates
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.images import images
from jobs.benchmarks.xml import xml

log = logging.getLogger(__name__)

MINIATURE = MiniatureConfig(num_articles=1_000)


@dataclass(frozen=True)
class Ground:
    """What the parts work on."""

    folder: Path
    shared: Path | None
    """Real articles; `None` where they are not at hand."""

    @cached_property
    def miniature(self) -> Path:
        """Drawn when the first part asks for it."""
        place = self.folder / "miniature"
        # Not forked: the parts before have left threads in this process.
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            write_miniature(place, MINIATURE, mapped=partial(pool.map, chunksize=8))
        return place

    def room(self, name: str) -> Path:
        return self.folder / name


PARTS: dict[str, Callable[[Ground], Figures]] = {
    "xml": lambda g: {"xml_ratio": None, **xml(g.shared)},
    "images": lambda g: _renamed({"image_ratio": None, **images(g.shared)}),
    "rates": lambda g: rates.rates(g.shared, g.room("rates")),
    "plan": lambda g: planning.planning(g.room("plan")),
    "memory": lambda g: hostile.memory(g.room("hostile")),
    "overhead": lambda g: overhead.overhead(g.miniature, g.room("overhead")),
    "workers": lambda g: overhead.workers(g.miniature, g.room("workers")),
}


def _renamed(figures: Figures) -> Figures:
    """`images_per_cpu_s` is what `rates` says, of the media of a corpus as they are."""
    renamed = {"images_per_cpu_s": "images_at_512_per_cpu_s"}
    return {renamed.get(name, name): value for name, value in figures.items()}


def ingest(folder: Path, shared: Path | None, parts: Sequence[str]) -> Figures:
    ground = Ground(folder, shared)
    figures: Figures = {}
    for part in parts:
        start = time.monotonic()
        figures |= PARTS[part](ground)
        log.info("%s took %.0f s", part, time.monotonic() - start)
    seen = [figures.get(f"worker_rss_mb_{where}") for where in ("miniature", "hostile")]
    if any(seen):
        figures["worker_rss_mb"] = max(rss for rss in seen if rss is not None)
    return figures
