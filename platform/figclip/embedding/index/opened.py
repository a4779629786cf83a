"""An open index: figures by vectors and by words, filtered, counted, folded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from figclip.config import UsageError
from figclip.embedding.image_types import COLUMN as TYPE
from figclip.embedding.index.facts import PICTURE, Facts, Matching, read_facts
from figclip.embedding.index.filters import EVERYTHING, FACETS, Facet, FacetName, Filters
from figclip.embedding.index.lance import (
    COLUMNS,
    Engine,
    LanceEngine,
    Ranked,
    Searching,
    Which,
    scanned,
)
from figclip.embedding.index.place import place_of
from figclip.embedding.index.probe import Settings
from figclip.embedding.taxonomy import checked_name
from figclip.store import Manifest, Store

if TYPE_CHECKING:
    from lancedb.table import Table

FORMAT = 2
"""Of the table's columns and of what the manifest says of them."""
HIDDEN = {*COLUMNS.values(), PICTURE, "digest", "image_sha256", "image_fingerprint"}
THUMBNAIL = "thumbnail"
Kind = Literal["lance", "memory"]


@dataclass(frozen=True)
class Hit:
    """A figure found."""

    pair_id: str
    score: float
    """Cosine of the query and the figure's vector."""
    row: dict[str, Any]
    """What is told of the pair; no vectors, and no thumbnail."""


