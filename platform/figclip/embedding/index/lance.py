"""The nearest figures of a LanceDB table, by vectors and by words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from figclip.embedding.index.facts import ROW_ID, Facts, Matching
from figclip.embedding.index.filters import sql_text
from figclip.embedding.index.probe import NEAREST, Settings

if TYPE_CHECKING:
    from lancedb.table import Table

Which = Literal["image", "text"]
COLUMNS: dict[Which, str] = {"image": "image_embedding", "text": "text_embedding"}

CANDIDATES_A_RESULT = 4
"""Of a search for more than ten: what is compared anew beside the candidates of ten."""
WORDS_COLUMNS = {"caption": 1.0, "title": 0.5}
"""Where words are looked for, and what they count there: a title speaks of all its figures."""
ROWS_A_SCAN = 8_192
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Ranked:
    """Figures by their places, the best first."""

    places: np.ndarray
    """int64 [m]."""
    scores: np.ndarray
    """float32 [m]: cosines, or BM25."""

    def first(self, k: int) -> "Ranked":
        return Ranked(self.places[:k], self.scores[:k])


class Engine(Protocol):
    """Finds the nearest vectors: LanceDB's table, or faiss in memory."""

    def nearest(
        self, query: np.ndarray, k: int, *, which: Which, within: Matching, exact: bool
    ) -> Ranked:
        """The `k` nearest of those that match, or fewer where fewer match.

        `query` is a unit vector, float32 [dim]. `exact` compares every figure.
        """
        ...


def ranked(places: np.ndarray, scores: np.ndarray, k: int) -> Ranked:
    """The `k` best, of equal scores the first place first."""
    order = np.lexsort((places, -scores))[:k]
    return Ranked(places[order].astype(np.int64), scores[order].astype(np.float32))


@dataclass(frozen=True)
class Searching:
    """How the IVF_PQ index of one column is searched."""

    everything: Settings
    filtered: Settings

    def of(self, within: Matching) -> Settings:
        return self.everything if within.mask is None else self.filtered

    def for_results(self, within: Matching, k: int) -> Settings:
        """The settings were chosen for ten results; more of them need more candidates."""
        found = self.of(within)
        candidates = found.refine * NEAREST + CANDIDATES_A_RESULT * max(0, k - NEAREST)
        return replace(found, refine=max(1, -(-candidates // k)))


class LanceEngine:
    """Searches the table on its disk or on S3. A column without an index is scanned whole."""

    def __init__(
        self,
        table: "Table",
        facts: Facts,
        searching: Mapping[Which, Searching],
        *,
        few_rows: int,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Where filters let no more than `few_rows` through, all of these are compared."""
        self._table = table
        self._few_rows = few_rows
        self._facts = facts
        self._searching = dict(searching)
        self._timeout = timedelta(seconds=timeout_s)

    def nearest(
        self, query: np.ndarray, k: int, *, which: Which, within: Matching, exact: bool
    ) -> Ranked:
        is_few = within.mask is not None and within.num_figures <= self._few_rows
        searching = None if exact or is_few else self._searching.get(which)
        settings = None if searching is None else searching.for_results(within, k)
        found = self._nearest(query, k, which, within, settings)
        if settings and len(found.places) < min(k, within.num_figures):
            return self._nearest(query, k, which, within, None)  # too few in those partitions
        return found

    def _nearest(
        self, query: np.ndarray, k: int, which: Which, within: Matching, settings: Settings | None
    ) -> Ranked:
        if not within.num_figures:
            return Ranked(np.zeros(0, np.int64), np.zeros(0, np.float32))
        search: Any = self._table.search(query, vector_column_name=COLUMNS[which])
        search = search.distance_type("cosine").select(["_distance"]).limit(k).with_row_id(True)
        if settings:
            search = search.nprobes(settings.nprobes).refine_factor(settings.refine)
        else:
            search = search.bypass_vector_index()
        if (where := within.filters.sql()) is not None:
            search = search.where(where, prefilter=True)
        found = search.to_arrow(timeout=self._timeout)
        places = self._facts.places_of(found[ROW_ID].to_numpy())
        return ranked(places, 1 - found["_distance"].to_numpy(), k)

    def worded(self, words: Sequence[str], k: int, *, within: Matching) -> Ranked:
        """The `k` figures whose caption or title has any of the words, by BM25."""
        from lancedb.query import FullTextOperator as Operator
        from lancedb.query import MultiMatchQuery

        if not within.num_figures or not words:
            return Ranked(np.zeros(0, np.int64), np.zeros(0, np.float32))
        query = MultiMatchQuery(
            " ".join(words),
            list(WORDS_COLUMNS),
            boosts=list(WORDS_COLUMNS.values()),
            operator=Operator.OR,
        )
        search: Any = self._table.search(query, query_type="fts").limit(k)
        search = search.select(["_score"]).with_row_id(True)
        if (where := within.filters.sql()) is not None:
            search = search.where(where, prefilter=True)
        found = search.to_arrow(timeout=self._timeout)
        places = self._facts.places_of(found[ROW_ID].to_numpy())
        return ranked(places, found["_score"].to_numpy(), k)

    def rows(self, places: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Columns of some figures, in the order of their places."""
        if not len(places):
            return []
        row_ids = self._facts.row_ids[np.asarray(places)].tolist()
        taken: Any = self._table.take_row_ids(row_ids).select(list(columns)).with_row_id()
        by_id = {row.pop(ROW_ID): row for row in taken.to_list(timeout=self._timeout)}
        return [by_id[row_id] for row_id in row_ids]

    def place(self, pair_id: str) -> int | None:
        """Where a pair is, or `None`."""
        found = (
            self._table.search()
            .where(f"pair_id = {sql_text(pair_id)}")
            .select(["pair_id"])
            .with_row_id(True)
            .limit(1)
            .to_arrow(timeout=self._timeout)
        )
        row_ids = found[ROW_ID].to_numpy()
        return int(self._facts.places_of(row_ids)[0]) if len(row_ids) else None


def scanned(
    table: "Table", columns: Sequence[str], *, rows: int = ROWS_A_SCAN
) -> Iterator[pa.RecordBatch]:
    """Columns of the whole table and its `_rowid`s, some rows at a time, always in one order."""
    yield from table.search().select(list(columns)).with_row_id(True).to_batches(rows)
