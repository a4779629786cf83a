"""The `index` artifact: a LanceDB table of figures, searched by their image or caption vectors.

Small tables are scanned whole, which is exact. From `index_rows` rows on each vector column gets an
IVF_PQ index; how many partitions a search opens and how many candidates it compares anew with their
true vectors is then chosen by a probe against brute force, and recorded in the manifest.
"""

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from figclip.config import Config, UsageError
from figclip.embedding.image_types import COLUMN
from figclip.embedding.image_types import NAME as TYPES
from figclip.embedding.probe import (
    Choice,
    Found,
    Settings,
    brute_force,
    check_exact,
    choose_settings,
)
from figclip.embedding.rows import check_same_pairs, joined_rows, row_schema
from figclip.embedding.taxonomy import checked_name
from figclip.embedding.vectors import sampled_vectors, split_files, vector_blocks
from figclip.schema import SPLITS
from figclip.store import Folder, Manifest, Store

# LanceDB starts threads when it is imported, and a process that forks afterwards (`ray.init` does)
# may hang: it is imported where it is used.
if TYPE_CHECKING:
    from lancedb.db import DBConnection
    from lancedb.table import Table

log = logging.getLogger(__name__)

Which = Literal["image", "text"]
COLUMNS: dict[Which, str] = {"image": "image_embedding", "text": "text_embedding"}
TABLE = "figures"
NEAREST = 10
LEAST_TO_TRAIN = 256
"""Rows that the product quantiser needs: one for each value of its byte."""


class IndexConfig(Config):
    """How the table is searched."""

    index_rows: NonNegativeInt = 100_000
    """Tables of fewer rows are scanned whole; larger ones get an IVF_PQ index."""
    rows_per_partition: PositiveInt = 1_000
    """Mean size of an IVF partition."""
    dims_per_code: PositiveInt = 8
    """Dimensions that one byte of the product quantiser stands for; divides the vectors' length."""
    min_recall: PositiveFloat = 0.99
    """Share of the exact ten nearest that a probed search must find."""
    num_probes: PositiveInt = 50
    """Pairs whose image and caption serve as queries of the probe."""
    thumbnail_side: PositiveInt = 256
    """Longest side of the stored thumbnails, in pixels."""
    seed: NonNegativeInt = 0
    """Chooses the probed pairs."""


@dataclass(frozen=True)
class Hit:
    """A figure found."""

    pair_id: str
    score: float
    """Cosine of the query and the figure's vector."""
    row: dict[str, Any]
    """The pair's columns, with `thumbnail` as JPEG bytes; no vectors."""