class FigureIndex:
    """An open index; safe to share among threads."""

    def __init__(self, lance: LanceEngine, facts: Facts, table: "Table", engine: Engine) -> None:
        self._table: Any = table
        self._lance = lance
        self._engine = engine
        self.facts = facts
        names = table.schema.names
        self._shown = [name for name in names if name not in {*HIDDEN, THUMBNAIL}]
        self.dim: int = table.schema.field(COLUMNS["image"]).type.list_size

    @property
    def has_types(self) -> bool:
        return TYPE in self.facts.columns

    def search(
        self,
        vector: np.ndarray,
        *,
        k: int = 10,
        which: Which = "image",
        filters: Filters = EVERYTHING,
        exact: bool = False,
    ) -> list[Hit]:
        """The `k` figures whose image (or caption) vector is nearest, the best first.

        The filters are applied before the search; `exact` compares every figure. `ValueError` where
        the vector does not fit the index, `UsageError` where the filters ask for what the index
        knows nothing of.
        """
        found = self.nearest(vector, k=k, which=which, filters=filters, exact=exact)
        rows = self.rows(found.places)
        return [
            Hit(row["pair_id"], float(score), row)
            for row, score in zip(rows, found.scores, strict=True)
        ]

    def nearest(
        self,
        vector: np.ndarray,
        *,
        k: int,
        which: Which = "image",
        filters: Filters = EVERYTHING,
        exact: bool = False,
    ) -> Ranked:
        """The same figures by their places; equal scores stand in the order of the places."""
        query = np.asarray(vector, dtype=np.float32)
        if query.shape != (self.dim,) or not np.isfinite(query).all():
            raise ValueError(f"the index takes finite vectors of {self.dim}, not {query.shape}")
        length = np.linalg.norm(query)
        if not length:
            raise ValueError("the vector is zero, which is no direction to search in")
        matching = self.matching(filters)
        return self._engine.nearest(query / length, k, which=which, within=matching, exact=exact)

    def worded(self, words: Sequence[str], *, k: int, filters: Filters = EVERYTHING) -> Ranked:
        """The `k` figures whose caption or title has any of the words, by BM25, the best first."""
        return self._lance.worded(words, k, within=self.matching(filters))

    def matching(self, filters: Filters) -> Matching:
        """What the filters let through; `UsageError` where they ask for what nobody knows."""
        self._check(filters)
        return self.facts.matching(filters)

    def facets(self, filters: Filters) -> tuple[Facet, ...]:
        """How many figures are of each kind, among those that the other filters let through."""
        self._check(filters)
        return self.facts.facets(filters)

    def _check(self, filters: Filters) -> None:
        if filters.image_types and not self.has_types:
            raise UsageError(
                "the index has no image types: tell them (python -m jobs.evaluate types) and build "
                "it anew with --types"
            )
        for name in filters.image_types:
            checked_name(name)

    def rows(
        self, places: Sequence[int] | np.ndarray, columns: Iterable[str] = ()
    ) -> list[dict[str, Any]]:
        """What is told of figures, in the order of their places, and more `columns`."""
        return self.told(places, [*self._shown, *columns])

    def told(
        self, places: Sequence[int] | np.ndarray, columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        """These columns alone."""
        return self._lance.rows([*map(int, places)], columns)

    def place(self, pair_id: str) -> int | None:
        """Where a pair is; `None` where the index does not hold it."""
        return self._lance.place(pair_id)

    def get(self, pair_id: str) -> dict[str, Any] | None:
        """What is told of one pair, or `None`."""
        return self._one(pair_id, self._shown)

    def thumbnail(self, pair_id: str) -> bytes | None:
        """A small JPEG of its picture, or `None`."""
        row = self._one(pair_id, [THUMBNAIL])
        return None if row is None else row[THUMBNAIL]

    def vector(self, pair_id: str, which: Which = "image") -> np.ndarray | None:
        """The unit vector of one pair, float32 [dim], or `None`."""
        row = self._one(pair_id, [COLUMNS[which]])
        return None if row is None else np.asarray(row[COLUMNS[which]], dtype=np.float32)

    def _one(self, pair_id: str, columns: list[str]) -> dict[str, Any] | None:
        place = self.place(pair_id)
        return None if place is None else self._lance.rows([place], columns)[0]

    def close(self) -> None:
        """Let go of the table's files and caches, when no search is under way any more."""
        self._table._table.close()

    def count(self, filters: Filters = EVERYTHING) -> int:
        """Figures that the filters let through."""
        return self.matching(filters).num_figures


def open_index(store: Store, version: str, *, kind: Kind = "lance") -> FigureIndex:
    """Open a published index where it is; one on S3 is read there, not copied.

    `memory` holds the image vectors in faiss, for many times as many searches a second.
    `UsageError` where the artifact is damaged, or made by an older version of the code.
    """
    folder = store.open("index", version)
    manifest = store.manifest("index", version)
    if manifest.counts.get("format") != FORMAT:
        raise UsageError(
            f"index@{version} was built by an older version of figclip, in another format: build "
            f"it anew, under a new version"
        )
    table = place_of(store, folder).table()
    few_rows = manifest.config["few_rows"]
    return opened(table, searching_of(manifest), few_rows=few_rows, kind=kind)


def opened(
    table: "Table",
    searching: Mapping[Which, Searching],
    *,
    few_rows: int,
    facts: Facts | None = None,
    kind: Kind = "lance",
) -> FigureIndex:
    """A table to be searched so, with its `facts` where they were read before."""
    facts = facts or facts_of(table)
    lance = LanceEngine(table, facts, searching, few_rows=few_rows)
    engine: Engine = lance
    if kind == "memory":
        from figclip.embedding.index.memory import memory_engine

        engine = memory_engine(table, facts, lance)
    return FigureIndex(lance, facts, table, engine)


def facts_of(table: "Table") -> Facts:
    names: list[FacetName] = [name for name in FACETS if name in table.schema.names]
    return read_facts(scanned(table, [*names, PICTURE], rows=65_536), names)


def searching_of(manifest: Manifest) -> dict[Which, Searching]:
    """What the build chose; a column without is scanned whole."""
    search = manifest.counts["search"]
    return {
        which: Searching(_settings(search[which]), _settings(search[which]["filtered"]))
        for which in COLUMNS
        if "nprobes" in search[which]
    }


def _settings(chosen: dict[str, Any]) -> Settings:
    return Settings(chosen["nprobes"], chosen["refine"])
