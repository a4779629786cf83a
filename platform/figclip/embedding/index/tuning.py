"""How a built table is searched: its indexes, and the settings that a probe chooses for them."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from figclip.config import Config, UsageError
from figclip.embedding.index.facts import Facts
from figclip.embedding.index.filters import EVERYTHING, FacetName, Filters
from figclip.embedding.index.lance import COLUMNS, Searching, Which
from figclip.embedding.index.opened import FigureIndex, opened
from figclip.embedding.index.probe import (
    NEAREST,
    Choice,
    Found,
    Group,
    Nearest,
    Settings,
    check_exact,
    choose_settings,
)
from figclip.embedding.index.rows import Sources, told_table
from figclip.embedding.vectors import matrix, read_table, sampled_vectors

if TYPE_CHECKING:
    from lancedb.table import Table

log = logging.getLogger(__name__)

LEAST_TO_TRAIN = 256
"""Rows that the product quantiser needs: one for each value of its byte."""
FEW_VALUES: tuple[FacetName, ...] = ("license", "image_type", "article_type", "part")
PROBED_SHARES = (0.5, 0.2, 0.05)
"""Of all figures, what the probed filters let through, as nearly as there are such filters."""


class IndexConfig(Config):
    """How the table is searched."""

    index_rows: NonNegativeInt = 100_000
    """Tables of fewer rows are scanned whole; larger ones get an IVF_PQ index."""
    rows_per_partition: PositiveInt = 1_000
    """Mean size of an IVF partition."""
    dims_per_code: PositiveInt = 8
    """Dimensions that one byte of the product quantiser stands for; divides the vectors' length."""
    max_unindexed: NonNegativeInt = 10_000
    """Appended rows that every search scans beside the index; with more it is trained anew."""
    min_recall: PositiveFloat = 0.99
    """Share of the exact ten nearest that a probed search must find, of queries by image, by text
    and with filters, each for itself."""
    few_rows: NonNegativeInt = 2_000
    """Where filters let no more figures through, all of these are compared, which is exact."""
    num_probes: PositiveInt = 50
    """Pairs whose image and caption serve as queries of the probe."""
    thumbnail_side: PositiveInt = 256
    """Longest side of the stored thumbnails, in pixels."""
    seed: NonNegativeInt = 0
    """Chooses the probed pairs."""


def indexed(table: "Table", config: IndexConfig) -> None:
    """Give the table its indexes of ids, filters and words, and where it is large of vectors."""
    from lancedb.index import FTS, Bitmap, BTree

    names = table.schema.names
    for name in ("pair_id", "year", "journal"):
        table.create_index(name, config=BTree())
    for name in FEW_VALUES:
        if name in names:
            table.create_index(name, config=Bitmap())
    for name in ("caption", "title"):
        table.create_index(name, config=FTS())
    if table.count_rows() >= max(config.index_rows, LEAST_TO_TRAIN):
        for column in COLUMNS.values():
            stats = table.index_stats(f"{column}_idx")
            if stats is None or stats.num_unindexed_rows > config.max_unindexed:
                _train(table, column, config)


def _train(table: "Table", column: str, config: IndexConfig) -> None:
    from lancedb.index import IvfPq

    dim = table.schema.field(column).type.list_size
    if dim % config.dims_per_code:
        raise UsageError(
            f"dims_per_code {config.dims_per_code} does not divide the vectors' length {dim}"
        )
    pq = IvfPq(
        distance_type="cosine",
        num_partitions=_num_partitions(table, config),
        num_sub_vectors=dim // config.dims_per_code,
    )
    table.create_index(column, config=pq)


