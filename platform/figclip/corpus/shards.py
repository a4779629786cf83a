"""A fixed share of the articles, written as one piece.

Of shard 7: `{train,validation,test}/00007.parquet` with the articles whose own split this is,
`{split}/00007-moved.parquet` with those that came here because they share a picture with others,
and `_ledger/00007.parquet`, written last: by it the shard counts as finished.
"""

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from figclip.corpus.articles import ReadArticle
from figclip.schema import (
    LEDGER_SCHEMA,
    PAIR_SCHEMA,
    SPLITS,
    Split,
    table_of,
)
from figclip.store import Folder

ROWS_PER_GROUP = 128
"""Some 20 MB of images: what a reader of one row group must hold."""

BYTES_PER_GROUP = 64 * 2**20
"""Fewer rows where they are large ones."""

COMPRESSION = {
    f"{column.name}.list.element" if pa.types.is_list(column.type) else column.name: "zstd"
    for column in PAIR_SCHEMA
} | {"image": "none"}
"""JPEG and PNG bytes do not shrink any more."""

Home = Callable[[str], Split]
"""The split of an article by itself: `split_of`, with the corpus's seed and shares."""


def ledger_name(number: int) -> str:
    return f"_ledger/{number:05d}.parquet"


def pairs_name(number: int, split: Split, *, moved: bool) -> str:
    return f"{split}/{number:05d}{'-moved' if moved else ''}.parquet"


def pairs_names(number: int) -> list[str]:
    """Every file of pairs that a shard may have."""
    return [pairs_name(number, split, moved=m) for m in (False, True) for split in SPLITS]


def shard_of(name: str) -> int | None:
    """The shard that a file belongs to; `None` for files of no shard."""
    digits = name.rpartition("/")[2].removesuffix(".parquet").removesuffix("-moved")
    return int(digits) if "/" in name and digits.isdigit() else None


class PairFiles:
    """Parquet files of pairs in a scratch folder, written a row group at a time."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._files: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.Table]] = {}
        self._bytes: dict[str, int] = {}

    def add(self, name: str, rows: pa.Table) -> None:
        """Add rows to a file; they are cut into row groups of bounded size."""
        images = pc.binary_length(rows["image"]).to_pylist()
        other = (rows.nbytes - sum(images)) // max(len(images), 1)
        for n, size in enumerate(images):
            self._waiting.setdefault(name, []).append(rows.slice(n, 1))
            self._bytes[name] = self._bytes.get(name, 0) + size + other
            if len(self._waiting[name]) >= ROWS_PER_GROUP or self._bytes[name] >= BYTES_PER_GROUP:
                self._flush(name)

    def _flush(self, name: str) -> None:
        rows = pa.concat_tables(self._waiting.pop(name)).combine_chunks()
        self._bytes[name] = 0
        if name not in self._files:
            self._files[name] = pq.ParquetWriter(
                self._path(name), PAIR_SCHEMA, compression=COMPRESSION
            )
        self._files[name].write_table(rows)

    def _path(self, name: str) -> Path:
        return self._scratch / name.replace("/", "-")

    def close(self) -> dict[str, Path]:
        """Name → finished file, of every file that got a row."""
        for name in list(self._waiting):
            self._flush(name)
        for file in self._files.values():
            file.close()
        return {name: self._path(name) for name in self._files}


@dataclass(frozen=True)
class Copied:
    """Articles whose rows a shard takes over as they are."""

    folder: Folder
    """Where the shard of the same number stands; the very folder that is written to, if it is
    some of its articles that are read once more."""
    pmcids: frozenset[str]


def write_shard(
    folder: Folder,
    number: int,
    articles: Iterable[ReadArticle],
    home: Home,
    copied: Copied | None = None,
) -> None:
    """Write a shard's files as its articles come, the ledger last.

    A process that is killed leaves no ledger, be it the first or a second time that the shard is
    written.
    """
    with folder.scratch() as scratch:
        files = PairFiles(scratch)
        ledgers = []
        if copied is not None:
            _copy(files, number, copied, home)
            ledgers.append(_of_articles(read_ledger(copied.folder, number), copied.pmcids))
        for article in articles:
            for rows in article.pairs.tables():
                files.add(pairs_name(number, home(article.pmcid), moved=False), rows)
            ledgers.append(table_of(article.entries, LEDGER_SCHEMA))
        finished = files.close()
        if copied is not None and copied.folder.path == folder.path:
            folder.delete(ledger_name(number))
        # Of a try before this one, whose articles may have been put in place already.
        for name in set(pairs_names(number)) - finished.keys():
            folder.delete(name)
        for name, path in finished.items():
            folder.take(name, path)
    ledger = pa.concat_tables([LEDGER_SCHEMA.empty_table(), *ledgers])
    folder.write(ledger_name(number), parquet_bytes(ledger))


def _copy(files: PairFiles, number: int, copied: Copied, home: Home) -> None:
    """The rows of the copied articles, each in the file of its article's own split."""
    for name in pairs_names(number):
        for rows in _row_groups(copied.folder, name):
            for pmcid in rows["pmcid"].unique().to_pylist():
                if pmcid in copied.pmcids:
                    split = home(pmcid)
                    found = _with_split(_of_articles(rows, {pmcid}), split)
                    files.add(pairs_name(number, split, moved=False), found)


