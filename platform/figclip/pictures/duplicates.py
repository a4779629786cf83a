"""Which pictures are one: the same bytes, or fingerprints that differ in a few bits.

Every pair of fingerprints within the distance is found, and none is compared with all others: of
two that differ in at most r bits, one at least of r + 1 disjoint bands of bits is equal in both.
So the fingerprints are sorted by one band after another, and those that agree in a band compared.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from figclip.pictures.fingerprint import NEAR_BITS
from figclip.schema import FINGERPRINT_BYTES

DUPLICATES = "_duplicates.parquet"
"""The file of a corpus that holds what `duplicates_of` says of its pairs."""

NUM_BITS = 8 * FINGERPRINT_BYTES
WORDS = FINGERPRINT_BYTES // 8

LARGEST_BUCKET = 2_048
"""Fingerprints that agree in a band and are compared each with each; more are divided further."""

ROWS_AT_ONCE = 1 << 16
"""Fingerprints whose comparisons fit a processor's cache."""

EDGES_AT_ONCE = 1 << 22
"""Links that are held before they are melted into labels."""

SPARSE_SWEEPS = 8
"""Fruitless looks for a crowd before a bucket counts as having none."""

SMALLEST_CROWD = 64
"""A crowd is at least this part (one in 64) of its bucket."""


def duplicates_of(pairs: pa.Table, *, max_bits: int = NEAR_BITS) -> pa.Table:
    """The rows of `pairs` that share their picture with another row, by `pair_id`.

    `pairs` has the columns `pair_id`, `image_sha256` and `image_fingerprint`. Of each such row:
    `cluster_id`, the smallest `pair_id` of its cluster, and `kind`: `exact` where another row has
    the very bytes, else `near`.
    """
    ids = pairs["pair_id"].cast(pa.large_string()).combine_chunks()  # beyond 2 GB of text
    files = _codes(pairs["image_sha256"])
    prints = pairs["image_fingerprint"].combine_chunks()
    labels = _clusters(files, fingerprint_array(prints), max_bits=max_bits)
    many = np.flatnonzero(np.bincount(labels, minlength=len(labels))[labels] > 1)
    many = many[pc.sort_indices(ids.take(pa.array(many))).to_numpy()]
    _, first, cluster = np.unique(labels[many], return_index=True, return_inverse=True)
    exact = np.bincount(files, minlength=1)[files[many]] > 1
    return pa.table(
        {
            "pair_id": ids.take(pa.array(many)).cast(pa.string()),
            "cluster_id": ids.take(pa.array(many[first[cluster]])).cast(pa.string()),
            "kind": pa.array(np.where(exact, "exact", "near"), pa.string()),
        }
    )


def clusters(
    sha256: Sequence[str] | np.ndarray | pa.Array, fingerprints: np.ndarray, *, max_bits: int
) -> np.ndarray:
    """Each row's cluster, int64 [n], by the number of the cluster's first row.

    Rows are linked that have equal `sha256`, or `fingerprints` (uint8 [n, 32]) at most `max_bits`
    apart and not `PLAIN`; what is linked, be it by way of others, is one cluster. Another order
    of the rows gives the same clusters. `max_bits` above some 15 costs time: the bands get short.
    """
    return _clusters(_codes(pa.chunked_array([pa.array(sha256)])), fingerprints, max_bits=max_bits)


def fingerprint_array(column: pa.Array) -> np.ndarray:
    """A column of fingerprints as uint8 [n, 32], without a copy; a null is `PLAIN`."""
    filled = column.cast(pa.binary(FINGERPRINT_BYTES)).fill_null(bytes(FINGERPRINT_BYTES))
    start = filled.offset * FINGERPRINT_BYTES
    values = np.frombuffer(filled.buffers()[1], np.uint8, len(filled) * FINGERPRINT_BYTES, start)
    return values.reshape(len(filled), FINGERPRINT_BYTES)


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Equal numbers for equal values, and for those only."""
    texts = column.cast(pa.large_string())  # 34 million sha256 are more than 2 GB
    return texts.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)


def _clusters(files: np.ndarray, fingerprints: np.ndarray, *, max_bits: int) -> np.ndarray:
    num_rows = len(files)
    words, of_row = _distinct(fingerprints)
    near = _Links(len(words))
    is_plain = ~np.any(words, axis=1)
    _link_near(near, words, np.flatnonzero(~is_plain), np.arange(NUM_BITS), max_bits)
    # A graph of rows, files and kinds of picture: a row is linked with its file and its kind.
    kinds = near.labels()[of_row] + num_rows
    seen = np.flatnonzero(~is_plain[of_row])
    everyone = np.arange(num_rows)
    rows = np.concatenate([everyone, seen])
    others = np.concatenate([files + num_rows + len(words), kinds[seen]])
    size = num_rows + len(words) + (int(files.max()) + 1 if num_rows else 0)
    return _firsts(_components(rows, others, size)[:num_rows])


def _firsts(labels: np.ndarray) -> np.ndarray:
    """Labels → the number of the first row of the same label."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def _components(ones: np.ndarray, others: np.ndarray, size: int) -> np.ndarray:
    if size == 0:
        return np.zeros(0, np.int32)
    # Only here: every worker imports this module, and none of them clusters anything.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(ones), bool), (ones, others)), (size, size))
    return connected_components(edges.tocsr(), directed=False)[1]


