"""Articles → pairs: `python -m jobs.ingest cloud --version 2026.11 --licenses "CC BY" CC0`.

`--plan` says what that takes before anything is read; `--base 2026.11 --version 2026.12` reads only
what has changed since.
"""

import logging
from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from figclip.config import UsageError
from figclip.corpus.ingest import Workers, ingest
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.splits import PAPER_TEST_FRACTION, PAPER_VALIDATION_FRACTION
from figclip.sources.source import open_source
from figclip.store import Manifest, Store
from jobs.entry import Job, joined_ray, keep_config, run

log = logging.getLogger(__name__)


class IngestJob(Job, CorpusConfig):
    """Read articles from a source and publish `pairs/{version}`."""

    source: str = "s3://pmc-oa-opendata"
    """A bucket `s3://bucket/prefix`, or a local folder."""
    layout: Literal["auto", "cloud", "packages"] = "auto"
    """Of the source: that of the PMC Cloud Service, or old packages `PMC….tar.gz`."""
    endpoint: str | None = None
    """Address of another S3 server, for example `http://127.0.0.1:9000`."""
    anonymous: bool = True
    """Ask S3 without credentials, as PMC's bucket allows; else with those of the environment."""
    pmcids: str | None = None
    """A text file of article ids, `PMC3003633` each, to read instead of all that the source has."""
    version: str = "pmc"
    """Name of the pairs artifact to publish."""
    base: str | None = None
    """A published version that this one follows: only what has changed since is read."""
    retry: Literal["none", "failed"] = "none"
    """`failed` reads once more the articles of which something failed, and nothing else: those of
    the base, or of this very version where it is unfinished."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for one shard at work."""
    max_tasks: PositiveInt = 8
    """Shards at work at once, at the most."""
    fetches_per_task: PositiveInt = 8
    """Files that one task fetches at once."""


PRESETS = {
    "cloud": IngestJob(),
    "laptop": IngestJob(articles_per_shard=32, max_tasks=2),
    # The shares of PMC-15M: 13.9 M pairs to train on, 13.6 k to validate, 726 k to test.
    "pmc15m": IngestJob(
        licenses=("commercial",),
        validation_fraction=PAPER_VALIDATION_FRACTION,
        test_fraction=PAPER_TEST_FRACTION,
        max_tasks=1_000,
    ),
}


def main(config: IngestJob) -> Manifest:
    store = Store(config.store)
    pmcids = None if config.pmcids is None else read_pmcids(Path(config.pmcids))
    source = open_source(
        config.source,
        endpoint=config.endpoint,
        anonymous=config.anonymous,
        layout=config.layout,
    )
    with joined_ray(config):
        manifest = ingest(
            source,
            store,
            config.version,
            config.part(CorpusConfig),
            workers=Workers(config.cpus_per_task, config.max_tasks, config.fetches_per_task),
            pmcids=pmcids,
            base=config.base,
            retry_failed=config.retry == "failed",
        )
    keep_config(store, "pairs", config.version, "ingest", config)
    return manifest


def read_pmcids(path: Path) -> list[str]:
    """The ids of a text file: apart by white space or commas, `PMC3003633` or `3003633`."""
    try:
        words = path.read_text(encoding="utf-8-sig").replace(",", " ").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--pmcids {path} cannot be read: {error}") from error
    ids = [word if word.upper().startswith("PMC") else f"PMC{word}" for word in words]
    for found in ids:
        if not found[3:].replace(".", "", 1).isdigit():
            raise UsageError(f"--pmcids {path}: {found!r} is no article id; one is PMC3003633")
    if not ids:
        raise UsageError(f"--pmcids {path} names no article")
    return [found.upper() for found in ids]


if __name__ == "__main__":
    run(PRESETS, main, "ingest")
