"""Whether an encoder has learned from the very pictures that it is judged by.

They are known again by their marks (`marks.py`). Held in memory are those of the pictures to be
judged by, some 200 bytes each; the training pairs, however many, pass by in blocks of two columns.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool

from figclip.config import UsageError
from figclip.corpus.leakage import fingerprint_words
from figclip.embedding.vectors import read_batches, split_files
from figclip.evaluation.marks import Marks, joined, known_in
from figclip.evaluation.sources import published
from figclip.pictures.fingerprint import NEAR_BITS
from figclip.schema import Split
from figclip.store import Folder, Store

log = logging.getLogger(__name__)

COLUMNS = ("image_sha256", "image_fingerprint")
ROWS_AT_ONCE = 1 << 16
"""Training pairs that are compared together."""

LEAKED = (
    f"Leaked: of the n, pictures that the encoder has learned from, known by their files or by a "
    f"fingerprint within {NEAR_BITS} of 256 bits, and the number without them; ?: not compared."
)
"""What tables say below such a column."""
REPEATED = (
    "Repeated: of the n, pictures that the set's own training part has as well, known likewise; a "
    "probe's number without leaked ones is without these, too."
)

Leaked = Mapping[str, frozenset[str]]
"""A set's title → the names of its pictures that an encoder has learned from."""


@dataclass(frozen=True)
class Learned:
    """What is known of the pictures that an encoder has learned from."""

    pairs: tuple[str, ...]
    """Versions of pairs in the store; empty where none are known."""
    unknown: str = ""
    """Why there are none, or what was learned from besides."""

    @property
    def in_words(self) -> str:
        named = " and ".join(f"pairs@{version}" for version in self.pairs)
        if not named:
            return f"not compared with what it has learned from: {self.unknown}"
        return f"compared with {named}" + (f"; {self.unknown}" if self.unknown else "")


def learned_by(store: Store, encoders: Sequence[str], named: Sequence[str]) -> dict[str, Learned]:
    """Of each encoder; `named` are the pairs of the first, in place of those of its manifest."""
    return {
        one: learned_from(store, one, named if place == 0 else ())
        for place, one in enumerate(encoders)
    }


def learned_from(store: Store, encoder: str, named: Sequence[str] = ()) -> Learned:
    """The pairs that are `named`, else those that the encoder's manifest names.

    `UsageError` where named ones are not published.
    """
    if named:
        for version in named:
            refuse_unmarked(store.open("pairs", version))
        return Learned(tuple(named))
    if not published([encoder]) or not store.is_published("encoder", encoder):
        return Learned((), "it was not trained here; name its pairs with --trained-on")
    manifest = store.manifest("encoder", encoder)
    versions = [one.partition("@")[2] for one in manifest.inputs if one.startswith("pairs@")]
    if not versions:
        return Learned((), "its manifest names no pairs; name them with --trained-on")
    for version in versions:
        try:
            refuse_unmarked(store.open("pairs", version))
        except UsageError as error:
            return Learned((), str(error))
    first = manifest.config.get("init")
    return Learned(tuple(versions), f"what {first} learned from is unknown" if first else "")


def refuse_unmarked(pairs: Folder, split: Split = "train") -> None:
    """`UsageError` where pairs lack what they are known again by."""
    for name in split_files(pairs, [split])[:1]:
        with pairs.open(name) as file:
            lacking = sorted({*COLUMNS} - {*pq.ParquetFile(file).schema_arrow.names})
        if lacking:
            raise UsageError(
                f"{pairs.path} lacks {', '.join(lacking)}: an older version wrote it; run "
                f"jobs.ingest again to a new version"
            )


def marks_of_pairs(pairs: Folder, split: Split) -> Marks:
    """Of the pairs of a split, by their ids."""
    refuse_unmarked(pairs, split)
    tables = [
        pa.Table.from_batches([batch])
        for name in split_files(pairs, [split])
        for batch in read_batches(pairs, name, ["pair_id", *COLUMNS], num_rows=ROWS_AT_ONCE)
    ]
    rows = pa.concat_tables(tables)
    ids, files, shown = (column.to_pylist() for column in rows.columns)
    return Marks(tuple(ids), tuple(file or "" for file in files), fingerprint_words(shown))


class Leaks:
    """What some encoders have learned from of the pictures that all of them are judged by.

    Those of the same training pairs have learned from the same, so these are read once for all.
    """

    def __init__(self, store: Store, learned: Mapping[str, Learned]) -> None:
        self._store, self._learned = store, learned
        self._found: dict[tuple[str, ...], Leaked] = {}

    def of(self, encoder: str, marks: Callable[[], Mapping[str, Marks]]) -> Leaked | None:
        """None where its pairs are not known; else `marks`, of all sets by their titles, are asked
        once."""
        pairs = self._learned[encoder].pairs
        if not pairs:
            return None
        if pairs not in self._found:
            self._found[pairs] = leaked_from(self._store, pairs, marks())
        return self._found[pairs]


def leaked_from(store: Store, versions: Sequence[str], marks: Mapping[str, Marks]) -> Leaked:
    """The pictures of each set that are among the training pairs of these versions."""
    pairs = [store.open("pairs", version) for version in versions]
    is_there = leaked(joined(list(marks.values())), pairs)
    found, start = {}, 0
    for title, one in marks.items():
        here = is_there[start : start + len(one.names)]
        start += len(one.names)
        found[title] = frozenset(
            name for name, is_leaked in zip(one.names, here, strict=True) if is_leaked
        )
        if found[title]:
            log.warning("%s: %d of %d were learned from", title, len(found[title]), len(here))
    return found


def versions_of(learned: Mapping[str, Learned]) -> dict[str, tuple[str, ...]]:
    return {name: one.pairs for name, one in learned.items()}


def among(found: Leaked | None, title: str) -> Collection[str] | None:
    """The leaked pictures of a set; None where it was not looked at."""
    return None if found is None else found.get(title)


def said_of(learned: Mapping[str, Learned]) -> str:
    """Below a table with such a column, as Markdown."""
    return "\n".join([LEAKED, "", *(f"- {name}: {one.in_words}" for name, one in learned.items())])


def leaked_cell(num: int | None) -> str:
    return "?" if num is None else f"{num:,}"


def leaked(
    marks: Marks, pairs: Sequence[Folder], *, max_bits: int = NEAR_BITS
) -> Bool[np.ndarray, " n"]:
    """Whether the very file, or a picture so near, is in the train split of some pairs."""
    found = np.zeros(len(marks.names), bool)
    for folder in pairs:
        for rows in training_rows(folder):
            left = np.flatnonzero(~found)
            files, shown = rows["image_sha256"], rows["image_fingerprint"]
            theirs = fingerprint_words(shown.to_pylist())
            found[left] = known_in(marks.only(left), files, theirs, max_bits=max_bits)
    return found


def training_rows(pairs: Folder) -> Iterator[pa.Table]:
    """What the train split is known by, about `ROWS_AT_ONCE` rows at a time."""
    held: list[pa.RecordBatch] = []
    for name in split_files(pairs, ["train"]):
        for batch in read_batches(pairs, name, COLUMNS, num_rows=ROWS_AT_ONCE):
            held.append(batch)
            if sum(len(one) for one in held) >= ROWS_AT_ONCE:
                yield pa.Table.from_batches(held)
                held = []
    if held:
        yield pa.Table.from_batches(held)