def _of_articles(rows: pa.Table, pmcids: Collection[str]) -> pa.Table:
    return rows.filter(pc.is_in(rows["pmcid"], pa.array(sorted(pmcids), pa.string())))


def _with_split(rows: pa.Table, split: Split) -> pa.Table:
    column = PAIR_SCHEMA.get_field_index("split")
    values = pa.array([split] * len(rows), pa.string())
    return rows.set_column(column, PAIR_SCHEMA.field(column), values)


def _row_groups(folder: Folder, name: str) -> Iterator[pa.Table]:
    """A file's rows, group by group; nothing where there is no such file."""
    if not folder.exists(name):
        return
    with folder.open(name) as file:
        opened = pq.ParquetFile(file)
        for n in range(opened.num_row_groups):
            yield opened.read_row_group(n).cast(PAIR_SCHEMA)


def read_ledger(folder: Folder, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    with folder.open(ledger_name(number)) as file:
        return pq.read_table(file, columns=None if columns is None else list(columns))


def parquet_bytes(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def files_of(
    number: int, pmcids: Iterable[str], moved: Mapping[str, Split], home: Home
) -> set[str]:
    """The files that a finished shard has: its ledger, and one for every place of an article."""
    return {ledger_name(number), *(_place(number, pmcid, moved, home) for pmcid in pmcids)}


def _place(number: int, pmcid: str, moved: Mapping[str, Split], home: Home) -> str:
    own = home(pmcid)
    split = moved.get(pmcid, own)
    return pairs_name(number, split, moved=split != own)


def place_articles(folder: Folder, number: int, moved: Mapping[str, Split], home: Home) -> None:
    """Put a shard's rows into the files of their articles' splits: those of `moved`, else `home`.

    Only files that hold too much or too little are written anew. It may be killed and run again: no
    file loses an article before all have what they gain, and what is read are the rows of all
    files, each once.
    """
    found = {
        name: set(_pmcids(folder, name)) for name in pairs_names(number) if folder.exists(name)
    }
    wanted: dict[str, set[str]] = {}
    for pmcid in set().union(*found.values()):
        wanted.setdefault(_place(number, pmcid, moved, home), set()).add(pmcid)
    grown = {name: wanted[name] | found.get(name, set()) for name in wanted}
    _fill(folder, {n: grown[n] for n in grown if grown[n] != found.get(n)}, found)
    _fill(folder, {n: wanted[n] for n in wanted if wanted[n] != grown[n]}, found)
    for name in found.keys() - wanted.keys():
        folder.delete(name)


def _fill(folder: Folder, wanted: Mapping[str, set[str]], found: Mapping[str, set[str]]) -> None:
    """Write files with the articles that each is to hold, from the files that hold them now."""
    with folder.scratch() as scratch:
        files = PairFiles(scratch)
        for name, pmcids in wanted.items():
            sources = [other for other in found if not pmcids.isdisjoint(found[other])]
            for rows in _once(folder, sources):
                here = _of_articles(rows, pmcids)
                if len(here):
                    files.add(name, _with_split(here, _split_of_name(name)))
        for name, path in files.close().items():
            folder.take(name, path)


def _split_of_name(name: str) -> Split:
    return next(split for split in SPLITS if name.startswith(f"{split}/"))


def _pmcids(folder: Folder, name: str) -> list[str]:
    with folder.open(name) as file:
        return pq.read_table(file, columns=["pmcid"])["pmcid"].to_pylist()


def _once(folder: Folder, names: Iterable[str]) -> Iterator[pa.Table]:
    """The rows of some files, each pair once."""
    seen: set[str] = set()
    for name in names:
        for rows in _row_groups(folder, name):
            is_new = [pair_id not in seen for pair_id in rows["pair_id"].to_pylist()]
            seen.update(rows["pair_id"].to_pylist())
            yield rows.filter(pa.array(is_new, pa.bool_()))
