"""What filters, counts and folding need of every figure, in memory as small numbers.

A text of a column is held once, and of each figure the number of its text: a filter is then one
look-up of a table of a few values, and a count one `bincount`. A million figures take some 20 MB.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from figclip.embedding.index.filters import FACETS, Facet, FacetName, FacetValue, Filters

SHOWN_VALUES = 30
"""Of a facet."""
CACHED_FILTERS = 256
CACHED_BYTES = 64 * 2**20
"""Of the sets of figures that recent filters let through."""

PICTURE, ROW_ID = "picture", "_rowid"


@dataclass(frozen=True)
class Column:
    """A text of each figure, by its number in a list of all texts."""

    values: tuple[str, ...]
    codes: np.ndarray
    """[n], of the smallest unsigned type that fits."""


@dataclass(frozen=True)
class Matching:
    """The figures that some filters let through."""

    filters: Filters
    mask: np.ndarray | None
    """bool [n] by place; `None` for all."""
    num_figures: int
    num_pictures: int
    """Near-duplicates counted once."""


class Facts:
    """Place i is figure i of the table's order; safe to share among threads."""

    def __init__(
        self, columns: Mapping[FacetName, Column], pictures: np.ndarray, row_ids: np.ndarray
    ) -> None:
        """`pictures` int64 [n], equal for near-duplicates; `row_ids` uint64 [n], all distinct."""
        self.columns = dict(columns)
        self.num_figures = len(row_ids)
        self.row_ids = row_ids
        _, self.pictures = np.unique(pictures, return_inverse=True)
        self.pictures = self.pictures.astype(np.int32 if len(pictures) < 2**31 else np.int64)
        """int [n]: each figure's picture, numbered from 0 without gaps."""
        self.num_pictures = int(self.pictures.max()) + 1 if len(self.pictures) else 0
        self._order = np.argsort(row_ids)
        self._sorted = row_ids[self._order]
        kept = max(4, min(CACHED_FILTERS, CACHED_BYTES // max(1, self.num_figures)))
        self.matching = lru_cache(kept)(self._matching)
        self.counts = lru_cache(CACHED_FILTERS)(self._counts)
        self.facets = lru_cache(CACHED_FILTERS)(self._facets)

    def places_of(self, row_ids: np.ndarray) -> np.ndarray:
        """Places of rows of the table, int64, in their order; all must be there."""
        return self._order[np.searchsorted(self._sorted, row_ids)]

    def _matching(self, filters: Filters) -> Matching:
        mask = self._mask(filters, filters.columns())
        if mask is None:
            return Matching(filters, None, self.num_figures, self.num_pictures)
        seen = np.zeros(self.num_pictures, dtype=bool)
        seen[self.pictures[mask]] = True
        return Matching(filters, mask, int(mask.sum()), int(seen.sum()))

    def _mask(self, filters: Filters, names: Iterable[FacetName]) -> np.ndarray | None:
        """bool [n]: what the filters of these columns let through; `None` where that is all."""
        mask: np.ndarray | None = None
        for name in names:
            column = self.columns[name]
            admitted = np.array([filters.admits(name, value) for value in column.values], bool)
            mine = admitted[column.codes] if len(admitted) else np.zeros(self.num_figures, bool)
            mask = mine if mask is None else mask & mine
        return mask

    def _counts(self, filters: Filters) -> dict[FacetName, np.ndarray]:
        """Of every value of every column: figures that pass the filters of the other columns."""
        asked = filters.columns()
        everything = self._bins(self._mask(filters, asked))
        for name in asked:  # all others have no filter of their own
            others = self._mask(filters, [other for other in asked if other != name])
            everything |= self._bins(others, name)
        return everything

    def _bins(self, mask: np.ndarray | None, *names: FacetName) -> dict[FacetName, np.ndarray]:
        found = {}
        for name in names or self.columns:
            column = self.columns[name]
            codes = column.codes if mask is None else column.codes[mask]
            found[name] = np.bincount(codes, minlength=len(column.values))
        return found

    def _facets(self, filters: Filters) -> tuple[Facet, ...]:
        """The counts of what the filters let through, the first values of each column."""
        counts = self.counts(filters)
        return tuple(
            _facet(name, self.columns[name], counts[name], filters, SHOWN_VALUES)
            for name in FACETS
            if name in self.columns
        )


def _facet(
    name: FacetName, column: Column, counts: np.ndarray, filters: Filters, most: int
) -> Facet:
    found = [
        FacetValue(value, int(count), filters.chooses(name, value))
        for value, count in zip(column.values, counts, strict=True)
        if count
    ]
    if name == "year":  # the latest first, those without one last; a range has no further values
        found.sort(key=lambda one: one.value, reverse=True)
        shown = found[:most]
    else:
        found.sort(key=lambda one: (-one.count, one.value))
        shown = [*found[:most], *(one for one in found[most:] if one.is_chosen)]
    return Facet(name, tuple(shown), num_more=len(found) - len(shown))


def read_facts(batches: Iterable[pa.RecordBatch], names: Iterable[FacetName]) -> Facts:
    """Facts of a table, batch by batch: the columns `names`, `picture` and `_rowid`."""
    encoders = {name: _Encoder() for name in names}
    pictures, row_ids = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    for batch in batches:
        for name, encoder in encoders.items():
            encoder.add(batch[name])
        pictures.append(batch[PICTURE].to_numpy())
        row_ids.append(batch[ROW_ID].to_numpy())
    columns = {name: encoder.column() for name, encoder in encoders.items()}
    return Facts(columns, np.concatenate(pictures), np.concatenate(row_ids))


class _Encoder:
    """Texts as they come → numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._parts: list[np.ndarray] = []

    def add(self, texts: pa.Array) -> None:
        coded = texts.cast(pa.string()).fill_null("").dictionary_encode()
        numbers = [self._number(text) for text in coded.dictionary.to_pylist()]
        self._parts.append(np.array(numbers, np.uint32)[coded.indices.to_numpy()])

    def _number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def column(self) -> Column:
        fits = np.min_scalar_type(max(0, len(self._numbers) - 1))
        parts = [part.astype(fits) for part in self._parts]
        return Column(tuple(self._numbers), np.concatenate(parts or [np.zeros(0, fits)]))
