"""Pairs → files for other tools: `python -m jobs.export webdataset --pairs 2026.11`."""

from pydantic import PositiveFloat, PositiveInt

from figclip.exports.records import ExportConfig
from figclip.exports.writing import export
from figclip.store import Manifest, Store
from jobs.entry import Job, joined_ray, keep_config, run


class ExportJob(Job, ExportConfig):
    """Write the pairs of `pairs/{pairs}` in another form and publish `export/{version}`."""

    pairs: str = "pmc"
    """Version of the pairs artifact."""
    version: str = "pmc"
    """Name of the export artifact to publish."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for one file at work."""
    max_tasks: PositiveInt = 8
    """Files at work at once, at the most; each is held in memory."""


PRESETS = {
    "jsonl": ExportJob(format="jsonl", version="jsonl"),
    "webdataset": ExportJob(format="webdataset", version="webdataset"),
    "parquet": ExportJob(format="parquet", version="parquet"),
}


def main(config: ExportJob) -> Manifest:
    store = Store(config.store)
    with joined_ray(config):
        manifest = export(
            store,
            config.version,
            config.part(ExportConfig),
            pairs_version=config.pairs,
            num_cpus_per_task=config.cpus_per_task,
            max_tasks=config.max_tasks,
        )
    keep_config(store, "export", config.version, "export", config)
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "export")
