"""Whether the splits of a published corpus are clean, by the rows themselves.

An independent witness: it reads neither what ingestion noted of duplicates nor calls what clusters
them. All columns that it compares are held in memory, some 150 bytes a pair.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from figclip.config import UsageError
from figclip.pictures.fingerprint import FAINTEST, PLAIN, fingerprint, num_differing_bits
from figclip.schema import FINGERPRINT_BYTES, SPLITS, Split
from figclip.store import Folder

COLUMNS = ("pair_id", "pmcid", "split", "image_sha256", "image_fingerprint")

NUM_EXAMPLES = 3

EACH_WITH_EACH = 2 * 10**8
"""Comparisons up to which no shorter way is worth its while: half a second on one core."""

BLOCK = 1 << 20
"""Comparisons held at once."""

SIDE = 1 << 10
"""Of a block in which each is compared with each."""


@dataclass(frozen=True)
class Check:
    """One promise of a corpus, and what was found against it."""

    promise: str
    num_compared: int
    num_found: int
    examples: tuple[str, ...]
    """The first few of what was found."""


def checks_of(folder: Folder, *, max_bits: int, decode: bool = False) -> list[Check]:
    """Check `pairs/{version}`, an opened folder.

    The split of a row is that of the folder in which it lies. `max_bits`: fingerprints that differ
    in no more show one picture. With `decode` every stored image is read as well, and its
    fingerprint compared with the column's.
    """
    files = _files_by_split(folder)
    rows = pa.concat_tables(
        _columns_of(folder, name, split) for split, names in files.items() for name in names
    )
    checks = [
        _lies_in_its_split(rows),
        _occurs_once(rows),
        _has_one_split(rows, "pmcid", "no article in two splits"),
        _has_one_split(rows, "image_sha256", "no image file in two splits"),
        _is_near_none_elsewhere(rows, max_bits),
    ]
    names = [name for names in files.values() for name in names]
    return [*checks, _is_as_its_picture(folder, names, max_bits)] if decode else checks


def _files_by_split(folder: Folder) -> dict[Split, list[str]]:
    names = [name for name in folder.files() if name.endswith(".parquet")]
    found = {split: [n for n in names if n.startswith(f"{split}/")] for split in SPLITS}
    if not any(found.values()):
        raise UsageError(f"{folder.path} holds no pairs: name the version of a pairs artifact")
    return found


def _columns_of(folder: Folder, name: str, split: str) -> pa.Table:
    with folder.open(name) as file:
        parquet = pq.ParquetFile(file)
        lacking = sorted({*COLUMNS} - {*parquet.schema_arrow.names})
        if lacking:
            raise UsageError(
                f"{folder.path}/{name} lacks {', '.join(lacking)}: an older version wrote it; "
                f"run jobs.ingest again to a new version"
            )
        rows = parquet.read(columns=[*COLUMNS])
    return rows.append_column("place", pa.array(np.full(len(rows), SPLITS.index(split), np.int8)))


def _lies_in_its_split(rows: pa.Table) -> Check:
    stated = pc.index_in(rows["split"], pa.array(SPLITS))
    wrong = rows.filter(pc.fill_null(pc.not_equal(stated, rows["place"]), True))
    examples = [
        f"{row['pair_id']} of {row['split']} in {SPLITS[row['place']]}/" for row in _first(wrong)
    ]
    return Check("each row in its split's folder", len(rows), len(wrong), tuple(examples))


def _occurs_once(rows: pa.Table) -> Check:
    counts = rows.group_by("pair_id").aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1)).sort_by("pair_id")
    examples = [f"{row['pair_id']}, {row['count_all']} times" for row in _first(twice)]
    return Check("no pair_id twice", len(rows), len(twice), tuple(examples))


def _has_one_split(rows: pa.Table, column: str, promise: str) -> Check:
    places = rows.select([column, "place"]).group_by([column, "place"]).aggregate([])
    counts = places.group_by(column).aggregate([([], "count_all")])
    many = counts.filter(pc.greater(counts["count_all"], 1)).sort_by(column)
    examples = []
    for row in _first(many):
        value = pa.scalar(row[column], places[column].type)
        theirs = places.filter(pc.equal(places[column], value))["place"].to_pylist()
        examples.append(f"{row[column]} in {' and '.join(SPLITS[i] for i in sorted(theirs))}")
    return Check(promise, len(counts), len(many), tuple(examples))


def _is_near_none_elsewhere(rows: pa.Table, max_bits: int) -> Check:
    """Count the pictures that have a near one in a larger split, or in one as large."""
    parts = {s: rows.filter(pc.equal(rows["place"], i)) for i, s in enumerate(SPLITS)}
    words = {
        split: fingerprint_words(part["image_fingerprint"].to_pylist())
        for split, part in parts.items()
    }
    leaking = {split: np.zeros(len(part), bool) for split, part in parts.items()}
    examples: list[str] = []
    num_compared = 0
    for pair in combinations(SPLITS, 2):
        few, many = sorted(pair, key=lambda split: len(words[split]))
        num_compared += len(words[few]) * len(words[many])
        for one, other in near(words[few], words[many], max_bits):
            leaking[few][one] = True
            for i, j in zip(one[:NUM_EXAMPLES].tolist(), other.tolist(), strict=False):
                mine, theirs = parts[few]["pair_id"][i], parts[many]["pair_id"][j]
                examples.append(f"{mine} ({few}) and {theirs} ({many})")
    num_found = sum(int(rows.sum()) for rows in leaking.values())
    promise = f"no image within {max_bits} bits of another split's"
    return Check(promise, num_compared, num_found, tuple(examples[:NUM_EXAMPLES]))


def near(
    few: np.ndarray, many: np.ndarray, max_bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the one and of the other that differ in at most `max_bits` bits and are not plain.

    Each with each; of larger splits those only that agree in one of `max_bits` + 1 slices of
    bits, as any two so near must.
    """
    ones, others = (np.flatnonzero(words.any(axis=1)) for words in (few, many))
    if len(ones) * len(others) <= EACH_WITH_EACH:
        candidates = _each_with_each(few[ones, 0], many[others, 0], max_bits)
    else:
        candidates = _agreeing(few[ones], many[others], max_bits + 1)
    for left, right in candidates:
        one, other = ones[left], others[right]
        is_near = np.bitwise_count(few[one] ^ many[other]).sum(axis=1, dtype=np.int16) <= max_bits
        if is_near.any():
            yield one[is_near], other[is_near]


