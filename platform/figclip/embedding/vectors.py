"""The `embeddings` artifact: one Parquet file of unit vectors beside each file of pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from figclip.config import UsageError
from figclip.store import Folder, Store


@dataclass(frozen=True)
class Embeddings:
    """Pairs as vectors: row i of `images` and of `texts` belongs to `pair_ids[i]`."""

    pair_ids: list[str]
    images: np.ndarray
    """float32 unit vectors, [n, dim]."""
    texts: np.ndarray
    """float32 unit vectors, [n, dim]."""


def embedding_schema(dim: int) -> pa.Schema:
    vector = pa.list_(pa.float32(), dim)
    return pa.schema(
        [
            ("pair_id", pa.string()),
            ("split", pa.string()),
            ("image_embedding", vector),
            ("text_embedding", vector),
        ]
    )


def vector_column(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """Rows of a float32 matrix [n, dim] as an Arrow column, without a copy where it can be."""
    flat = np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.shape[1])


def matrix(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column of equally long vectors as a float32 matrix [n, dim]."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(array.flatten(), dtype=np.float32).reshape(len(array), -1)


def split_files(folder: Folder, splits: Sequence[str]) -> list[str]:
    """Names of the Parquet files of some splits, in the order of the pairs."""
    names = folder.files()
    return [
        name
        for split in splits
        for name in names
        if name.startswith(f"{split}/") and name.endswith(".parquet")
    ]


def read_table(folder: Folder, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    with folder.open(name) as file:
        return pq.read_table(file, columns=None if columns is None else list(columns))


def read_batches(
    folder: Folder, name: str, columns: Sequence[str], *, num_rows: int
) -> Iterator[pa.RecordBatch]:
    """A file's rows, at most `num_rows` at a time, in order."""
    with folder.open(name) as file:
        yield from pq.ParquetFile(file).iter_batches(batch_size=num_rows, columns=list(columns))


def read_embeddings(store: Store, version: str, split: str) -> Embeddings:
    """All embeddings of one split; `UsageError` where the artifact holds none of it, or a vector is
    not of numbers."""
    folder = store.open("embeddings", version)
    tables = [read_table(folder, name) for name in split_files(folder, [split])]
    table = pa.concat_tables(tables) if tables else None
    if table is None or table.num_rows == 0:
        raise UsageError(
            f"embeddings@{version} in {store.url} hold no pair of the split {split!r}: embed that "
            f"split, or choose another one"
        )
    found = Embeddings(
        pair_ids=table["pair_id"].to_pylist(),
        images=matrix(table["image_embedding"]),
        texts=matrix(table["text_embedding"]),
    )
    for vectors in (found.images, found.texts):
        refuse_no_numbers(vectors, found.pair_ids, origin=f"embeddings@{version}")
    return found


def refuse_no_numbers(vectors: np.ndarray, pair_ids: Sequence[str], *, origin: str) -> None:
    """`UsageError` names the first pair whose vector is not finite."""
    lengths = np.einsum("nd,nd->n", vectors, vectors)  # without a matrix of flags
    bad = np.flatnonzero(~np.isfinite(lengths))
    if len(bad):
        raise UsageError(
            f"{origin}: a vector of pair {pair_ids[bad[0]]} is not of finite numbers, nor are "
            f"{len(bad) - 1} more: embed these pairs anew, under a new version"
        )


def vector_blocks(
    folder: Folder, names: list[str], column: str
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Pair ids and vectors [m, dim], file by file; `UsageError` where one is not of numbers."""
    for name in names:
        table = read_table(folder, name, ["pair_id", column])
        pair_ids, vectors = table["pair_id"].to_pylist(), matrix(table[column])
        refuse_no_numbers(vectors, pair_ids, origin=f"{folder.path}/{name}")
        yield pair_ids, vectors


def sampled_vectors(
    folder: Folder, names: list[str], num_pairs: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Image and caption vectors of at most `num_pairs` pairs drawn by `seed`, each [q, dim]."""
    sizes = [num_rows(folder, name) for name in names]
    total = sum(sizes)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(total, min(num_pairs, total), replace=False))
    sampled, start = [], 0
    for name, size in zip(names, sizes, strict=True):
        here = chosen[(chosen >= start) & (chosen < start + size)] - start
        start += size
        if len(here):
            table = read_table(folder, name, ["image_embedding", "text_embedding"]).take(here)
            sampled.append([matrix(column) for column in table.columns])
    images, texts = zip(*sampled, strict=True)
    return np.concatenate(images), np.concatenate(texts)


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


def num_rows(folder: Folder, name: str) -> int:
    """Rows of a file, read from its footer."""
    with folder.open(name) as file:
        return pq.ParquetFile(file).metadata.num_rows
