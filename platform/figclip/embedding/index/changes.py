"""What an index that follows another keeps, drops and appends; which of its pictures are one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from figclip.embedding.index.facts import PICTURE, ROW_ID
from figclip.embedding.index.filters import sql_text
from figclip.embedding.index.lance import scanned
from figclip.embedding.index.rows import Sources, digests_of, keys_of, told_table
from figclip.pictures.duplicates import clusters, fingerprint_array
from figclip.pictures.fingerprint import NEAR_BITS
from figclip.schema import FINGERPRINT_BYTES

if TYPE_CHECKING:
    from lancedb.table import Table

DROPPED_AT_ONCE = 500
LOOKS = ("pair_id", "part", "image_sha256", "image_fingerprint")
"""By which pictures are told to be one."""


@dataclass(frozen=True)
class Known:
    """The rows of a table, as an update compares them: some 120 bytes each."""

    row_ids: np.ndarray
    """uint64 [n]."""
    keys: np.ndarray
    """int64 [n], of the pairs' ids."""
    digests: np.ndarray
    """int64 [n], of what is told of each pair."""
    pictures: np.ndarray
    """int64 [n]."""
    files: pa.Array
    """text [n], equal where the picture is the same file."""
    fingerprints: np.ndarray
    """uint8 [n, 32]."""

    @classmethod
    def nothing(cls) -> "Known":
        nothing = np.zeros(0, np.int64)
        return cls(
            row_ids=np.zeros(0, np.uint64),
            keys=nothing,
            digests=nothing,
            pictures=nothing,
            files=pa.array([], pa.large_string()),
            fingerprints=np.zeros((0, FINGERPRINT_BYTES), np.uint8),
        )

    def those(self, mask: np.ndarray) -> "Known":
        return Known(
            self.row_ids[mask],
            self.keys[mask],
            self.digests[mask],
            self.pictures[mask],
            self.files.filter(pa.array(mask)),
            self.fingerprints[mask],
        )


@dataclass(frozen=True)
class Changes:
    """From a table to the figures that there are now."""

    kept: np.ndarray
    """bool [n]: of the table's rows those that stay."""
    new: Mapping[str, np.ndarray]
    """Of each file of the sources the rows to append, bool [m]."""
    pictures: Mapping[str, np.ndarray]
    """Of each file the pictures of its new rows, int64 [m]; of others without meaning."""
    digests: Mapping[str, np.ndarray]
    """Of each file, int64 [m]."""

    def counts(self) -> dict[str, int]:
        kept = int(self.kept.sum())
        num_new = sum(int(mask.sum()) for mask in self.new.values())
        return {"num_kept": kept, "num_dropped": len(self.kept) - kept, "num_appended": num_new}


def known_rows(table: "Table") -> Known:
    """All rows of a table."""
    batches = scanned(table, [*LOOKS, "digest", PICTURE], rows=65_536)
    parts = [
        Known(
            row_ids=batch[ROW_ID].to_numpy(),
            keys=keys_of(batch["pair_id"]),
            digests=batch["digest"].to_numpy(),
            pictures=batch[PICTURE].to_numpy(),
            files=_files(batch),
            fingerprints=fingerprint_array(batch["image_fingerprint"]).copy(),
        )
        for batch in batches
    ]
    return _joined([Known.nothing(), *parts])


def changes(sources: Sources, known: Known) -> Changes:
    """A row stays where nothing that is told of its pair has changed."""
    order = np.argsort(known.keys)
    sorted_keys = known.keys[order]
    kept = np.zeros(len(known.keys), bool)
    new, digests, looks = {}, {}, []
    for name in sources.names:
        told = told_table(sources, name)
        keys, digests[name] = keys_of(told["pair_id"]), digests_of(told)
        new[name] = np.ones(len(keys), bool)
        if len(order):
            places = order[np.searchsorted(sorted_keys, keys).clip(max=len(order) - 1)]
            same = (known.keys[places] == keys) & (known.digests[places] == digests[name])
            kept[places[same]] = True
            new[name] = ~same
        looks.append(_new_looks(told, keys, new[name]))
    return Changes(kept, new, _pictures(known.those(kept), looks, new), digests)


def drop(table: "Table", row_ids: np.ndarray) -> None:
    """Delete rows."""
    for start in range(0, len(row_ids), DROPPED_AT_ONCE):
        some = row_ids[start : start + DROPPED_AT_ONCE].tolist()
        found = table.take_row_ids(some).select(["pair_id"]).to_arrow()
        names = ", ".join(map(sql_text, found["pair_id"].to_pylist()))
        table.delete(f"pair_id IN ({names})")


def _new_looks(told: pa.Table, keys: np.ndarray, is_new: np.ndarray) -> Known:
    """The new rows of a file; they have no row ids yet, and each its own picture."""
    some = told.select(LOOKS).filter(pa.array(is_new)).combine_chunks()
    mine = keys[is_new]
    prints = fingerprint_array(_one_array(some["image_fingerprint"])).copy()
    return Known(np.zeros(len(mine), np.uint64), mine, mine, mine, _files(some), prints)


def _pictures(
    old: Known, looks: list[Known], new: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Of each file the pictures of its new rows: that of a row which shows the same, else its own.

    An old row keeps its picture, even where a new one shows that two old ones are the same.
    """
    everything = _joined([old, *looks])
    found: dict[str, np.ndarray] = {}
    if not len(everything.keys):
        return {name: np.zeros(len(mask), np.int64) for name, mask in new.items()}
    first = clusters(everything.files, everything.fingerprints, max_bits=NEAR_BITS)
    pictures = everything.pictures[first]
    start = len(old.keys)
    for name, mask in new.items():
        found[name] = np.zeros(len(mask), np.int64)
        found[name][mask] = pictures[start : start + int(mask.sum())]
        start += int(mask.sum())
    return found


def _files(rows: pa.RecordBatch | pa.Table) -> pa.Array:
    """The panels of a figure were cut from one file, and are different pictures nevertheless."""
    sha256, part, pair_id = (
        _one_array(rows[name]).cast(pa.large_string())
        for name in ("image_sha256", "part", "pair_id")
    )
    slash = pa.scalar("/", pa.large_string())
    own = pc.binary_join_element_wise(sha256, pair_id, slash)
    return pc.if_else(pc.equal(part, "panel"), own, sha256).fill_null("")


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _joined(parts: list[Known]) -> Known:
    return Known(
        row_ids=np.concatenate([part.row_ids for part in parts]),
        keys=np.concatenate([part.keys for part in parts]),
        digests=np.concatenate([part.digests for part in parts]),
        pictures=np.concatenate([part.pictures for part in parts]),
        files=pa.concat_arrays([part.files for part in parts]),
        fingerprints=np.concatenate([part.fingerprints for part in parts]),
    )
