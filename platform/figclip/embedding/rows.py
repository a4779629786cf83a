"""The rows of the index: each pair's columns, a thumbnail of its image, and its two vectors."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from PIL import Image

from figclip.config import UsageError
from figclip.embedding.image_types import COLUMN, SCHEMA
from figclip.embedding.vectors import embedding_schema, read_batches, read_table
from figclip.schema import PAIR_SCHEMA
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
    "image_sha256",
    "image_fingerprint",
    "section",
}
PAIR_COLUMNS = [name for name in PAIR_SCHEMA.names if name not in LEFT_OUT]
ROWS_AT_ONCE = 128
JPEG_QUALITY = 85


def row_schema(dim: int, *, has_types: bool) -> pa.Schema:
    columns = [PAIR_SCHEMA.field(name) for name in PAIR_COLUMNS]
    types = [SCHEMA.field(COLUMN)] if has_types else []
    vector_columns = list(embedding_schema(dim))[2:]
    return pa.schema([*columns, *types, pa.field("thumbnail", pa.binary()), *vector_columns])


def joined_rows(
    pairs: Folder,
    embeddings: Folder,
    names: list[str],
    *,
    types: Folder | None,
    dim: int,
    side: int,
    num_threads: int,
) -> Iterator[pa.RecordBatch]:
    """The rows of some files, in the order of the pairs, at most `ROWS_AT_ONCE` together.

    Files of pairs, of embeddings and of types that have the same name hold the same pairs in the
    same order: `check_same_pairs` first.
    """
    schema = row_schema(dim, has_types=types is not None)
    with ThreadPoolExecutor(num_threads) as pool:
        for name in names:
            found = read_table(embeddings, name)
            if types is not None:
                found = found.append_column(SCHEMA.field(COLUMN), read_table(types, name)[COLUMN])
            start = 0
            columns = [*PAIR_COLUMNS, "image"]
            for batch in read_batches(pairs, name, columns, num_rows=ROWS_AT_ONCE):
                beside = found.slice(start, batch.num_rows).combine_chunks()
                start += batch.num_rows
                images = batch["image"].to_pylist()
                values = {column: batch[column] for column in PAIR_COLUMNS}
                values["thumbnail"] = pa.array(pool.map(thumbnail, images, [side] * len(images)))
                told = () if types is None else (COLUMN,)
                for column in ("image_embedding", "text_embedding", *told):
                    values[column] = beside[column].combine_chunks().cast(schema.field(column).type)
                yield pa.record_batch([values[column] for column in schema.names], schema=schema)


def thumbnail(image: bytes, side: int) -> bytes:
    """A JPEG of the image, no side longer than `side` pixels."""
    with Image.open(io.BytesIO(image)) as opened:
        opened.draft("RGB", (side, side))
        small = opened.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def check_same_pairs(pairs: Folder, embeddings: Folder, names: list[str]) -> None:
    """`UsageError` where a file of embeddings (or of types) does not hold the pairs of its
    namesake, in order."""
    for name in names:
        theirs, ours = (read_table(folder, name, ["pair_id"]) for folder in (pairs, embeddings))
        if not ours.equals(theirs):
            raise UsageError(
                f"{embeddings.path}/{name} does not hold the pairs of {pairs.path}/{name}: embed "
                f"these pairs anew, under a new version"
            )
