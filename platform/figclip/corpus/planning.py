"""The plan of a corpus: of what the source lists now, or of what has changed since another one.

It is made once and lies in the corpus's folder; a run that goes on after a kill reads it there.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from figclip.config import UsageError
from figclip.corpus.ledger import failed_articles, whole_ledger
from figclip.corpus.plan import Changes, fresh_plan, pmcids_of, updated_plan
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.shards import parquet_bytes
from figclip.sources.inventory import LISTED
from figclip.sources.listing import listed_at
from figclip.sources.source import Source
from figclip.store import Folder, Manifest, Store

NAME = "pairs"
PLAN = "_plan.parquet"

FEW_REMOVALS = 10
MOST_REMOVALS = 0.01
"""An update may remove that many articles of its base, or that share of them, whichever is more:
PMC withdraws few, and a list that lacks many is more likely to be damaged."""


@dataclass(frozen=True)
class Base:
    """The published corpus that a new one follows."""

    version: str
    manifest: Manifest
    folder: Folder
    plan: pa.Table


@dataclass(frozen=True)
class Wanted:
    """What is asked of the source, and of an update; as the arguments of `ingest`."""

    pmcids: Sequence[str] | None
    retry_failed: bool
    allow_removals: bool


def digest_of(pmcids: Sequence[str]) -> dict[str, Any]:
    """A list of ids in few bytes, whatever their order: there may be millions."""
    ids = sorted(set(pmcids))
    return {"num": len(ids), "sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest()}


def opened_base(store: Store, version: str, resolved: Mapping[str, Any]) -> Base:
    """The corpus to follow: of the same source and rules. Its `pmcids` may be others, for a list of
    ids grows; those that are not named any more count as removed."""
    manifest = store.manifest(NAME, version)
    wanted = json.loads(json.dumps(resolved))
    for key in ("source", "revision", "corpus"):
        if manifest.config.get(key) != wanted[key]:
            raise UsageError(
                f"{NAME}@{version} was made with another {key}; to build on it, use the same, or "
                f"ingest afresh, without a base"
            )
    folder = store.open(NAME, version)
    with folder.open(PLAN) as file:
        return Base(version, manifest, folder, pq.read_table(file))


def made_plan(
    folder: Folder,
    source: Source,
    config: CorpusConfig,
    resolved: Mapping[str, Any],
    base: Base | None,
    wanted: Wanted,
) -> tuple[pa.Table, Changes | None]:
    """The plan of the try before, or one of the source as it is now.

    Its file keeps in its metadata what it was made for, and how old the list was.
    """
    if folder.exists(PLAN):
        with folder.open(PLAN) as file:
            plan = pq.read_table(file)
        metadata = plan.schema.metadata
        if json.loads(metadata[b"config"]) != json.loads(json.dumps(resolved)):
            raise UsageError(
                f"{folder.path} was begun with another config or source; "
                f"choose a new version, or delete that folder"
            )
        changes = json.loads(metadata[b"changes"])
        return plan, changes and Changes(**changes)
    if base is not None and wanted.retry_failed:
        retry = failed_articles(whole_ledger(base.folder, shard_numbers(base.plan)))
        plan, changes = updated_plan(base.plan, None, config.articles_per_shard, retry=retry)
        listed = listed_at(base.plan)
    else:
        listing = source.list_versions(wanted.pmcids)
        listed = listed_at(listing)
        plan, changes = _of_listing(listing, source, config, base, wanted)
    facts = {
        "config": json.dumps(resolved),
        "changes": json.dumps(changes and asdict(changes)),
        LISTED: listed or "",
    }
    folder.write(PLAN, parquet_bytes(plan.replace_schema_metadata(facts)))
    return plan, changes


def _of_listing(
    listing: pa.Table, source: Source, config: CorpusConfig, base: Base | None, wanted: Wanted
) -> tuple[pa.Table, Changes | None]:
    if base is None:
        return fresh_plan(listing, config.articles_per_shard), None
    _check_age(listing, source, base)
    plan, changes = updated_plan(base.plan, listing, config.articles_per_shard)
    if not wanted.allow_removals:
        _check_removals(plan, changes, source, base)
    return plan, changes


def _check_age(listing: pa.Table, source: Source, base: Base) -> None:
    """An older list lacks what is new in the base, and would have it removed."""
    now, then = listed_at(listing), listed_at(base.plan)
    if now is not None and then is not None and now < then:
        raise UsageError(
            f"the newest whole inventory of {source} is of {now}, and {NAME}@{base.version} was "
            f"made by that of {then}; wait for the next inventory, then run the same command again"
        )


def _check_removals(plan: pa.Table, changes: Changes, source: Source, base: Base) -> None:
    known = len(changes.changed) + len(changes.retried) + changes.num_kept + len(changes.removed)
    # An article that was asked for by name and is gone is listed as its version 0.
    is_unknown = pc.ends_with(plan["version_id"], ".0")
    unknown = pc.is_in(pa.array(changes.changed, pa.string()), pmcids_of(plan.filter(is_unknown)))
    num_removed = len(changes.removed) + (pc.sum(unknown).as_py() or 0)
    if num_removed > max(FEW_REMOVALS, MOST_REMOVALS * known):
        raise UsageError(
            f"{num_removed:,} of the {known:,} articles of {NAME}@{base.version} are not listed by "
            f"{source} any more, or not named; if that is as it should be, allow it with "
            f"--allow-removals, else look at the source, and run the same command again later"
        )


def shard_numbers(plan: pa.Table) -> list[int]:
    return sorted(plan["shard"].unique().to_pylist())
