"""Image vectors in memory: faiss's IVF,Flat, for many times the searches of a table on a disk.

It holds the whole vectors (2 KB a figure of 512 dimensions), so that what it compares it compares
exactly; only how many partitions it opens is chosen, by a probe against the scan of all, when it is
opened. Rows, words and caption vectors stay with LanceDB.
"""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from figclip.config import UsageError
from figclip.embedding.index.facts import ROW_ID, Facts, Matching
from figclip.embedding.index.filters import EVERYTHING
from figclip.embedding.index.lance import COLUMNS, Engine, Ranked, Which, ranked, scanned
from figclip.embedding.index.probe import NEAREST
from figclip.embedding.vectors import matrix

if TYPE_CHECKING:
    from lancedb.table import Table

log = logging.getLogger(__name__)

ROWS_PER_PARTITION = 500
TRAINED_PER_PARTITION = 64
"""Vectors of a sample by which the partitions are found; faiss asks for 39 at least."""
SMALLEST_IVF = 20_000
"""Fewer vectors are one partition: comparing all is faster than choosing."""
NUM_PROBES, MIN_RECALL = 64, 0.995
FILTERED_PROBES = 4
"""Of what a search without filters opens, a search with filters opens so many times as much."""


class MemoryEngine:
    """Searches image vectors in memory, and caption vectors by the table."""

    def __init__(self, index: Any, nprobes: int, table: Engine) -> None:
        self._index = index
        self.nprobes = nprobes
        self._table = table

    def nearest(
        self, query: np.ndarray, k: int, *, which: Which, within: Matching, exact: bool
    ) -> Ranked:
        if which != "image":
            return self._table.nearest(query, k, which=which, within=within, exact=exact)
        nprobes = self.num_partitions if exact else self.nprobes
        if within.mask is not None:
            nprobes = min(self.num_partitions, FILTERED_PROBES * nprobes)
        found = self._nearest(query, k, within, nprobes)
        if len(found.places) < min(k, within.num_figures):
            return self._nearest(query, k, within, self.num_partitions)
        return found

    @property
    def num_partitions(self) -> int:
        return self._index.nlist

    def places(self, facts: Facts, queries: np.ndarray, nprobes: int) -> list[list[int]]:
        """Of each query the ten nearest of all."""
        within = facts.matching(EVERYTHING)
        found = [self._nearest(query, NEAREST, within, nprobes) for query in queries]
        return [one.places.tolist() for one in found]

    def _nearest(self, query: np.ndarray, k: int, within: Matching, nprobes: int) -> Ranked:
        faiss = _faiss()
        chosen = {}
        if within.mask is not None:
            bits = np.packbits(within.mask, bitorder="little")
            chosen["sel"] = faiss.IDSelectorBitmap(bits)
        asked = faiss.SearchParametersIVF(nprobe=nprobes, **chosen)
        scores, places = self._index.search(query[None], k, params=asked)
        is_found = places[0] >= 0
        return ranked(places[0][is_found], scores[0][is_found], k)


def memory_engine(table: "Table", facts: Facts, lance: Engine) -> MemoryEngine:
    """Read the table's image vectors; `UsageError` where faiss is not installed."""
    faiss = _faiss()
    column = COLUMNS["image"]
    dim = table.schema.field(column).type.list_size
    is_large = facts.num_figures >= SMALLEST_IVF
    num_partitions = facts.num_figures // ROWS_PER_PARTITION if is_large else 1
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dim), dim, num_partitions, faiss.METRIC_INNER_PRODUCT
    )
    sample = _sample(table, facts, column, max(NUM_PROBES, num_partitions * TRAINED_PER_PARTITION))
    index.train(sample)
    for batch in scanned(table, [column]):
        places = facts.places_of(batch[ROW_ID].to_numpy())
        index.add_with_ids(_unit(matrix(batch[column])), places)
    engine = MemoryEngine(index, num_partitions, lance)
    if num_partitions > 1:
        texts = _sample(table, facts, COLUMNS["text"], NUM_PROBES)
        engine.nprobes = _enough_probes(engine, facts, [sample[:NUM_PROBES], texts])
    log.info("faiss: %d vectors, %d of %d", index.ntotal, engine.nprobes, num_partitions)
    return engine


def _enough_probes(engine: MemoryEngine, facts: Facts, kinds: list[np.ndarray]) -> int:
    """The fewest partitions, doubled from 1 on, by which queries of each kind find the exact ten
    nearest."""
    nprobes = 1
    for queries in kinds:
        exact = engine.places(facts, queries, engine.num_partitions)
        while nprobes < engine.num_partitions:
            found = engine.places(facts, queries, nprobes)
            shares = [len(set(f) & set(e)) / len(e) for f, e in zip(found, exact, strict=True)]
            if np.mean(shares) >= MIN_RECALL:
                break
            nprobes = min(2 * nprobes, engine.num_partitions)
    return nprobes


def _sample(table: "Table", facts: Facts, column: str, size: int) -> np.ndarray:
    """About `size` vectors drawn at random, float32 [m, dim]; all where there are fewer."""
    rng = np.random.default_rng(0)
    share = min(1.0, size / max(1, facts.num_figures))
    parts = []
    for batch in scanned(table, [column]):
        vectors = matrix(batch[column])
        parts.append(_unit(vectors[rng.random(len(vectors)) < share]))
    return np.concatenate(parts)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise UsageError(
            "vectors in memory need faiss: install figclip with the extra `evaluation` "
            "(pip install 'figclip[evaluation]'), or serve the table itself"
        ) from error
    return faiss