class FigureIndex:
    """An open index; safe to share among threads."""

    def __init__(
        self, table: "Table", settings: dict[Which, Settings], home: object | None = None
    ) -> None:
        """A column without settings is scanned whole; `home` is kept alive as long as the index."""
        self._table = table
        self._settings = settings
        self._home = home
        self._shown = [name for name in table.schema.names if name not in COLUMNS.values()]
        self.has_types = COLUMN in table.schema.names
        self.dim: int = table.schema.field(COLUMNS["image"]).type.list_size

    def search(
        self,
        vector: np.ndarray,
        *,
        k: int = 10,
        which: Which = "image",
        where: str | None = None,
        image_type: str | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """The `k` figures whose image (or caption) vector is nearest, the best first.

        `where` is a filter in SQL over the columns of `Hit.row`, applied before the search (write
        its texts with `sql_text`); `image_type` lets through one type of `taxonomy.NAMES`. `exact`
        scans every row. `ValueError` where the vector does not fit the index or the filter cannot
        be read; `UsageError` where there is no such type, or the index has none.
        """
        where = self._with_type(where, image_type)
        query = np.asarray(vector, dtype=np.float32)
        if query.shape != (self.dim,) or not np.isfinite(query).all():
            raise ValueError(f"the index takes finite vectors of {self.dim}, not {query.shape}")
        settings = None if exact else self._settings.get(which)
        found = self._nearest(query, k, which, where, settings)
        if settings and len(found) < k:  # a filter may leave too few in the opened partitions
            found = self._nearest(query, k, which, where, None)
        hits = [Hit(row["pair_id"], 1 - row.pop("_distance"), row) for row in found]
        return sorted(hits, key=lambda hit: (-hit.score, hit.pair_id))

    def _with_type(self, where: str | None, image_type: str | None) -> str | None:
        if image_type is None:
            return where
        if not self.has_types:
            raise UsageError(
                "the index has no image types: tell them (python -m jobs.evaluate types) and build "
                "it anew with --types"
            )
        told = f"{COLUMN} = {sql_text(checked_name(image_type))}"
        return told if where is None else f"({where}) AND {told}"

    def get(self, pair_id: str) -> dict[str, Any] | None:
        """The columns of one pair, or None where the index does not hold it."""
        return self._one(pair_id, self._shown)

    def vector(self, pair_id: str, which: Which = "image") -> np.ndarray | None:
        """The unit vector of one pair, float32 [dim], or None."""
        row = self._one(pair_id, [COLUMNS[which]])
        return None if row is None else np.asarray(row[COLUMNS[which]], dtype=np.float32)

    def count(self, where: str | None = None) -> int:
        return self._table.count_rows(where)

    def _one(self, pair_id: str, columns: list[str]) -> dict[str, Any] | None:
        query = self._table.search().where(f"pair_id = {sql_text(pair_id)}").select(columns)
        return next(iter(query.limit(1).to_list()), None)

    def _nearest(
        self,
        query: np.ndarray,
        k: int,
        which: Which,
        where: str | None,
        settings: Settings | None,
    ) -> list[dict[str, Any]]:
        search: Any = self._table.search(query, vector_column_name=COLUMNS[which])
        search = search.distance_type("cosine").select([*self._shown, "_distance"]).limit(k)
        if settings:
            search = search.nprobes(settings.nprobes).refine_factor(settings.refine)
        else:
            search = search.bypass_vector_index()
        if where is not None:
            search = search.where(where, prefilter=True)
        return search.to_list()


def sql_text(text: str) -> str:
    """A text as a literal of the filter language."""
    return "'" + text.replace("'", "''") + "'"


def open_index(store: Store, version: str) -> FigureIndex:
    """Open a published index; one on S3 is first copied to a temporary folder of this machine."""
    folder = store.open("index", version)
    home = tempfile.TemporaryDirectory(prefix="figclip-index-")
    path = folder.download(Path(home.name))
    search = store.manifest("index", version).counts["search"]
    settings: dict[Which, Settings] = {
        which: Settings(search[which]["nprobes"], search[which]["refine"])
        for which in COLUMNS
        if "nprobes" in search[which]
    }
    return FigureIndex(_database(path).open_table(TABLE), settings, home)


def build_index(
    store: Store,
    *,
    embeddings_version: str,
    pairs_version: str,
    version: str,
    config: IndexConfig,
    types_version: str | None = None,
    num_threads: int = 1,
) -> Manifest:
    """Publish `index/{version}` of all embedded pairs, checked against brute force.

    With a version of `image_types` the rows have their image's type, by which `search` filters.
    `UsageError` where embeddings or types are of other pairs; `RuntimeError` where the table does
    not find what brute force finds. Nothing is published then.
    """
    told = () if types_version is None else (f"{TYPES}@{types_version}",)
    inputs = (f"embeddings@{embeddings_version}", f"pairs@{pairs_version}", *told)
    settings = config.model_dump(mode="json")
    if store.already_published("index", version, settings, inputs):
        return store.manifest("index", version)
    embeddings = store.open("embeddings", embeddings_version)
    pairs = store.open("pairs", pairs_version)
    if inputs[1] not in store.manifest("embeddings", embeddings_version).inputs:
        raise UsageError(f"{inputs[0]} were not made from {inputs[1]}: name the pairs they are of")
    names = split_files(embeddings, SPLITS)
    check_same_pairs(pairs, embeddings, names)
    types = None if types_version is None else _types(store, types_version, inputs[0], names)
    with (
        store.publishing("index", version, config=settings, inputs=inputs) as publication,
        _system_errors(),
        publication.folder.built_locally() as path,
    ):
        dim = store.manifest("embeddings", embeddings_version).counts["dim"]
        schema = row_schema(dim, has_types=types is not None)
        rows = joined_rows(
            pairs,
            embeddings,
            names,
            types=types,
            dim=dim,
            side=config.thumbnail_side,
            num_threads=num_threads,
        )
        reader = pa.RecordBatchReader.from_batches(schema, rows)
        table = _database(path).create_table(TABLE, data=reader)
        search = _tuned(table, embeddings, names, config)
        publication.counts.update(num_figures=table.count_rows(), dim=dim, search=search)
    return store.manifest("index", version)


def _types(store: Store, version: str, embeddings: str, names: list[str]) -> Folder:
    """`UsageError` where the types are not of these embeddings (`name@version`)."""
    folder = store.open(TYPES, version)
    if embeddings not in store.manifest(TYPES, version).inputs:
        raise UsageError(
            f"{TYPES}@{version} were not told of {embeddings}: name those of these embeddings"
        )
    check_same_pairs(store.open(*embeddings.split("@", 1)), folder, names)
    return folder


def _tuned(
    table: "Table", embeddings: Folder, names: list[str], config: IndexConfig
) -> dict[str, dict[str, Any]]:
    """Check the exact scan, index large tables, and say for each column how it is searched."""
    num_rows = table.count_rows()
    queries = sampled_vectors(embeddings, names, config.num_probes, seed=config.seed)
    is_large = num_rows >= max(config.index_rows, LEAST_TO_TRAIN)
    search: dict[str, dict[str, Any]] = {}
    if is_large:
        from lancedb.index import BTree

        table.create_index("pair_id", config=BTree())
    for which, column in COLUMNS.items():
        truth = brute_force(queries, vector_blocks(embeddings, names, column), NEAREST)
        plain = FigureIndex(table, {})
        for query, exact in zip(queries, truth, strict=True):
            check_exact(_found(plain, query, which), exact)
        search[which] = {"recall_at_10_vs_exact": 1.0}
        if is_large:
            choice = _index_column(table, which, queries, truth, config)
            search[which] = choice.as_counts()
    return search


def _index_column(
    table: "Table", which: Which, queries: np.ndarray, truth: list[Found], config: IndexConfig
) -> Choice:
    """Train the IVF_PQ index of a column, and choose how to search it."""
    dim = queries.shape[1]
    num_partitions = max(1, table.count_rows() // config.rows_per_partition)
    if dim % config.dims_per_code:
        raise UsageError(
            f"dims_per_code {config.dims_per_code} does not divide the vectors' length {dim}"
        )
    from lancedb.index import IvfPq

    pq = IvfPq(
        distance_type="cosine",
        num_partitions=num_partitions,
        num_sub_vectors=dim // config.dims_per_code,
    )
    table.create_index(COLUMNS[which], config=pq)

    def search(query: np.ndarray, settings: Settings) -> Found:
        return _found(FigureIndex(table, {which: settings}), query, which)

    return choose_settings(
        search,
        queries,
        truth,
        num_partitions=num_partitions,
        min_recall=config.min_recall,
    )


def _database(path: Path) -> "DBConnection":
    import lancedb

    return lancedb.connect(path)


def _found(index: FigureIndex, query: np.ndarray, which: Which) -> Found:
    return [(hit.pair_id, hit.score) for hit in index.search(query, k=NEAREST, which=which)]


@contextmanager
def _system_errors() -> Iterator[None]:
    """The table's own errors hide the system's number (28: no space left) in their text."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        if number := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(number[1]), str(error)) from error
        raise
