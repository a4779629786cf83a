"""Articles → pairs: `python -m jobs.ingest cloud --version 2026.11 --licenses "CC BY" CC0`.

`--plan` says what that takes before anything is read; `--base 2026.11 --version 2026.12` reads only
what has changed since.
"""

import json
import logging
from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from figclip.config import UsageError
from figclip.corpus.estimate import MeasuredRates, estimate, licensed_share, table
from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.splits import PAPER_TEST_FRACTION, PAPER_VALIDATION_FRACTION
from figclip.sources.source import Layout, open_source
from figclip.statistics.describe import describe
from figclip.statistics.words import WORDS
from figclip.store import Manifest, Store
from figclip.tasks import Workers
from jobs.entry import Job, joined_ray, keep_config, run
from jobs.statistics import token_counter

log = logging.getLogger(__name__)

MEASURED = MeasuredRates(
    articles_per_cpu_s=128.7,
    images_per_cpu_s=77.3,
    media_bytes=160_287,
    xml_bytes=99_270,
    metadata_bytes=3_183,
    stored_bytes=98_995,
    overhead=1.174,
)
"""By `python -m jobs.benchmark ingest` on two cores of a server, real articles."""


class IngestJob(Job, CorpusConfig):
    """Read articles from a source and publish `pairs/{version}`."""

    source: str = "s3://pmc-oa-opendata"
    """A bucket `s3://bucket/prefix`, or a local folder."""
    layout: Layout = "auto"
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
    """A published version that this one follows, or `newest`: only what has changed since is
    read."""
    retry: Literal["none", "failed"] = "none"
    """`failed` reads once more the articles of which something failed, and nothing else: those of
    the base, or of this very version where it is unfinished."""
    allow_removals: bool = False
    """Let an update leave out more than one in a hundred of the base's articles."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for one shard at work."""
    max_tasks: PositiveInt = 8
    """Shards at work at once, at the most."""
    fetches_per_task: PositiveInt = 8
    """Files that one task fetches at once."""
    tokenizer: str = WORDS
    """In whose tokens the statistics at the end measure captions; as for `jobs.statistics`."""
    plan: bool = False
    """Only say what reading all of PMC's open-access articles would take; nothing is read."""
    plan_nodes: PositiveInt = 1
    """Machines that the plan reckons with."""
    plan_cpus_per_node: PositiveFloat = 16.0
    """CPUs of each."""
    plan_rates: str | None = None
    """A file with the last line of `python -m jobs.benchmark ingest`: the plan then goes by what
    your machine was measured to do, else by what ours was."""


NEWEST = "newest"

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


def main(config: IngestJob) -> Manifest | None:
    if config.plan:
        print(plan(config), flush=True)
        return None
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
            workers=Workers(config.cpus_per_task, config.max_tasks),
            num_threads=config.fetches_per_task,
            pmcids=pmcids,
            base=base_of(store, config),
            retry_failed=config.retry == "failed",
            allow_removals=config.allow_removals,
        )
        keep_config(store, "pairs", config.version, "ingest", config)
        statistics = describe(
            store,
            config.version,
            config.version,
            tokenizer=config.tokenizer,
            count_tokens=token_counter(config.tokenizer, store),
            num_cpus_per_task=config.cpus_per_task,
            max_tasks=config.max_tasks,
        )
    keep_config(store, "statistics", config.version, "ingest", config)
    print(summary(store, manifest, statistics), flush=True)
    return manifest


def plan(config: IngestJob) -> str:
    """Hours, requests, bytes and dollars, with all that they rest on."""
    rates = MEASURED
    if config.plan_rates is not None:
        try:
            line = Path(config.plan_rates).read_text().strip().splitlines()[-1]
            rates = MeasuredRates.of(json.loads(line)["figures"])
        except (OSError, IndexError, ValueError, KeyError) as error:
            raise UsageError(
                f"--plan-rates {config.plan_rates} is not the output of `python -m jobs.benchmark "
                f"ingest`: {error}"
            ) from error
    allowed = config.allowed_licenses
    share = licensed_share(None if allowed is None else sorted(allowed))
    found = estimate(
        rates.with_overrides({"licensed_share": share}),
        num_nodes=config.plan_nodes,
        cpus_per_node=config.plan_cpus_per_node,
        articles_per_shard=config.articles_per_shard,
    )
    return table(found)


def summary(store: Store, pairs: Manifest, statistics: Manifest) -> str:
    """What was published, for the person who waited for it."""
    counts = pairs.counts
    kinds = ("num_articles", "num_figures", "num_pairs", "num_rejections", "num_failed")
    articles, figures, number, rejections, failed = (f"{counts[name]:,}" for name in kinds)
    reasons = "\n".join(f"  {name:<22} {n:>9,}" for name, n in counts["rejections"].items())
    page = store.folder("statistics", statistics.version).path
    again = (
        f"\n  once more, these alone: --base {pairs.version} --retry failed --version NEW"
        if counts["num_failed"]
        else ""
    )
    changes = counts.get("changes")
    changed = (
        f"\nsince {changes['base']}: {changes['new']:,} articles new, {changes['changed']:,} "
        f"changed, {changes['removed']:,} removed, {changes['retried']:,} retried, "
        f"{changes['kept']:,} as they were; {changes['files_shared']:,} files shared"
        if changes
        else ""
    )
    return f"""
pairs@{pairs.version}: {articles} articles, {figures} figures → {number} pairs
{rejections} rejections by reason, {failed} of them faults that another try may not meet:
{reasons or "  none"}{again}{changed}
statistics: {page}/index.html"""


def base_of(store: Store, config: IngestJob) -> str | None:
    """The version to follow; of `newest` the last that was published, this one aside."""
    if config.base != NEWEST:
        return config.base
    others = [version for version in store.versions("pairs") if version != config.version]
    if not others:
        raise UsageError(f"{config.store} holds no pairs to follow; leave --base {NEWEST} out")
    return others[-1]


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
