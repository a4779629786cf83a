"""The rows of the index: each pair's columns, a thumbnail of its image, and its two vectors."""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from figclip.embedding.image_types import COLUMN as TYPE
from figclip.embedding.image_types import SCHEMA as TYPE_SCHEMA
from figclip.embedding.vectors import embedding_schema, read_batches, read_table
from figclip.schema import PAIR_SCHEMA, PANEL_PAIR_SCHEMA
from figclip.store import Folder

LEFT_OUT = {
    "owner",
    "graphic",
    "group_caption",
    "alt_text",
    "mentions",
    "image",
    "original_width",
    "original_height",
    "section",
}
PAIR_COLUMNS = [name for name in PAIR_SCHEMA.names if name not in LEFT_OUT]
PANEL_COLUMNS = ["figure_pair_id", "panel_label"]
PART_COLUMNS = [
    pa.field("part", pa.string()),
    *[PANEL_PAIR_SCHEMA.field(name) for name in PANEL_COLUMNS],
]
OWN_COLUMNS = [pa.field("picture", pa.int64()), pa.field("digest", pa.int64())]
"""`picture`: equal for near-duplicates, the key of the first of them. `digest`: of all that is told
of the pair, by which an update knows what has changed."""
NEVER_NULL = ("license", "journal", "article_type", TYPE)
"""Columns that are filtered by: what states none has the empty text."""
ROWS_AT_ONCE = 128
JPEG_QUALITY = 85


@dataclass(frozen=True)
class Sources:
    """What an index is made of: files of the same name hold the same pairs in the same order."""

    pairs: Folder
    embeddings: Folder
    types: Folder | None
    names: list[str]
    """Parquet files of all three."""
    dim: int
    has_panels: bool

    def schema(self) -> pa.Schema:
        """Of the index's rows."""
        columns = [PAIR_SCHEMA.field(name) for name in PAIR_COLUMNS]
        types = [] if self.types is None else [TYPE_SCHEMA.field(TYPE)]
        thumbnail = pa.field("thumbnail", pa.binary())
        vectors = list(embedding_schema(self.dim))[2:]
        return pa.schema([*columns, *PART_COLUMNS, *types, *OWN_COLUMNS, thumbnail, *vectors])


def has_panels(pairs: Folder, names: list[str]) -> bool:
    """Whether the pairs were split into panels."""
    if not names:
        return False
    with pairs.open(names[0]) as file:
        return "figure_pair_id" in pq.read_schema(file).names


def told_table(sources: Sources, name: str) -> pa.Table:
    """A file's rows as the index will have them, without picture, key, thumbnail and vectors."""
    panels = PANEL_COLUMNS if sources.has_panels else []
    table = read_table(sources.pairs, name, [*PAIR_COLUMNS, *panels])
    for field, values in zip(PART_COLUMNS, _part_columns(table), strict=True):
        place = table.schema.get_field_index(field.name)
        if place >= 0:
            table = table.remove_column(place)
        table = table.append_column(field, values)
    if sources.types is not None:
        table = table.append_column(TYPE_SCHEMA.field(TYPE), read_table(sources.types, name)[TYPE])
    for column in NEVER_NULL:
        place = table.schema.get_field_index(column)
        if place >= 0:
            table = table.set_column(place, column, table[column].fill_null(""))
    return table


def _part_columns(table: pa.Table) -> tuple[pa.Array, pa.Array, pa.Array]:
    """`part`, `figure_pair_id` and `panel_label` of each row.

    A figure of one panel is a pair of panels' schema like any panel, but the only one of its
    figure; the panels of a figure lie in one file.
    """
    num = table.num_rows
    if "figure_pair_id" not in table.column_names:
        nothing = pa.array([""] * num, pa.string())
        return pa.array(["figure"] * num, pa.string()), nothing, nothing
    figures = table["figure_pair_id"].combine_chunks()
    coded = figures.dictionary_encode().indices.to_numpy()
    is_panel = pa.array(np.bincount(coded, minlength=1)[coded] > 1)
    return (
        pc.if_else(is_panel, "panel", "figure"),
        figures,
        table["panel_label"].combine_chunks().fill_null(""),
    )


def keys_of(ids: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """64 bits of each id, int64 [n]: of 50 million the chance that two are equal is 1 in 14,000."""
    return _hashed(text.encode() for text in ids.to_pylist())


def digests_of(told: pa.Table) -> np.ndarray:
    """64 bits of all that is told of each row, int64 [n]."""
    rows = zip(*[column.to_pylist() for column in told.columns], strict=True)
    names = json.dumps(told.column_names)
    return _hashed((names + json.dumps(row, default=bytes.hex)).encode() for row in rows)


def _hashed(parts: Iterator[bytes]) -> np.ndarray:
    digests = b"".join(hashlib.blake2b(part, digest_size=8).digest() for part in parts)
    return np.frombuffer(digests, dtype="<i8")


def joined_rows(
    sources: Sources,
    name: str,
    *,
    pictures: np.ndarray,
    digests: np.ndarray,
    chosen: np.ndarray,
    side: int,
    pool: ThreadPoolExecutor,
) -> Iterator[pa.RecordBatch]:
    """The `chosen` rows (bool [n]) of a file, in order, at most `ROWS_AT_ONCE` together.

    `pictures` and `digests` are of all rows of the file: `vectors.check_same_pairs` first.
    """
    schema = sources.schema()
    told = told_table(sources, name)
    vectors = ("image_embedding", "text_embedding")
    beside = read_table(sources.embeddings, name, vectors).combine_chunks()
    own = {"picture": pa.array(pictures), "digest": pa.array(digests)}
    start = 0
    for batch in read_batches(sources.pairs, name, ["image"], num_rows=ROWS_AT_ONCE):
        here = np.flatnonzero(chosen[start : start + batch.num_rows])
        places = pa.array(here + start)
        start += batch.num_rows
        if not len(here):
            continue
        images = batch["image"].take(pa.array(here)).to_pylist()
        values = {column: told[column].take(places) for column in told.column_names}
        values |= {column: array.take(places) for column, array in own.items()}
        values |= {column: beside[column].take(places) for column in vectors}
        values["thumbnail"] = pa.array(
            pool.map(thumbnail, images, [side] * len(images)), pa.binary()
        )
        yield pa.record_batch(
            [_array(values[field.name]).cast(field.type) for field in schema], schema=schema
        )


def _array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def thumbnail(image: bytes, side: int) -> bytes:
    """A JPEG of the image, no side longer than `side` pixels."""
    with Image.open(io.BytesIO(image)) as opened:
        opened.draft("RGB", (side, side))
        small = opened.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
