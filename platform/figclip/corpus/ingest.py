"""The flow from a source of articles to a published corpus of pairs, on Ray.

The articles are cut into fixed shards once; each is read and written whole by one task. A run that
was killed goes on with the shards that are missing, and ends with the same files. A corpus that
follows another one reads only what has changed, and shares the other shards with it.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from figclip.config import UsageError
from figclip.corpus.ledger import Outcome, home_of, outcome, whole_ledger
from figclip.corpus.plan import (
    Changes,
    pmcids_of,
    split_version_id,
    version_order,
)
from figclip.corpus.planning import (
    NAME,
    Base,
    Wanted,
    digest_of,
    made_plan,
    opened_base,
    shard_numbers,
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
from figclip.pictures.duplicates import DUPLICATES
from figclip.schema import Split
from figclip.sources.source import Source
from figclip.store import Folder, Manifest, Publication, Store
from figclip.tasks import Workers, run_tasks

log = logging.getLogger(__name__)

CHANGES = "_changes.json"


NUM_THREADS = 8
"""Files that one task fetches at once."""


@dataclass(frozen=True)
class ShardTask:
    """A shard to be written: which article versions are read, and which rows are copied."""

    number: int
    read: tuple[str, ...]
    copy: tuple[str, ...]
    again: bool
    """The shard is finished, and some of its articles are read once more in its place."""


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
        "revision": REVISION,
        "corpus": config.model_dump(mode="json"),
        "pmcids": None if pmcids is None else digest_of(pmcids),
        "base": base,
        "retry_failed": retry_failed and base is not None,
    }
    inputs = () if base is None else (f"{NAME}@{base}",)
    if store.already_published(NAME, version, resolved, inputs):
        _refuse_retry_in_place(store, version, retry=retry_failed and base is None)
        return store.manifest(NAME, version)
    before = None if base is None else opened_base(store, base, resolved)
    with store.publishing(
        NAME, version, config=resolved, inputs=inputs, resume=True
    ) as publication:
        folder = publication.folder
        wanted = Wanted(pmcids, retry_failed, allow_removals)
        plan, changes = made_plan(folder, source, config, resolved, before, wanted)
        forget_tries(folder)
        tasks = unfinished_shards(folder, plan)
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


def _num_shards(plan: pa.Table) -> int:
    return len(plan["shard"].unique())


def unfinished_shards(folder: Folder, plan: pa.Table) -> list[ShardTask]:
    """A task for every shard that is to be written and has no ledger yet."""
    finished = {shard_of(f"_ledger/{name}") for name in (folder / "_ledger").files()}
    todo = plan.filter(pc.not_equal(plan["action"], "share"))
    return [task for task in _tasks(todo, again=False) if task.number not in finished]


def _failed_again(folder: Folder, plan: pa.Table) -> list[ShardTask]:
    """A task for every finished shard of which something failed: it reads those articles again."""
    numbers = [n for n in shard_numbers(plan) if folder.exists(ledger_name(n))]
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
    base: Base | None,
    workers: Workers,
) -> Outcome:
    """Cluster the pictures of all shards, move articles to their splits, and list the files."""
    folder, numbers = publication.folder, shard_numbers(plan)
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


def _view(folder: Folder, plan: pa.Table, base: Base | None) -> Folder:
    """The shards of a plan as one folder: its own, and those that stand in the base."""
    if base is None:
        return folder
    shared = set(shard_numbers(plan.filter(pc.equal(plan["action"], "share"))))
    own = folder.files()
    held = {
        name: base.folder.shared.get(name, base.folder.path)
        for name in base.manifest.files
        if shard_of(name) in shared and name not in own
    }
    return replace(folder, shared=held)


def _report(publication: Publication, changes: Changes, base: Base) -> None:
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
