"""The flow from `pairs` to `export`: one task a file, on Ray.

Each file is written whole by one task. A run that was killed goes on with the files that are
missing, and ends with the same bytes.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from figclip.config import UsageError
from figclip.exports.attribution import readme
from figclip.exports.parts import (
    Part,
    PartCounts,
    mark_name,
    plan_parts,
    read_counts,
    shard_sizes,
    total_counts,
    write_part,
)
from figclip.exports.records import ExportConfig
from figclip.log import with_progress
from figclip.pictures.duplicates import DUPLICATES
from figclip.store import Folder, Manifest, Store
from figclip.store.resume import keep_own_files
from figclip.tasks import Workers, run_tasks

log = logging.getLogger(__name__)

NAME = "export"


def export(
    store: Store,
    version: str,
    config: ExportConfig,
    *,
    pairs_version: str,
    num_cpus_per_task: float,
    max_tasks: int,
) -> Manifest:
    """Publish `export@version` from `pairs@pairs_version`.

    At most `max_tasks` files are written at a time, each by a task that reserves
    `num_cpus_per_task` logical CPUs and holds one file in memory. `UsageError` where the pairs are
    not there or damaged, or the version is taken by another export.
    """
    inputs, resolved = (f"pairs@{pairs_version}",), config.model_dump(mode="json")
    if store.already_published(NAME, version, resolved, inputs):
        return store.manifest(NAME, version)
    pairs, source = store.open("pairs", pairs_version), store.manifest("pairs", pairs_version)
    parts = plan_parts(pairs, config)
    if not parts:
        raise UsageError(f"{inputs[0]} holds no pair of the splits {', '.join(config.splits)}")
    with store.publishing(
        NAME, version, config=resolved, inputs=inputs, resume=True
    ) as publication:
        target = publication.folder
        keep_own_files(target, {"config": resolved, "inputs": inputs, "pairs": source.created})
        finished = target.files()
        missing = [part for part in parts if mark_name(part) not in finished]
        log.info("%d of %d files are left to export", len(missing), len(parts))
        if missing:
            _write_parts(pairs, target, missing, config, num_cpus_per_task, max_tasks)
        publication.counts.update(_finish(target, parts, config, source))
    return store.manifest(NAME, version)


def _write_parts(
    pairs: Folder,
    target: Folder,
    parts: Sequence[Part],
    config: ExportConfig,
    num_cpus: float,
    max_tasks: int,
) -> None:
    task = partial(
        make_part,
        pairs=pairs,
        target=target,
        config=config,
    )
    done = run_tasks(task, parts, Workers(num_cpus, max_tasks))
    for _ in with_progress(done, what="files exported", total=len(parts)):
        pass


class _Clusters:
    """The clusters of like pictures, by pair, read once in every process."""

    _held: tuple[str, pa.Table | None] = ("", None)

    @classmethod
    def of(cls, pairs: Folder) -> pa.Table | None:
        """`None` where nobody looked for them."""
        if cls._held[0] != pairs.path:
            cls._held = (pairs.path, read_clusters(pairs))
        return cls._held[1]


def read_clusters(pairs: Folder) -> pa.Table | None:
    if not pairs.exists(DUPLICATES):
        return None
    with pairs.open(DUPLICATES) as file:
        return pq.read_table(file, columns=["pair_id", "cluster_id"])


def make_part(
    part: Part,
    *,
    pairs: Folder,
    target: Folder,
    config: ExportConfig,
) -> str:
    """Write a part, unless a task that got lost had finished it; its name."""
    if not target.exists(mark_name(part)):
        write_part(pairs, target, part, config, _Clusters.of(pairs))
    return part.name


def _finish(
    target: Folder, parts: Sequence[Part], config: ExportConfig, pairs: Manifest
) -> dict[str, Any]:
    """Write what speaks of all files together; counts for the manifest."""
    counts = read_counts(target, parts)
    if config.format == "webdataset":
        for name, data in shard_sizes(counts).items():
            target.write(name, data)
    total = total_counts(counts)
    text = readme(
        form=config.format,
        pairs=f"{pairs.name}@{pairs.version}",
        created=pairs.created,
        source=str(pairs.config.get("source", "unknown")),
        counts=total,
    )
    target.write("README.md", text.encode())
    return {
        "num_pairs": total.num_pairs,
        "num_files": len(parts),
        "splits": _pairs_by_split(counts),
        "licenses": total.licenses,
    }


def _pairs_by_split(counts: dict[str, PartCounts]) -> dict[str, int]:
    splits: dict[str, int] = {}
    for name, part in counts.items():
        split = name.split("/")[0]
        splits[split] = splits.get(split, 0) + part.num_pairs
    return splits
