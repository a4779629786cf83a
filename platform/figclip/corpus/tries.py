"""Shards whose reading ended its process: read again with care, past the article that did it.

A decoder that crashes, or memory that runs out, takes the process with it and leaves no reason. So
each try of a shard leaves a note beside the ledgers; after `HASTY_TRIES` that ended so the articles
are read one by one, and the note says which; one that ends its process twice more is passed over.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby

from figclip.corpus.articles import ReadArticle, read_articles
from figclip.corpus.plan import split_version_id
from figclip.corpus.rules import CorpusConfig
from figclip.schema import Entry
from figclip.sources.source import Source
from figclip.store import Folder

HASTY_TRIES = 3

CRASHES = 2
"""Of one article that is read by itself, after which it is passed over: one may be chance."""

NOTES = "_tries"


@dataclass
class Note:
    """How the tries of a shard went."""

    num_tries: int = 0
    at_work: str = ""
    """The article that a careful try was reading."""
    crashes: dict[str, int] = field(default_factory=dict)
    """Article → careful tries that ended with it."""


def read_with_care(
    source: Source,
    version_ids: Sequence[str],
    config: CorpusConfig,
    *,
    num_threads: int,
    folder: Folder,
    number: int,
) -> Iterator[ReadArticle]:
    """As `read_articles`; articles that end their process have failed as `crashed_worker`."""
    name = f"{NOTES}/{number:05d}.json"
    note = Note(**json.loads(folder.read(name))) if folder.exists(name) else Note()
    if note.at_work:
        note.crashes[note.at_work] = note.crashes.get(note.at_work, 0) + 1
        note.at_work = ""
    note.num_tries += 1
    _write(folder, name, note)
    if note.num_tries <= HASTY_TRIES:
        yield from read_articles(source, version_ids, config, num_threads=num_threads)
    else:
        for pmcid, ids in groupby(version_ids, key=lambda v: split_version_id(v)[0]):
            if note.crashes.get(pmcid, 0) >= CRASHES:
                yield _passed_over(pmcid, list(ids))
                continue
            note.at_work = pmcid
            _write(folder, name, note)
            yield from read_articles(source, list(ids), config, num_threads=1)
    folder.delete(name)


def _write(folder: Folder, name: str, note: Note) -> None:
    folder.write(name, json.dumps(asdict(note)).encode())


def _passed_over(pmcid: str, version_ids: Sequence[str]) -> ReadArticle:
    detail = f"its reading ended the process {CRASHES} times"
    entries = [
        Entry(pmcid, split_version_id(v)[1], "", "", "failed", "crashed_worker", detail)
        for v in version_ids
    ]
    return ReadArticle(pmcid, entries=entries)


def forget_tries(folder: Folder) -> None:
    """Delete the notes of a run before: it may have ended for reasons of its own."""
    for name in (folder / NOTES).files():
        folder.delete(f"{NOTES}/{name}")
