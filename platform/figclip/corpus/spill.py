"""The pairs of an article as Arrow rows: in memory while they are few, else in a temporary file."""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from figclip.schema import PAIR_SCHEMA, Pair, table_of
from figclip.sources.spool import spooled

BATCH_BYTES = 4 * 2**20
"""Of pairs that are made Arrow rows together."""

HELD_BYTES = 16 * 2**20
"""Of Arrow rows in memory; what comes after goes to the file."""


class Pairs:
    """Rows that are added one by one, and then read in their order.

    An article may have thousands of pictures; several articles are held at a time.
    """

    def __init__(self) -> None:
        self._waiting: list[Pair] = []
        self._waiting_bytes = 0
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._file: BinaryIO | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._size = 0

    def add(self, pair: Pair) -> None:
        """`ValueError` or `TypeError`, now or later, where a row does not fit its columns."""
        self._waiting.append(pair)
        self._waiting_bytes += len(pair.image) + len(pair.caption) + sum(map(len, pair.mentions))
        self._size += 1
        if self._waiting_bytes >= BATCH_BYTES:
            self.settle()

    def settle(self) -> None:
        """Make Arrow rows of what was added, and so find out whether it fits."""
        if not self._waiting:
            return
        rows = table_of(self._waiting, PAIR_SCHEMA)
        self._waiting, self._waiting_bytes = [], 0
        if self._writer is None and self._held_bytes + rows.nbytes <= HELD_BYTES:
            self._held.append(rows)
            self._held_bytes += rows.nbytes
            return
        if self._writer is None:
            with spooled() as self._file:
                self._writer = pa.ipc.new_stream(self._file, PAIR_SCHEMA)
        self._writer.write_table(rows)

    def tables(self) -> Iterator[pa.Table]:
        """All rows, a few megabytes at a time; nothing can be added any more."""
        self.settle()
        yield from self._held
        if self._writer is not None and self._file is not None:
            self._writer.close()
            self._file.seek(0)
            for batch in pa.ipc.open_stream(self._file):
                yield pa.Table.from_batches([batch])

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Pair]:
        for rows in self.tables():
            yield from (Pair(**row) for row in rows.to_pylist())
