"""Articles → pairs: `python -m jobs.ingest cloud --version 2026.11 --licenses "CC BY" CC0`."""

from pydantic import PositiveFloat, PositiveInt

from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.sources.pmc_cloud import open_bucket
from figclip.store import Manifest, Store
from jobs.entry import Job, joined_ray, keep_config, run


class IngestJob(Job, CorpusConfig):
    """Read articles from a bucket and publish `pairs/{version}`."""

    source: str = "s3://pmc-oa-opendata"
    """A bucket in the layout of the PMC Cloud Service: `s3://bucket/prefix`, or a local folder."""
    endpoint: str | None = None
    """Address of another S3 server, for example `http://127.0.0.1:9000`."""
    anonymous: bool = True
    """Ask S3 without credentials, as PMC's bucket allows; else with those of the environment."""
    version: str = "pmc"
    """Name of the pairs artifact to publish."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for one shard at work."""
    max_tasks: PositiveInt = 8
    """Shards at work at once, at the most."""


PRESETS = {"cloud": IngestJob(), "laptop": IngestJob(articles_per_shard=32, max_tasks=2)}


def main(config: IngestJob) -> Manifest:
    store = Store(config.store)
    bucket = open_bucket(config.source, endpoint=config.endpoint, anonymous=config.anonymous)
    with joined_ray(config):
        manifest = ingest(
            bucket,
            store,
            config.version,
            config.part(CorpusConfig),
            source=config.source,
            num_cpus_per_task=config.cpus_per_task,
            max_tasks=config.max_tasks,
        )
    keep_config(store, "pairs", config.version, "ingest", config)
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "ingest")