def _num_partitions(table: "Table", config: IndexConfig) -> int:
    return max(1, table.count_rows() // config.rows_per_partition)


def tuned(table: "Table", sources: Sources, config: IndexConfig) -> dict[str, dict[str, Any]]:
    """Check the exact scan, and say for each column how it is searched and what that is worth."""
    plain = opened(table, {}, few_rows=config.few_rows)
    groups = _groups(sources, probed_filters(plain.facts, config.few_rows), config)
    search: dict[str, dict[str, Any]] = {}
    for which in COLUMNS:
        for group in groups[which]:
            for query, exact in zip(group.queries, group.exact, strict=True):
                check_exact(_found(plain, query, which, group.filters), exact)
        search[which] = {"recall_at_10_vs_exact": 1.0}
        if table.index_stats(f"{COLUMNS[which]}_idx") is not None:
            search[which] = _chosen(table, plain.facts, which, groups[which], config)
    return search


def _chosen(
    table: "Table", facts: Facts, which: Which, groups: list[Group], config: IndexConfig
) -> dict[str, Any]:
    num_partitions = _num_partitions(table, config)

    def search(query: np.ndarray, filters: Filters, settings: Settings) -> Found:
        searching: dict[Which, Searching] = {which: Searching(settings, settings)}
        index = opened(table, searching, facts=facts, few_rows=config.few_rows)
        return _found(index, query, which, filters)

    def choice(some: list[Group]) -> Choice:
        return choose_settings(
            search, some, num_partitions=num_partitions, min_recall=config.min_recall
        )

    everything = choice([group for group in groups if group.filters == EVERYTHING])
    filtered = [group for group in groups if group.filters != EVERYTHING]
    found = choice(filtered) if filtered else everything
    return {**everything.as_counts(), "filtered": found.as_counts()}


def _found(index: FigureIndex, query: np.ndarray, which: Which, filters: Filters) -> Found:
    found = index.nearest(query, k=NEAREST, which=which, filters=filters)
    names = [row["pair_id"] for row in index.told(found.places, ["pair_id"])]
    return list(zip(names, found.scores.tolist(), strict=True))


def probed_filters(facts: Facts, few_rows: int) -> dict[str, Filters]:
    """Filters by name that let through about the `PROBED_SHARES`, where there are any such.

    Those that let few figures through are no question: all of these are compared.
    """
    counts = facts.counts(EVERYTHING)
    options = [
        (int(count) / facts.num_figures, name, value)
        for name, column in facts.columns.items()
        for value, count in zip(column.values, counts[name], strict=True)
        if few_rows < count < facts.num_figures and (name != "year" or value)
    ]
    found: dict[str, Filters] = {}
    for share in PROBED_SHARES:
        nearest = min(options, key=lambda one: (abs(one[0] - share), one), default=None)
        if nearest is not None:
            found[f"{nearest[1]}={nearest[2]}"] = Filters.only(nearest[1], nearest[2])
    return found


def _groups(
    sources: Sources, filters: Mapping[str, Filters], config: IndexConfig
) -> dict[Which, list[Group]]:
    """Queries by image, by text, and with each of the filters; the truth by brute force.

    Whether a figure passes a filter is told by the pairs, not by the index.
    """
    images, texts = sampled_vectors(
        sources.embeddings, sources.names, config.num_probes, seed=config.seed
    )
    both = np.concatenate([images, texts])[::2]
    asked = {"image": (images, EVERYTHING), "text": (texts, EVERYTHING)}
    asked |= {name: (both, wanted) for name, wanted in filters.items()}
    nearest: dict[Which, dict[str, Nearest]] = {
        which: {name: Nearest(queries) for name, (queries, _) in asked.items()} for which in COLUMNS
    }
    for file in sources.names:
        told = told_table(sources, file)
        ids = told["pair_id"].to_pylist()
        passing = {name: _passing(told, wanted) for name, (_, wanted) in asked.items()}
        for which, column in COLUMNS.items():
            vectors = matrix(read_table(sources.embeddings, file, [column])[column])
            for name, places in passing.items():
                nearest[which][name].see([ids[i] for i in places], vectors[places])
    return {
        which: [
            Group(name, queries, wanted, nearest[which][name].found)
            for name, (queries, wanted) in asked.items()
        ]
        for which in COLUMNS
    }


def _passing(told: pa.Table, filters: Filters) -> np.ndarray:
    """Places of the rows that pass the filters, by looking at one after another."""
    passes = np.ones(told.num_rows, bool)
    for name in filters.columns():
        values = told[name].to_pylist()
        passes &= [filters.admits(name, "" if value is None else str(value)) for value in values]
    return np.flatnonzero(passes)
