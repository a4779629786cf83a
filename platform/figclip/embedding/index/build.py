"""The `index` artifact: a LanceDB table of figures, searched by their image or caption vectors.

Small tables are scanned whole, which is exact. From `index_rows` rows on each vector column gets an
IVF_PQ index; how many partitions a search opens and how many candidates it compares anew with their
true vectors is then chosen by a probe against brute force, and recorded in the manifest. A version
that follows another (`base`) goes on from its files: old rows and their index stay as they are.
"""

import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa

from figclip.config import UsageError
from figclip.embedding.image_types import NAME as TYPES
from figclip.embedding.index.changes import Changes, Known, changes, drop, known_rows
from figclip.embedding.index.opened import FORMAT
from figclip.embedding.index.place import TABLE, built_in
from figclip.embedding.index.rows import Sources, has_panels, joined_rows
from figclip.embedding.index.tuning import IndexConfig, indexed, tuned
from figclip.embedding.vectors import check_same_pairs, split_files
from figclip.schema import SPLITS
from figclip.store import Folder, Manifest, Store

log = logging.getLogger(__name__)


def build_index(
    store: Store,
    *,
    embeddings_version: str,
    pairs_version: str,
    version: str,
    config: IndexConfig,
    types_version: str | None = None,
    base_version: str | None = None,
    num_threads: int = 1,
) -> Manifest:
    """Publish `index/{version}` of all embedded pairs, checked against brute force.

    With a version of `image_types` the rows have their image's type, by which `search` filters.
    With a `base` its rows are kept where nothing that is told of the pair has changed, the others
    are dropped, and what is new is appended. `UsageError` where embeddings or types are of other
    pairs, or the base of another encoder or other columns; `RuntimeError` where the table does not
    find what brute force finds. Nothing is published then.
    """
    told = () if types_version is None else (f"{TYPES}@{types_version}",)
    onto = () if base_version is None else (f"index@{base_version}",)
    inputs = (f"embeddings@{embeddings_version}", f"pairs@{pairs_version}", *told, *onto)
    settings = config.model_dump(mode="json")
    if store.already_published("index", version, settings, inputs):
        return store.manifest("index", version)
    sources = _sources(store, inputs[0], inputs[1], types_version)
    base = None if base_version is None else _base(store, base_version, inputs[0], sources)
    with (
        store.publishing("index", version, config=settings, inputs=inputs) as publication,
        _system_errors(),
        built_in(store, publication.folder, base) as place,
        ThreadPoolExecutor(num_threads) as pool,
    ):
        database = place.database()
        table = None if base is None else database.open_table(TABLE)
        known = Known.nothing() if table is None else known_rows(table)
        found = changes(sources, known)
        rows = _rows(sources, found, config, pool)
        if table is None:
            table = database.create_table(TABLE, data=rows)
        else:
            drop(table, known.row_ids[~found.kept])
            table.add(rows)
        indexed(table, config)
        search = tuned(table, sources, config)
        publication.counts.update(
            {"format": FORMAT, "num_figures": table.count_rows(), "dim": sources.dim},
            search=search,
            **found.counts(),
        )
    return store.manifest("index", version)


def _sources(store: Store, embeddings: str, pairs: str, types: str | None) -> Sources:
    """`UsageError` where they are not of one another."""
    made = store.manifest(*embeddings.split("@", 1))
    if pairs not in made.inputs:
        raise UsageError(f"{embeddings} were not made from {pairs}: name the pairs they are of")
    vectors, figures = (store.open(*name.split("@", 1)) for name in (embeddings, pairs))
    names = split_files(vectors, SPLITS)
    check_same_pairs(figures, vectors, names)
    return Sources(
        pairs=figures,
        embeddings=vectors,
        types=None if types is None else _types(store, types, embeddings, names),
        names=names,
        dim=made.counts["dim"],
        has_panels=has_panels(figures, names),
    )


def _types(store: Store, version: str, embeddings: str, names: list[str]) -> Folder:
    """`UsageError` where the types are not of these embeddings (`name@version`)."""
    folder = store.open(TYPES, version)
    if embeddings not in store.manifest(TYPES, version).inputs:
        raise UsageError(
            f"{TYPES}@{version} were not told of {embeddings}: name those of these embeddings"
        )
    check_same_pairs(store.open(*embeddings.split("@", 1)), folder, names)
    return folder


def _base(store: Store, version: str, embeddings: str, sources: Sources) -> Folder:
    """The index to go on from; `UsageError` where its vectors or columns are of another kind."""
    manifest = store.manifest("index", version)
    folder = store.open("index", version)
    theirs = next(name for name in manifest.inputs if name.startswith("embeddings@"))
    mine, old = (_encoder(store, name) for name in (embeddings, theirs))
    if mine != old:
        raise UsageError(
            f"index@{version} holds vectors of {old}, {embeddings} are of {mine}: leave --base out"
        )
    had_types = any(name.startswith(f"{TYPES}@") for name in manifest.inputs)
    if manifest.counts.get("format") != FORMAT or had_types != (sources.types is not None):
        raise UsageError(
            f"index@{version} has other columns (image types, or an older format): leave --base "
            f"out, or name --types as it did"
        )
    return folder


def _encoder(store: Store, embeddings: str) -> str:
    inputs = store.manifest(*embeddings.split("@", 1)).inputs
    return next((name for name in inputs if name.startswith("encoder@")), "an unknown encoder")


def _rows(
    sources: Sources, found: Changes, config: IndexConfig, pool: ThreadPoolExecutor
) -> pa.RecordBatchReader:
    """The new rows, as they are asked for."""

    def batches() -> Iterator[pa.RecordBatch]:
        for name in sources.names:
            if found.new[name].any():
                yield from joined_rows(
                    sources,
                    name,
                    pictures=found.pictures[name],
                    digests=found.digests[name],
                    chosen=found.new[name],
                    side=config.thumbnail_side,
                    pool=pool,
                )

    return pa.RecordBatchReader.from_batches(sources.schema(), batches())


@contextmanager
def _system_errors() -> Iterator[None]:
    """The table's own errors hide the system's number (28: no space left) in their text."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        if number := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(number[1]), str(error)) from error
        raise