def _each_with_each(
    few: np.ndarray, many: np.ndarray, max_bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the one and of the other whose words differ in at most `max_bits` bits."""
    for start in range(0, len(few), SIDE):
        for begin in range(0, len(many), SIDE):
            apart = np.bitwise_count(few[start : start + SIDE, None] ^ many[begin : begin + SIDE])
            left, right = np.nonzero(apart <= max_bits)
            yield left + start, right + begin


def _agreeing(
    few: np.ndarray, many: np.ndarray, num_slices: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the one and of the other that agree in a slice of consecutive bits."""
    borders = np.linspace(0, 8 * FINGERPRINT_BYTES, num_slices + 1).astype(int)
    for start, end in pairwise(borders.tolist()):
        keys, theirs = _slice(few, start, end), _slice(many, start, end)
        order = np.argsort(theirs, kind="stable")
        theirs = theirs[order]
        first = np.searchsorted(theirs, keys, side="left")
        sizes = np.searchsorted(theirs, keys, side="right") - first
        for one in _in_blocks(sizes):
            left = np.repeat(np.arange(one.start, one.stop), sizes[one])
            begins = np.cumsum(sizes[one]) - sizes[one]
            within = np.arange(len(left)) - np.repeat(begins, sizes[one])
            yield left, order[np.repeat(first[one], sizes[one]) + within]


def _in_blocks(sizes: np.ndarray) -> Iterator[slice]:
    """Rows in such pieces that each has about `BLOCK` candidates."""
    pieces = np.cumsum(sizes) // BLOCK
    starts = np.flatnonzero(np.diff(pieces, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(sizes)], strict=True):
        yield slice(int(start), int(end))


def _slice(words: np.ndarray, start: int, end: int) -> np.ndarray:
    """Bits `start` to `end`, at most 64 of them, as one number a row."""
    bits = [(place, place // 64, place % 64) for place in range(start, min(end, start + 64))]
    values = np.zeros(len(words), np.uint64)
    for place, word, shift in bits:
        one = words[:, word] >> np.uint64(shift) & np.uint64(1)
        values |= one << np.uint64(place - start)
    return values


def fingerprint_words(values: Iterable[bytes | None]) -> np.ndarray:
    """Fingerprints as uint64 [n, 4]; one that is missing is `PLAIN`."""
    joined = b"".join(value or PLAIN for value in values)
    return np.frombuffer(joined, np.uint64).reshape(-1, FINGERPRINT_BYTES // 8)


def _is_as_its_picture(folder: Folder, names: list[str], max_bits: int) -> Check:
    num_compared = 0
    faults: list[str] = []
    for name in names:
        with folder.open(name) as file:
            columns = ["pair_id", "image", "image_fingerprint"]
            for batch in pq.ParquetFile(file).iter_batches(columns=columns, batch_size=64):
                for row in batch.to_pylist():
                    fault = _fault_of(row["image"], row["image_fingerprint"], max_bits)
                    faults += [f"{row['pair_id']}: {fault}"] if fault else []
                    num_compared += 1
    promise = "each fingerprint that of its image"
    return Check(promise, num_compared, len(faults), tuple(faults[:NUM_EXAMPLES]))


def _fault_of(data: bytes, stated: bytes | None, max_bits: int) -> str | None:
    """What is wrong with a fingerprint. The stored image may be a JPEG of what it was taken from.

    So some bits may differ, and a picture that is almost plain may be so by one of the two.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if stated in (None, PLAIN):
                is_plain = fingerprint(image, faintest=2 * FAINTEST) == PLAIN
                return None if is_plain else "called plain, and is not"
            found = fingerprint(image, faintest=FAINTEST / 2)
    except Exception as error:  # decoders raise almost anything on damaged bytes
        return f"no picture: {type(error).__name__}: {error}"
    if found == PLAIN:
        return "plain, and not called so"
    apart = num_differing_bits(found, stated or PLAIN)
    return f"differs in {apart} bits" if apart > max_bits else None


def _first(rows: pa.Table) -> list[dict[str, Any]]:
    return rows.slice(0, NUM_EXAMPLES).to_pylist()
