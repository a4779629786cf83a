"""Pairs → panels: `python -m jobs.split_panels laptop --pairs pmc`, or `... alone --input FILE`."""

import logging
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt

from figclip.config import UsageError
from figclip.panels.splitting import split_alone, split_panels
from figclip.store import Store
from figclip.tasks import Workers
from jobs.entry import Job, joined_ray, keep_config, run

log = logging.getLogger(__name__)


class SplitPanelsJob(Job):
    """Split the figures of `pairs/{pairs}` and publish their panels as `pairs/{version}`.

    With `--input`, split the figures that a file names, each line of it
    `{"image": path, "caption": text, "mentions": [text, ...]}` (or Parquet of such columns, where
    `image` may be bytes), and write `--output` in the same order.
    """

    pairs: str = "pmc"
    """Version of the pairs artifact."""
    version: str = "pmc-panels"
    """Version of the pairs artifact to publish: one pair for every panel."""
    input: str = ""
    """A `.jsonl` or `.parquet` file of anybody's pairs. Paths of images start at its folder, or at
    the current one."""
    output: str = ""
    """Where its panels are written, in the form that the name says."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for one task."""
    max_tasks: PositiveInt = 2
    """Tasks at work at once."""


PRESETS = {
    "laptop": SplitPanelsJob(),
    "cluster": SplitPanelsJob(max_tasks=1024),
    "alone": SplitPanelsJob(input="figures.jsonl", output="panels.jsonl"),
}


def main(config: SplitPanelsJob) -> None:
    workers = Workers(config.cpus_per_task, config.max_tasks)
    if config.input:
        if not config.output or Path(config.output).suffix not in (".jsonl", ".parquet"):
            raise UsageError("--output must name a .jsonl or .parquet file to write")
        with joined_ray(config):
            counts = split_alone(Path(config.input), Path(config.output), workers=workers)
        log.info("%s: %s", config.output, counts)
        return
    store = Store(config.store)
    with joined_ray(config):
        split_panels(store, pairs_version=config.pairs, version=config.version, workers=workers)
    keep_config(store, "pairs", config.version, "split_panels", config)


if __name__ == "__main__":
    run(PRESETS, main, "split_panels")
