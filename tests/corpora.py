"""Published corpora as plain values, and buckets whose articles share pictures."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from flows.tiny_bucket import article_xml, figure_xml, picture, write_article

from figclip.corpus.rules import CorpusConfig
from figclip.store import Store

CONNECTED = CorpusConfig(
    articles_per_shard=4, validation_fraction=0.3, test_fraction=0.3, split_seed=1
)
"""With so much held out, pictures that articles share move many of them to another split."""


def rows_of(store: str | Path, version: str, *, folder: str = "") -> pa.Table:
    """Every pair with all its columns, sorted by `pair_id`; or the rows of `_ledger`, sorted."""
    found = Store(store).open("pairs", version)
    names = [n for n in found.files() if n.endswith(".parquet") and _is_below(n, folder)]
    tables = []
    for name in names:
        with found.open(name) as file:
            tables.append(pq.read_table(file))
    return pa.concat_tables(tables)


def _is_below(name: str, folder: str) -> bool:
    return name.startswith(f"{folder}/") if folder else not name.startswith("_")


def pairs_of(store: str | Path, version: str) -> pa.Table:
    return rows_of(store, version).sort_by("pair_id")


def ledger_of(store: str | Path, version: str) -> pa.Table:
    keys = ("pmcid", "version", "figure_id", "graphic", "reason")
    return rows_of(store, version, folder="_ledger").sort_by([(k, "ascending") for k in keys])


def assert_same_corpus(one: tuple[str | Path, str], other: tuple[str | Path, str]) -> None:
    """The same pairs, row for row and with all columns, the same ledger, the same duplicates."""
    pairs = [pairs_of(*place) for place in (one, other)]
    assert pairs[0]["pair_id"].to_pylist() == pairs[1]["pair_id"].to_pylist()
    assert pairs[0].equals(pairs[1])
    ledgers = [ledger_of(*place) for place in (one, other)]
    assert ledgers[0].to_pylist() == ledgers[1].to_pylist()
    duplicates = [duplicates_of(*place) for place in (one, other)]
    assert duplicates[0].equals(duplicates[1])


def duplicates_of(store: str | Path, version: str) -> pa.Table:
    with Store(store).open("pairs", version).open("_duplicates.parquet") as file:
        return pq.read_table(file).sort_by("pair_id")


def files_of(store: str | Path, version: str) -> dict[str, bytes]:
    """Name → bytes of every file but the manifest and the job's record, which hold a time and a
    path."""
    folder = Store(store).open("pairs", version)
    names = [n for n in folder.files() if n != "_manifest.json" and not n.startswith("_jobs.")]
    return {name: folder.read(name) for name in names}


def leftovers(store: str | Path) -> list[str]:
    """What unfinished writes have left anywhere below a store."""
    found = Path(store).rglob(".*")
    return sorted(str(p) for p in found if p.name.endswith(".part") or ".scratch" in p.name)


def write_connected_bucket(
    folder: Path, *, num_articles: int, first: int = 1, side: int = 40
) -> Path:
    """Articles of two or three pictures, most of which share the first with neighbours or with
    articles far away, so that families spread over shards and splits."""
    for n in range(first, first + num_articles):
        write_connected_article(folder, n, side=side)
    return folder


def write_connected_article(
    folder: Path, n: int, *, version: int = 1, extra: int = 0, side: int = 40
) -> None:
    """`extra` pictures more than the article has by its number."""
    pmcid = f"PMC{n}"
    seeds = [_first_seed(n), *(n * 10 + k for k in range(1, 2 + n % 2 + extra))]
    media = {f"{pmcid}-{k}.jpg": picture(seed, side=side) for k, seed in enumerate(seeds)}
    figures = "".join(
        figure_xml(f"F{k}", f"Figure {k} of {pmcid}.", [name]) for k, name in enumerate(media)
    )
    write_article(folder, f"{pmcid}.{version}", article_xml(pmcid, figures), media)


def _first_seed(n: int) -> int:
    if n % 2:
        return 1_000_000 + n // 6  # shared with two neighbours
    if n % 4 == 2:
        return 2_000_000 + n % 12  # shared with one in twelve, shards away
    return n * 10
