"""The flow from a bucket of articles to a published corpus of pairs, on Ray Data.

The articles are cut into fixed shards once; each is read and written whole by one task. A run that
was killed goes on with the shards that are missing, and ends with the same files.
"""

import json
import logging
import os
import pickle
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ray
import ray.data

from figclip.config import UsageError
from figclip.corpus.rules import FEWEST_ARTICLES, CorpusConfig, mended_splits, split_of
from figclip.corpus.shards import (
    ShardCounts,
    counts_name,
    move_articles,
    plan_shards,
    read_counts,
    read_shard,
    total_counts,
    write_shard,
)
from figclip.resources import is_joined_cluster, require_resources
from figclip.schema import Split
from figclip.sources.pmc_cloud import Bucket, list_versions
from figclip.store import Folder, Manifest, Store

log = logging.getLogger(__name__)

NAME = "pairs"
PLAN = "_plan.json"

MOST_BLOCKS = 2_000
"""Tasks of one run; with more shards than that, a task does several."""

PROGRESS_EVERY_S = 5.0


def ingest(
    bucket: Bucket,
    store: Store,
    version: str,
    config: CorpusConfig,
    *,
    source: str,
    num_cpus_per_task: float,
    max_tasks: int,
) -> Manifest:
    """Publish `pairs@version` from every article of the bucket; `source` names it in the manifest.

    At most `max_tasks` shards are read at a time, each by a task that reserves `num_cpus_per_task`
    logical CPUs (less than one where a task mostly waits for the network). `UsageError` where the
    version is taken by another config or source, published or begun, or the disk is full.
    """
    resolved = {"source": source, "corpus": config.model_dump(mode="json")}
    if store.already_published(NAME, version, resolved):
        return store.manifest(NAME, version)
    with store.publishing(NAME, version, config=resolved, resume=True) as publication:
        folder = publication.folder
        plan = _plan(folder, bucket, config, resolved)
        finished = folder.files()
        todo = [n for n in range(len(plan)) if counts_name(n) not in finished]
        log.info("%d of %d shards of %s are left to read", len(todo), len(plan), source)
        if todo:
            require_resources(
                {"CPU": num_cpus_per_task},
                ray.cluster_resources(),
                remedies={"CPU": "set a smaller --cpus-per-task"},
                can_grow=is_joined_cluster(os.environ),
            )
            _read_shards(bucket, folder, plan, todo, config, num_cpus_per_task, max_tasks)
        counts = [read_counts(folder, n) for n in range(len(plan))]
        splits = _mend(folder, counts, config)
        publication.counts.update(total_counts(counts, splits))
        if len(splits) < FEWEST_ARTICLES:
            note = (
                f"only {len(splits)} articles have pairs: too few for train, validation and test "
                f"to get one each"
            )
            log.warning("%s", note)
            publication.counts["note"] = note
        folder.discard_parts()
    return store.manifest(NAME, version)


def _plan(
    folder: Folder, bucket: Bucket, config: CorpusConfig, resolved: Mapping[str, Any]
) -> list[list[str]]:
    """The version ids of every shard: those of the try before, or of the bucket as it is now."""
    if folder.exists(PLAN):
        plan = json.loads(folder.read(PLAN))
        if plan["config"] != json.loads(json.dumps(resolved)):
            raise UsageError(
                f"{folder.path} was begun with another config or source; "
                f"choose a new version, or delete that folder"
            )
        return plan["shards"]
    shards = plan_shards(list_versions(bucket), config.articles_per_shard)
    folder.write(PLAN, json.dumps({"config": resolved, "shards": shards}).encode())
    return shards


def _read_shards(
    bucket: Bucket,
    folder: Folder,
    plan: Sequence[Sequence[str]],
    todo: Sequence[int],
    config: CorpusConfig,
    num_cpus: float,
    max_tasks: int,
) -> None:
    items = [{"shard": n, "version_ids": " ".join(plan[n])} for n in todo]
    ray.data.DataContext.get_current().enable_progress_bars = False  # the log tells it
    shards = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS)).map(
        partial(make_shard, bucket=bucket, folder=folder, config=config),
        num_cpus=num_cpus,
        compute=ray.data.TaskPoolStrategy(size=min(max_tasks, len(items))),
    )
    _follow(shards, total=sum(len(plan[n]) for n in todo))


def _follow(shards: ray.data.Dataset, *, total: int) -> None:
    """Run the flow, say how far it is as shards are finished, and raise a task's fault."""
    start, last, done = time.monotonic(), -PROGRESS_EVERY_S, 0
    for row in shards.iter_rows():
        if row["fault"]:
            raise pickle.loads(row["fault"])
        done += row["num_versions"]
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY_S or done == total:
            rate, last = done / max(now - start, 1e-9), now
            left = (total - done) / rate
            log.info("article versions: %d/%d (%.1f/s, %.0f s left)", done, total, rate, left)


def make_shard(
    row: dict[str, Any], *, bucket: Bucket, folder: Folder, config: CorpusConfig
) -> dict[str, Any]:
    """Read and write the shard of a row, unless a task that got lost had finished it.

    A fault that a person can mend (a full disk, a refused key) comes back as a value: Ray would
    wrap it, and leave its class and number behind.
    """
    number, version_ids = int(row["shard"]), row["version_ids"].split()
    fault = b""
    try:
        if not folder.exists(counts_name(number)):
            write_shard(folder, number, read_shard(bucket, version_ids, config))
    except (UsageError, OSError) as error:
        fault = pickle.dumps(error)
    return {"shard": number, "num_versions": len(version_ids), "fault": fault}


def _mend(folder: Folder, counts: Sequence[ShardCounts], config: CorpusConfig) -> dict[str, Split]:
    """The split of every article with pairs; articles that it moves are moved in their files."""
    deal: dict[str, Any] = {
        "seed": config.split_seed,
        "validation_fraction": config.validation_fraction,
        "test_fraction": config.test_fraction,
    }
    splits = mended_splits((p for shard in counts for p in shard.pairs_by_article), **deal)
    for number, shard in enumerate(counts):
        moved = {p: splits[p] for p in shard.pairs_by_article if splits[p] != split_of(p, **deal)}
        if moved:
            log.info("moved so that no split is empty: %s", moved)
            move_articles(folder, number, moved)
    return splits