def _distinct(fingerprints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct fingerprints, uint64 [m, 4] in a fixed order, and which of them each row has."""
    words = np.ascontiguousarray(fingerprints).view(np.uint64).reshape(-1, WORDS)
    order = np.lexsort(words.T)
    is_new = np.ones(len(words), bool)
    is_new[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    of_row = np.empty(len(words), np.int64)
    of_row[order] = np.cumsum(is_new) - 1
    return words[order[is_new]], of_row


class _Links:
    """A growing set of links between numbered things, kept small by melting it into labels."""

    def __init__(self, size: int) -> None:
        self._labels = np.arange(size)
        self._new: list[tuple[np.ndarray, np.ndarray]] = []
        self._num_new = 0

    def add(self, ones: np.ndarray, others: np.ndarray) -> None:
        self._new.append((ones, others))
        self._num_new += len(ones)
        if self._num_new > EDGES_AT_ONCE:
            self.labels()

    def are_new(self, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
        """False for what the links that were melted connect already."""
        return self._labels[ones] != self._labels[others]

    def labels(self) -> np.ndarray:
        """A label for each thing, equal for those that links connect."""
        if self._num_new:
            ones, others = map(np.concatenate, zip(*self._new, strict=True))
            edges = self._labels[ones], self._labels[others]
            self._labels = _components(*edges, len(self._labels))[self._labels]
            self._new, self._num_new = [], 0
        return self._labels


def _link_near(
    links: _Links, words: np.ndarray, rows: np.ndarray, bits: np.ndarray, max_bits: int
) -> None:
    """Link all `rows` of `words` that differ in at most `max_bits` bits, all of them in `bits`."""
    if len(rows) < 2:
        return
    bands = _bands(words, rows, bits, max_bits + 1)
    if len(rows) <= LARGEST_BUCKET or not _bands_divide(words, rows, bands):
        for one in range(0, len(rows), LARGEST_BUCKET):
            block = rows[one : one + LARGEST_BUCKET]
            _link_products(links, words, block, rows[one:], max_bits)
        return
    for band in bands:
        _link_band(links, words, rows, bits, band, max_bits)
        links.labels()


def _bands_divide(words: np.ndarray, rows: np.ndarray, bands: Sequence[np.ndarray]) -> bool:
    """Whether comparing what agrees in a band is less than half the work of comparing all.

    So every division at least halves the work, and the worst of fingerprints cost no more than
    comparing each with each.
    """
    step = max(1, len(rows) // ROWS_AT_ONCE)
    sample = rows[::step]
    work = 0
    for band in bands:
        sizes = np.unique(_values(words, sample, band), return_counts=True)[1]
        work += int((sizes * (sizes - 1)).sum())
    return 2 * work < len(sample) * (len(sample) - 1)


def _link_band(
    links: _Links,
    words: np.ndarray,
    rows: np.ndarray,
    bits: np.ndarray,
    band: np.ndarray,
    max_bits: int,
) -> None:
    """Link the near ones among those that agree in the bits of `band`."""
    keys = _values(words, rows, band)
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    ends = np.append(starts[1:], len(keys))
    del keys, order
    is_large = ends - starts > LARGEST_BUCKET
    ends_of_row = np.repeat(np.where(is_large, starts, ends), ends - starts)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        _link_windows(links, words, rows, ends_of_row, start, max_bits)
    rest = np.setdiff1d(bits, band)
    for start, end in zip(starts[is_large], ends[is_large], strict=True):
        crowd_free = _link_crowds(links, words, rows[start:end], max_bits)
        _link_near(links, words, crowd_free, rest, max_bits)


def _link_windows(
    links: _Links, words: np.ndarray, rows: np.ndarray, ends: np.ndarray, start: int, max_bits: int
) -> None:
    """Compare each of a block of sorted rows with those after it in its bucket.

    One word of four says of almost all that they are far apart.
    """
    here = np.arange(start, min(start + ROWS_AT_ONCE, len(rows)))
    here = here[here + 1 < ends[here]]
    if not len(here):
        return
    reach = rows[start : int(ends[here].max())]
    first = words[reach, 0]
    here = here - start
    left = ends[here + start] - start - here
    distance = 1
    while len(here):
        near = np.bitwise_count(first[here] ^ first[here + distance]) <= max_bits
        found = here[near]
        if len(found):
            _link_each(links, words, reach[found], reach[found + distance], max_bits)
        distance += 1
        goes_on = left > distance
        if not goes_on.all():
            here, left = here[goes_on], left[goes_on]


def _link_each(
    links: _Links, words: np.ndarray, ones: np.ndarray, others: np.ndarray, max_bits: int
) -> None:
    are_new = links.are_new(ones, others)
    ones, others = ones[are_new], others[are_new]
    bits = np.bitwise_count(words[ones] ^ words[others]).sum(axis=1, dtype=np.int16)
    near = bits <= max_bits
    links.add(ones[near], others[near])


def _link_crowds(links: _Links, words: np.ndarray, rows: np.ndarray, max_bits: int) -> np.ndarray:
    """Link the crowds of a large bucket, and return its rows without them.

    A crowd is what lies within half of `max_bits` around a row: all of it is near all of it, and
    it can be near those only that lie within three halves around that row. With these it is
    compared, and then out of the way; no band would ever divide it.
    """
    random = np.random.default_rng(len(rows))
    fruitless = 0
    while len(rows) > LARGEST_BUCKET and fruitless < SPARSE_SWEEPS:
        middle = rows[random.integers(len(rows))]
        bits = np.bitwise_count(words[rows] ^ words[middle]).sum(axis=1, dtype=np.int16)
        is_crowd = bits <= max_bits // 2
        crowd = rows[is_crowd]
        if len(crowd) * SMALLEST_CROWD < len(rows):
            fruitless += 1
            continue
        rim = rows[~is_crowd & (bits <= max_bits // 2 + max_bits)]
        links.add(crowd, np.full(len(crowd), middle))
        _link_products(links, words, rim, crowd, max_bits)
        rows = rows[~is_crowd]
    return rows


def _link_products(
    links: _Links, words: np.ndarray, ones: np.ndarray, others: np.ndarray, max_bits: int
) -> None:
    """Compare each of the one with each of the other, a block at a time."""
    for start in range(0, len(ones), LARGEST_BUCKET):
        left = ones[start : start + LARGEST_BUCKET]
        for begin in range(0, len(others), LARGEST_BUCKET):
            right = others[begin : begin + LARGEST_BUCKET]
            apart = np.bitwise_count(words[left, 0][:, None] ^ words[right, 0])
            one, other = np.nonzero(apart <= max_bits)
            _link_each(links, words, left[one], right[other], max_bits)


def _bands(
    words: np.ndarray, rows: np.ndarray, bits: np.ndarray, num_bands: int
) -> list[np.ndarray]:
    """Disjoint bands of at most 32 bits, each with its part of those that tell most.

    A bit tells most where half of the rows have it. In between the order is a fixed shuffle, for
    neighbouring bits are neighbouring frequencies and alike.
    """
    step = max(1, len(rows) // ROWS_AT_ONCE)
    sample = words[rows[::step]].view(np.uint8).reshape(-1, FINGERPRINT_BYTES)
    shares = np.unpackbits(sample, axis=1, bitorder="little").mean(axis=0)
    shuffled = np.random.default_rng(0).permutation(bits)
    dealt = shuffled[np.argsort(np.abs(shares[shuffled] - 0.5).round(1), kind="stable")]
    return [dealt[number::num_bands][:32] for number in range(num_bands)]


def _values(words: np.ndarray, rows: np.ndarray, band: np.ndarray) -> np.ndarray:
    """The bits of a band, at most 32, as one number a row."""
    keys = np.zeros(len(rows), np.uint32)
    for place, bit in enumerate(band.tolist()):
        word, shift = divmod(bit, 64)
        ones = (words[rows, word] >> np.uint64(shift)) & np.uint64(1)
        keys |= ones.astype(np.uint32) << np.uint32(place)
    return keys
