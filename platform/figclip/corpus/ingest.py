"""The flow from a source of articles to a published corpus of pairs, on Ray.

The articles are cut into fixed shards once; each is read and written whole by one task. A run that
was killed goes on with the shards that are missing, and ends with the same files. A corpus that
follows another one reads only what has changed, and shares the other shards with it.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from figclip.config import UsageError
from figclip.corpus.duplicates import DUPLICATES
from figclip.corpus.ledger import Outcome, failed_articles, home_of, outcome, whole_ledger
from figclip.corpus.plan import (
    Changes,
    fresh_plan,
    pmcids_of,
    split_version_id,
    updated_plan,
    version_order,
)
from figclip.corpus.rules import REVISION, CorpusConfig
from figclip.corpus.shards import (
    Copied,
    ledger_name,
    parquet_bytes,
    place_articles,
    shard_of,
    write_shard,
)
from figclip.corpus.tries import forget_tries, read_with_care
from figclip.log import with_progress
from figclip.schema import Split
from figclip.sources.inventory import LISTED
from figclip.sources.listing import listed_at
from figclip.sources.source import Source
from figclip.store import Folder, Manifest, Publication, Store
from figclip.tasks import Workers, run_tasks

log = logging.getLogger(__name__)

NAME = "pairs"
PLAN = "_plan.parquet"
CHANGES = "_changes.json"


NUM_THREADS = 8
"""Files that one task fetches at once."""

FEW_REMOVALS = 10
MOST_REMOVALS = 0.01
"""An update may remove that many articles of its base, or that share of them, whichever is more:
PMC withdraws few, and a list that lacks many is more likely to be damaged."""


@dataclass(frozen=True)
class ShardTask:
    """A shard to be written: which article versions are read, and which rows are copied."""

    number: int
    read: tuple[str, ...]
    copy: tuple[str, ...]
    again: bool
    """The shard is finished, and some of its articles are read once more in its place."""


@dataclass(frozen=True)
class _Base:
    """The published corpus that a new one follows."""

    version: str
    manifest: Manifest
    folder: Folder
    plan: pa.Table


@dataclass(frozen=True)
class _Wanted:
    """What is asked of the source, and of an update; as the arguments of `ingest`."""

    pmcids: Sequence[str] | None
    retry_failed: bool
    allow_removals: bool


def ingest(
    source: Source,
    store: Store,
    version: str,
    config: CorpusConfig,
    *,
    workers: Workers,
    num_threads: int = NUM_THREADS,
    name: str | None = None,
    pmcids: Sequence[str] | None = None,
    base: str | None = None,
    retry_failed: bool = False,
    allow_removals: bool = False,
) -> Manifest:
    """Publish `pairs@version` from the articles of the source, or from those of `pmcids` alone.

    A task fetches `num_threads` files at once. The manifest calls the source by `name`, or as it
    calls itself.

    With `base`, a published version of the same rules and source, the new one reads only articles
    that are new there or have changed since, leaves out those that are gone, and shares the shards
    of the base that stay as they are. `pmcids` may be others than the base's: those that are not
    named any more are left out, too. `retry_failed` reads once more the articles of which something
    failed, and nothing else: those of the base, or, without one, of the unfinished version itself.
    The rows are those of a fresh corpus; within a file copied articles stand before read ones.

    `UsageError` where the version is taken by another config or source, published or begun, the
    base does not fit, the source's list is older than the base's or, unless `allow_removals`, lacks
    many of its articles, the source is out of reach, or the disk is full.
    """
    resolved = {
        "source": name or str(source),
        "form": type(source).__name__,
        "revision": REVISION,
        "corpus": config.model_dump(mode="json"),
        "pmcids": None if pmcids is None else _digest(pmcids),
        "base": base,
        "retry_failed": retry_failed and base is not None,
    }
    inputs = () if base is None else (f"{NAME}@{base}",)
    if store.already_published(NAME, version, resolved, inputs):
        _refuse_retry_in_place(store, version, retry=retry_failed and base is None)
        return store.manifest(NAME, version)
    before = None if base is None else _opened_base(store, base, resolved)
    with store.publishing(
        NAME, version, config=resolved, inputs=inputs, resume=True
    ) as publication:
        folder = publication.folder
        wanted = _Wanted(pmcids, retry_failed, allow_removals)
        plan, changes = _plan(folder, source, config, resolved, before, wanted)
        forget_tries(folder)
        tasks = _unfinished(folder, plan)
        if retry_failed and before is None:
            tasks += _failed_again(folder, plan)
        log.info("%d of %d shards are left to read", len(tasks), _num_shards(plan))
        if tasks:
            make = partial(
                make_shard,
                source=source,
                folder=folder,
                base=None if before is None else before.folder,
                config=config,
                num_threads=num_threads,
            )
            done = run_tasks(make, tasks, workers)
            total = sum(len(task.read) + len(task.copy) for task in tasks)
            _follow(done, what="article versions", total=total)
        result = _finish(publication, plan, config, before, workers)
        publication.counts.update(result.counts)
        if changes is not None and before is not None:
            _report(publication, changes, before)
        if note := result.counts.get("note"):
            log.warning("%s", note)
        folder.discard_parts()
    return store.manifest(NAME, version)


def _refuse_retry_in_place(store: Store, version: str, *, retry: bool) -> None:
    num_failed = store.manifest(NAME, version).counts["num_failed"]
    if retry and num_failed:
        raise UsageError(
            f"{NAME}@{version} is published; to read once more what failed there ({num_failed}), "
            f"name it as the base of a new version"
        )


def _digest(pmcids: Sequence[str]) -> dict[str, Any]:
    """A list of ids in few bytes, whatever their order: there may be millions."""
    ids = sorted(set(pmcids))
    return {"num": len(ids), "sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest()}


def _opened_base(store: Store, version: str, resolved: Mapping[str, Any]) -> _Base:
    """The corpus to follow: of the same source and rules. Its `pmcids` may be others, for a list of
    ids grows; those that are not named any more count as removed."""
    manifest = store.manifest(NAME, version)
    wanted = json.loads(json.dumps(resolved))
    for key in ("source", "form", "revision", "corpus"):
        if manifest.config.get(key) != wanted[key]:
            raise UsageError(
                f"{NAME}@{version} was made with another {key}; to build on it, use the same, or "
                f"ingest afresh, without a base"
            )
    folder = store.open(NAME, version)
    with folder.open(PLAN) as file:
        return _Base(version, manifest, folder, pq.read_table(file))


def _plan(
    folder: Folder,
    source: Source,
    config: CorpusConfig,
    resolved: Mapping[str, Any],
    base: _Base | None,
    wanted: _Wanted,
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
        retry = failed_articles(whole_ledger(base.folder, _numbers(base.plan)))
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
    listing: pa.Table, source: Source, config: CorpusConfig, base: _Base | None, wanted: _Wanted
) -> tuple[pa.Table, Changes | None]:
    if base is None:
        return fresh_plan(listing, config.articles_per_shard), None
    _check_age(listing, source, base)
    plan, changes = updated_plan(base.plan, listing, config.articles_per_shard)
    if not wanted.allow_removals:
        _check_removals(plan, changes, source, base)
    return plan, changes


def _check_age(listing: pa.Table, source: Source, base: _Base) -> None:
    """An older list lacks what is new in the base, and would have it removed."""
    now, then = listed_at(listing), listed_at(base.plan)
    if now is not None and then is not None and now < then:
        raise UsageError(
            f"the newest whole inventory of {source} is of {now}, and {NAME}@{base.version} was "
            f"made by that of {then}; wait for the next inventory, then run the same command again"
        )


def _check_removals(plan: pa.Table, changes: Changes, source: Source, base: _Base) -> None:
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


def _numbers(plan: pa.Table) -> list[int]:
    return sorted(plan["shard"].unique().to_pylist())


def _num_shards(plan: pa.Table) -> int:
    return len(plan["shard"].unique())


def _unfinished(folder: Folder, plan: pa.Table) -> list[ShardTask]:
    """A task for every shard that is to be written and has no ledger yet."""
    finished = {shard_of(f"_ledger/{name}") for name in (folder / "_ledger").files()}
    todo = plan.filter(pc.not_equal(plan["action"], "share"))
    return [task for task in _tasks(todo, again=False) if task.number not in finished]


def _failed_again(folder: Folder, plan: pa.Table) -> list[ShardTask]:
    """A task for every finished shard of which something failed: it reads those articles again."""
    numbers = [n for n in _numbers(plan) if folder.exists(ledger_name(n))]
    ledger = whole_ledger(folder, numbers)
    failed = ledger.filter(pc.equal(ledger["state"], "failed"))
    rows = plan.filter(pc.is_in(plan["shard"], failed["shard"].combine_chunks()))
    is_failed = pc.is_in(pmcids_of(rows), failed["pmcid"].combine_chunks())
    action = pc.if_else(is_failed, "read", "copy")
    rows = rows.set_column(rows.schema.get_field_index("action"), "action", action)
    return _tasks(rows, again=True)


def _tasks(rows: pa.Table, *, again: bool) -> list[ShardTask]:
    ids: dict[int, dict[str, list[str]]] = {}
    columns = (rows[name].to_pylist() for name in ("shard", "version_id", "action"))
    for shard, version_id, action in zip(*columns, strict=True):
        ids.setdefault(shard, {"read": [], "copy": []})[action].append(version_id)
    return [
        ShardTask(shard, tuple(found["read"]), tuple(found["copy"]), again)
        for shard, found in ids.items()
    ]


def make_shard(
    task: ShardTask,
    *,
    source: Source,
    folder: Folder,
    base: Folder | None,
    config: CorpusConfig,
    num_threads: int,
) -> int:
    """Read and write a shard, unless a task that got lost had finished it; how many versions."""
    is_there = folder.exists(ledger_name(task.number))
    if task.again and not is_there:
        # A task that got lost had begun to write it anew: there is nothing left to copy from.
        every = sorted((*task.read, *task.copy), key=version_order)
        task = replace(task, read=tuple(every), copy=())
    if task.again or not is_there:
        copied = None
        if task.copy:
            pmcids = frozenset(split_version_id(version_id)[0] for version_id in task.copy)
            copied = Copied(base if base and not task.again else folder, pmcids)
        articles = read_with_care(
            source,
            task.read,
            config,
            num_threads=num_threads,
            folder=folder,
            number=task.number,
        )
        write_shard(folder, task.number, articles, home_of(config), copied)
    return len(task.read) + len(task.copy)


def place_shard(
    number: int, *, folder: Folder, moved: Mapping[str, Split], config: CorpusConfig
) -> int:
    """Put the articles of a finished shard into the files of their splits."""
    place_articles(folder, number, moved, home_of(config))
    return 1


def _finish(
    publication: Publication,
    plan: pa.Table,
    config: CorpusConfig,
    base: _Base | None,
    workers: Workers,
) -> Outcome:
    """Cluster the pictures of all shards, move articles to their splits, and list the files."""
    folder, numbers = publication.folder, _numbers(plan)
    view = _view(folder, plan, base)
    result = outcome(whole_ledger(view, numbers), config)
    log.info("%d pairs, %d of them with a duplicate", *_pairs_and_duplicates(result))
    there: dict[int, set[str]] = {}
    for name in view.files():
        if (number := shard_of(name)) is not None:
            there.setdefault(number, set()).add(name)
    wrong = [
        number
        for number in numbers
        if there[number] != result.files[number]
        or any("-moved" in name for name in result.files[number])
    ]
    if wrong:
        place = partial(place_shard, folder=view, moved=result.moved, config=config)
        placed = run_tasks(place, wrong, workers)
        _follow(placed, what="shards put in place", total=len(wrong))
    folder.write(DUPLICATES, parquet_bytes(result.duplicates))
    own = folder.files()
    for name in sorted(set().union(*result.files.values()) - own.keys()):
        if base is None or name not in base.manifest.files:
            raise UsageError(f"{folder.path} lost {name}; delete that folder and ingest anew")
        publication.shared[name] = base.manifest.shared.get(name, base.version)
    return result


def _pairs_and_duplicates(result: Outcome) -> tuple[int, int]:
    return result.counts["num_pairs"], result.counts["num_duplicates"]


def _view(folder: Folder, plan: pa.Table, base: _Base | None) -> Folder:
    """The shards of a plan as one folder: its own, and those that stand in the base."""
    if base is None:
        return folder
    shared = set(_numbers(plan.filter(pc.equal(plan["action"], "share"))))
    own = folder.files()
    held = {
        name: base.folder.shared.get(name, base.folder.path)
        for name in base.manifest.files
        if shard_of(name) in shared and name not in own
    }
    return replace(folder, shared=held)


def _report(publication: Publication, changes: Changes, base: _Base) -> None:
    """Write what differs from the base: articles by name, and the sums into the counts."""
    sums = {
        "base": base.version,
        **{name: len(found) for name, found in asdict(changes).items() if name != "num_kept"},
        "kept": changes.num_kept,
        "pairs_before": base.manifest.counts["num_pairs"],
        "pairs_now": publication.counts["num_pairs"],
        "files_shared": len(publication.shared),
    }
    publication.counts["changes"] = sums
    report = {**sums, "articles": asdict(changes)}
    publication.folder.write(CHANGES, json.dumps(report, indent=1).encode())
    log.info("changes since %s: %s", base.version, sums)


def _follow(done: Iterable[int], *, what: str, total: int) -> None:
    """Run the tasks, each of which says how many things it did, and say how far they are."""
    for _ in with_progress(chain.from_iterable(map(range, done)), what=what, total=total):
        pass
