"""What one file of an export is made of, and how it is read, written and accounted for."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from figclip.exports.records import (
    ExportConfig,
    Format,
    Record,
    article_folder,
    json_lines,
    parquet_of,
    picture_name,
    records,
    tar_of,
    with_clusters,
)
from figclip.schema import PAIR_SCHEMA
from figclip.store import Folder

SUFFIXES: dict[Format, str] = {"jsonl": ".jsonl", "webdataset": ".tar", "parquet": ".parquet"}

MOVED = "-moved"
"""Ends the stem of the file with those articles of a shard that came from another split."""

WRITERS = 8
"""Pictures on their way at once: each waits for the disk or for S3, and takes no CPU meanwhile."""

READERS = 32
"""Footers on their way at once."""


@dataclass(frozen=True)
class Slice:
    """Rows of one file of pairs."""

    file: str
    start: int
    stop: int | None
    """Exclusive; `None`: all rows there are."""


@dataclass(frozen=True)
class Part:
    """One file of an export: its path without suffix, and the rows that it holds."""

    name: str
    slices: tuple[Slice, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        return cls(values["name"], tuple(Slice(**one) for one in values["slices"]))


@dataclass(frozen=True)
class PartCounts:
    """What a finished part holds."""

    num_pairs: int
    licenses: dict[str, int]
    """Pairs by their article's licence."""
    num_figure_licenses: int
    """Pairs whose figure has a licence of its own."""


def plan_parts(pairs: Folder, config: ExportConfig) -> list[Part]:
    """The files of an export, split by split."""
    names = pairs.files()
    parts = []
    for split in config.splits:
        files = [n for n in names if n.startswith(f"{split}/") and n.endswith(".parquet")]
        if config.format == "jsonl":
            parts += parts_by_shard(files)
        else:
            with ThreadPoolExecutor(READERS) as pool:
                sizes = list(pool.map(lambda name: _num_rows(pairs, name), files))
            rows = list(zip(files, sizes, strict=True))
            parts += even_parts(split, rows, config.rows_per_file)
    return parts


def parts_by_shard(files: Sequence[str]) -> list[Part]:
    """A part of each shard, so that no article is cut, those included that moved to this split."""
    ordered = sorted(files, key=lambda file: (_shard(file), file))
    return [
        Part(shard, tuple(Slice(file, 0, None) for file in of_shard))
        for shard, of_shard in groupby(ordered, key=_shard)
    ]


def _shard(file: str) -> str:
    return file.removesuffix(".parquet").removesuffix(MOVED)


