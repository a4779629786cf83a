"""Whether an encoder has learned from the very pictures that it is judged by.

A picture is known again by the SHA-256 of its file, and by the fingerprint of what it shows, which
outlives another size and another encoding (`pictures.fingerprint`), but no turn and no cut. Held in
memory are the pictures to be judged by, some 200 bytes each; the training pairs, however many, pass
by in blocks of two columns.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, UInt64

from figclip.config import UsageError
from figclip.corpus.leakage import fingerprint_words, near
from figclip.embedding.vectors import read_batches, split_files
from figclip.evaluation.datasets.captioned import pictures_in
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.opening import Pictures, opened
from figclip.evaluation.sources import published
from figclip.evaluation.vqa.questions import VqaSet
from figclip.evaluation.vqa.reading import asked_pictures
from figclip.inputs.pixels import UnreadableImage
from figclip.pictures.fingerprint import NEAR_BITS, fingerprint
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

Leaked = Mapping[str, frozenset[str]]
"""A set's title → the names of its pictures that an encoder has learned from."""


@dataclass(frozen=True)
class Marks:
    """By what the n pictures of a set are known again."""

    names: tuple[str, ...]
    sha256: tuple[str, ...]
    """Of their files, in hexadecimal; empty of a picture without a file of its own."""
    fingerprints: UInt64[np.ndarray, "n 4"]


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


def marks_of(title: str, pictures: Pictures) -> Marks:
    """Of those that can be read."""
    log.info("%s: %d pictures to know again", title, len(pictures.names))
    names, files, shown = [], [], []
    for number, name in enumerate(pictures.names):
        try:
            shown.append(fingerprint(pictures.read(number)))
        except UnreadableImage:
            continue
        names.append(name)
        files.append("" if pictures.paths is None else file_hash(pictures.paths[number]))
    return Marks(tuple(names), tuple(files), fingerprint_words(shown))


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


def marks_in(
    data: str,
    captioned: Sequence[str],
    datasets: Sequence[Dataset],
    asked: Sequence[VqaSet] = (),
) -> dict[str, Marks]:
    """Of the sets below a folder, by their titles: of each what is judged by."""
    found = {name: marks_of(name, pictures_in(data, name)[0]) for name in captioned}
    for dataset in datasets:
        with opened(dataset, data) as examples:
            found[dataset.title] = marks_of(dataset.title, examples)
    for one in asked:
        found[one.title] = marks_of(one.title, asked_pictures(one, data))
    return found


def leaks_of(
    store: Store, learned: Mapping[str, Learned], marks: Callable[[], Mapping[str, Marks]]
) -> dict[str, Leaked | None]:
    """Of each encoder; None of one whose pairs are not known. `marks` is asked once, if at all."""
    known = {one.pairs for one in learned.values() if one.pairs}
    found = marks() if known else {}
    by_pairs = {pairs: leaked_from(store, pairs, found) for pairs in known}
    return {name: by_pairs.get(one.pairs) for name, one in learned.items()}


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


def joined(marks: Sequence[Marks]) -> Marks:
    return Marks(
        tuple(name for one in marks for name in one.names),
        tuple(file for one in marks for file in one.sha256),
        np.concatenate([np.empty((0, 4), np.uint64), *(one.fingerprints for one in marks)]),
    )


def leaked(
    marks: Marks, pairs: Sequence[Folder], *, max_bits: int = NEAR_BITS
) -> Bool[np.ndarray, " n"]:
    """Whether the very file, or a picture within `max_bits`, is in the train split of some pairs.

    A plain picture is known by its file alone.
    """
    files = pa.array(marks.sha256, pa.string())
    found = np.zeros(len(marks.names), bool)
    for folder in pairs:
        for rows in training_rows(folder):
            same = pc.is_in(files, value_set=rows["image_sha256"], skip_nulls=True)
            found |= same.to_numpy(zero_copy_only=False) & (np.array(marks.sha256) != "")
            left = np.flatnonzero(~found)
            theirs = fingerprint_words(rows["image_fingerprint"].to_pylist())
            for _, ours in near(theirs, marks.fingerprints[left], max_bits):
                found[left[ours]] = True
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
