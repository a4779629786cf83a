"""The flow from `pairs` to `statistics`: files are counted by tasks, and the counts added up.

Of every file just the columns that are counted are read, so never a picture.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from figclip.config import UsageError
from figclip.log import with_progress
from figclip.pictures.duplicates import DUPLICATES
from figclip.schema import SPLITS
from figclip.statistics.page import statistics_page
from figclip.statistics.plots import plots
from figclip.statistics.summary import (
    DUPLICATE_COLUMNS,
    LEDGER_COLUMNS,
    PAIR_COLUMNS,
    CountTokens,
    Statistics,
    added,
    bin_edges,
    counters,
    duplicate_statistics,
    ledger_statistics,
    pair_statistics,
    summary,
)
from figclip.statistics.words import WORDS, count_words, unit_of
from figclip.store import Folder, Manifest, Store
from figclip.tasks import Workers, run_tasks

log = logging.getLogger(__name__)

NAME = "statistics"
LEDGER = "_ledger"

MOST_PARTS = 2_000
"""Sums that come back; with more files than that, one speaks of several."""

ROWS_AT_ONCE = 2_000
"""Captions and mentions of so many pairs lie in memory."""


def describe(
    store: Store,
    pairs_version: str,
    version: str,
    *,
    tokenizer: str = WORDS,
    count_tokens: CountTokens = count_words,
    num_cpus_per_task: float,
    max_tasks: int,
) -> Manifest:
    """Publish `statistics/{version}` of the pairs: `statistics.json`, PNGs and `index.html`.

    `count_tokens` measures captions, and `tokenizer` is its name in the config and the plots. At
    most `max_tasks` tasks run at a time, each reserving `num_cpus_per_task` logical CPUs.
    `UsageError` where the version is taken by statistics of other pairs or another tokenizer.
    """
    config, inputs = {"tokenizer": tokenizer}, (f"pairs@{pairs_version}",)
    if store.already_published(NAME, version, config, inputs):
        return store.manifest(NAME, version)
    pairs = store.open("pairs", pairs_version)
    names = counted_files(pairs)
    with store.publishing(NAME, version, config=config, inputs=inputs) as publication:
        log.info("%d files of %s are counted", len(names), inputs[0])
        totals = added(_counted(pairs, names, count_tokens, num_cpus_per_task, max_tasks))
        write_statistics(publication.folder, totals, corpus=inputs[0], tokenizer=tokenizer)
        told = summary(totals)
        for name in ("num_pairs", "num_articles", "share_of_captions_within"):
            publication.counts[name] = told[name]
    return store.manifest(NAME, version)


def counted_files(pairs: Folder) -> list[str]:
    """The Parquet files of all splits and of the ledger, and the duplicates where they are."""
    rooms = (*SPLITS, LEDGER)
    return [
        name
        for name in pairs.files()
        if name == DUPLICATES or (name.split("/")[0] in rooms and name.endswith(".parquet"))
    ]


def _counted(
    pairs: Folder,
    names: Sequence[str],
    count_tokens: CountTokens,
    num_cpus: float,
    max_tasks: int,
) -> Iterator[Statistics]:
    """The sums of some files each, as tasks come to their ends."""
    num_parts = min(len(names), MOST_PARTS)
    parts = [names[start::num_parts] for start in range(num_parts)]
    count = partial(count_files, pairs=pairs, count_tokens=count_tokens)
    done = run_tasks(count, parts, Workers(num_cpus, max_tasks))
    yield from with_progress(done, what="parts of the files counted", total=num_parts)


def count_files(names: Sequence[str], *, pairs: Folder, count_tokens: CountTokens) -> Statistics:
    """The sum of the statistics of some files."""
    return added(count_file(pairs, name, count_tokens) for name in names)


def count_file(pairs: Folder, name: str, count_tokens: CountTokens) -> Statistics:
    """The statistics of one file of `counted_files`, whichever it is."""
    match name.split("/")[0]:
        case "_duplicates.parquet":
            rows = [pa.table(batch) for batch in _read(pairs, name, DUPLICATE_COLUMNS)]
            return duplicate_statistics(pa.concat_tables(rows)) if rows else Statistics()
        case "_ledger":
            return ledger_statistics(_read(pairs, name, LEDGER_COLUMNS))
        case _:
            return pair_statistics(_read(pairs, name, PAIR_COLUMNS), count_tokens)


def _read(pairs: Folder, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pairs.open(name) as source:
        file = pq.ParquetFile(source)
        missing = set(columns) - set(file.schema_arrow.names)
        if missing:
            raise UsageError(
                f"{pairs.locate(name)} has no column {', '.join(sorted(missing))}: another version "
                f"of figclip made these pairs, ingest them anew under a new version"
            )
        yield from file.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(columns))


def write_statistics(folder: Folder, totals: Statistics, *, corpus: str, tokenizer: str) -> None:
    """The files of the artifact; the same statistics give the same files."""
    unit = unit_of(tokenizer)
    told = {
        "pairs": corpus,
        "tokenizer": tokenizer,
        "captions_measured_in": unit,
        "summary": summary(totals),
        "size_bin_edges": bin_edges(),
        "counters": counters(totals),
    }
    folder.write("statistics.json", json.dumps(told, ensure_ascii=False).encode())
    pictures = plots(totals, unit=unit)
    for name, png in pictures.items():
        folder.write(name, png)
    page = statistics_page(totals, pictures, corpus=corpus, unit=unit)
    folder.write("index.html", page.encode())