def even_parts(split: str, sizes: Sequence[tuple[str, int]], rows_per_file: int) -> list[Part]:
    """All rows of the files in order, `rows_per_file` a part; the last part has what is left."""
    parts: list[Part] = []
    slices: list[Slice] = []
    room = rows_per_file
    for file, num_rows in sizes:
        start = 0
        while start < num_rows:
            stop = min(num_rows, start + room)
            slices.append(Slice(file, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                parts.append(Part(f"{split}/{len(parts):05d}", tuple(slices)))
                slices, room = [], rows_per_file
    if slices:
        parts.append(Part(f"{split}/{len(parts):05d}", tuple(slices)))
    return parts


def _num_rows(pairs: Folder, name: str) -> int:
    with pairs.open(name) as file:
        return pq.ParquetFile(file).metadata.num_rows


def read_part(pairs: Folder, part: Part, clusters: pa.Table | None) -> Iterator[pa.Table]:
    """The rows of a part as `EXPORT_SCHEMA`, a row group of the pairs at a time."""
    for one in part.slices:
        for table in _read_slice(pairs, one):
            yield with_clusters(table, clusters)


def _read_slice(pairs: Folder, rows: Slice) -> Iterator[pa.Table]:
    with pairs.open(rows.file) as opened:
        file = pq.ParquetFile(opened)
        stop = file.metadata.num_rows if rows.stop is None else rows.stop
        first = 0
        for group in range(file.num_row_groups):
            last = first + file.metadata.row_group(group).num_rows
            here = max(first, rows.start), min(last, stop)
            if here[0] < here[1]:
                table = file.read_row_group(group, columns=PAIR_SCHEMA.names)
                yield table.slice(here[0] - first, here[1] - here[0])
            first = last


def write_part(
    pairs: Folder, target: Folder, part: Part, config: ExportConfig, clusters: pa.Table | None
) -> PartCounts:
    """Write a part's files, and last the mark by which it counts as finished."""
    counter = _Counter()
    tables = counter.passing(read_part(pairs, part, clusters))
    match config.format:
        case "jsonl":
            data = _written_articles(target, part.name, tables, with_images=config.with_images)
        case "webdataset":
            data = tar_of(tables)
        case "parquet":
            data = parquet_of(tables)
    target.write(part.name + SUFFIXES[config.format], data)
    counts = counter.counts()
    target.write(mark_name(part), json.dumps(asdict(counts)).encode())
    return counts


def _written_articles(
    target: Folder, part: str, tables: Iterable[pa.Table], *, with_images: bool
) -> bytes:
    """The lines of a part, whose pictures are written on the way where they are wanted."""
    write = _picture_writer(target, part) if with_images else _no_picture
    figures: list[tuple[dict[str, Any], str]] = []
    with ThreadPoolExecutor(WRITERS) as pool:
        for table in tables:
            found = list(records(table))
            paths = pool.map(write, found)
            figures += [(values, path) for (values, _), path in zip(found, paths, strict=True)]
    return json_lines(figures, part)


def _picture_writer(target: Folder, part: str) -> Callable[[Record], str]:
    def write(record: Record) -> str:
        values, image = record
        path = f"{article_folder(part, values)}/{picture_name(values['pair_id'], image)}"
        target.write(path, image)
        return path

    return write


def _no_picture(record: Record) -> str:
    return ""


class _Counter:
    """Counts tables of pairs as they pass."""

    def __init__(self) -> None:
        self._licenses: Counter[str] = Counter()
        self._num_figure_licenses = 0

    def passing(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            self._licenses.update(table["license"].to_pylist())
            self._num_figure_licenses += sum(map(bool, table["figure_license"].to_pylist()))
            yield table

    def counts(self) -> PartCounts:
        licenses = dict(sorted(self._licenses.items()))
        return PartCounts(self._licenses.total(), licenses, self._num_figure_licenses)


def mark_name(part: Part) -> str:
    # `datasets` passes over folders whose names begin with two underscores, and over no others.
    return f"__parts/{part.name}.json"


def read_counts(target: Folder, parts: Iterable[Part]) -> dict[str, PartCounts]:
    """Counts of finished parts by name."""
    with ThreadPoolExecutor(READERS) as pool:
        return dict(pool.map(lambda part: (part.name, _counts(target, part)), parts))


def _counts(target: Folder, part: Part) -> PartCounts:
    return PartCounts(**json.loads(target.read(mark_name(part))))


def total_counts(counts: Mapping[str, PartCounts]) -> PartCounts:
    licenses: Counter[str] = Counter()
    for part in counts.values():
        licenses.update(part.licenses)
    return PartCounts(
        num_pairs=licenses.total(),
        licenses=dict(sorted(licenses.items())),
        num_figure_licenses=sum(part.num_figure_licenses for part in counts.values()),
    )


def shard_sizes(counts: Mapping[str, PartCounts]) -> dict[str, bytes]:
    """`{split}/sizes.json`: pairs of each tar, where open_clip looks for them."""
    sizes: dict[str, dict[str, int]] = {}
    for name, part in counts.items():
        split, _, stem = name.partition("/")
        sizes.setdefault(split, {})[f"{stem}.tar"] = part.num_pairs
    return {f"{split}/sizes.json": json.dumps(one).encode() for split, one in sizes.items()}
