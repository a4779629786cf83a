"""What the ledgers of all shards say together: counts, duplicates, and each article's split."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from figclip.corpus.rules import CorpusConfig
from figclip.corpus.shards import Home, files_of, read_ledger
from figclip.corpus.splits import FEWEST_ARTICLES, moved_articles, split_of
from figclip.pictures.duplicates import duplicates_of
from figclip.schema import LEDGER_SCHEMA, SPLITS, Split
from figclip.store import Folder

NUM_THREADS = 32
"""Ledgers read at a time: each is a small file, mostly waited for."""

COLUMNS = [
    "pmcid",
    "version",
    "figure_id",
    "graphic",
    "state",
    "reason",
    "num_figures",
    "num_figures_with_caption",
    "image_sha256",
    "image_fingerprint",
]
"""All but the sentences for people."""


def whole_ledger(folder: Folder, numbers: Iterable[int]) -> pa.Table:
    """The entries of many shards, with a column `shard`."""

    def of_shard(number: int) -> pa.Table:
        table = read_ledger(folder, number, COLUMNS)
        return table.append_column("shard", pa.array([number] * len(table), pa.int32()))

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        tables = list(threads.map(of_shard, numbers))
    return pa.concat_tables(tables) if tables else _EMPTY


_EMPTY = (
    LEDGER_SCHEMA.empty_table().select(COLUMNS).append_column("shard", pa.array([], pa.int32()))
)


def failed_articles(ledger: pa.Table) -> list[str]:
    """Articles of which something failed that another try may have."""
    failed = ledger.filter(pc.equal(ledger["state"], "failed"))
    return sorted(failed["pmcid"].unique().to_pylist())


@dataclass(frozen=True)
class Outcome:
    """What a corpus is once all its shards are there."""

    duplicates: pa.Table
    """As `duplicates_of` tells them."""
    moved: dict[str, Split]
    """Articles that stand in another split than their own."""
    files: dict[int, set[str]]
    """The files of every shard."""
    counts: dict[str, Any]


def outcome(ledger: pa.Table, config: CorpusConfig) -> Outcome:
    """A pure function of the ledger: whatever happened on the way to it, its corpus is the same."""
    pairs = _with_pair_ids(ledger.filter(_published_graphics(ledger)))
    duplicates = duplicates_of(pairs, max_bits=config.duplicate_bits)
    home = home_of(config)
    articles = pairs["pmcid"].unique().to_pylist()
    moved = moved_articles(articles, _shared_pictures(duplicates), **_deal(config))
    by_shard: dict[int, set[str]] = {int(n): set() for n in ledger["shard"].unique().to_pylist()}
    once = pairs.select(["shard", "pmcid"]).group_by(["shard", "pmcid"]).aggregate([])
    for number, pmcid in zip(once["shard"].to_pylist(), once["pmcid"].to_pylist(), strict=True):
        by_shard[number].add(pmcid)
    return Outcome(
        duplicates=duplicates,
        moved=moved,
        files={n: files_of(n, pmcids, moved, home) for n, pmcids in by_shard.items()},
        counts=_counts(ledger, pairs, duplicates, moved, home),
    )


def home_of(config: CorpusConfig) -> Home:
    deal = _deal(config)
    return lambda pmcid: split_of(pmcid, **deal)


def _deal(config: CorpusConfig) -> dict[str, Any]:
    return {
        "seed": config.split_seed,
        "validation_fraction": config.validation_fraction,
        "test_fraction": config.test_fraction,
    }


def _published_graphics(ledger: pa.Table) -> pa.ChunkedArray:
    return pc.and_(pc.equal(ledger["state"], "published"), pc.not_equal(ledger["graphic"], ""))


def _with_pair_ids(graphics: pa.Table) -> pa.Table:
    version_ids = pc.binary_join_element_wise(
        graphics["pmcid"], graphics["version"].cast(pa.string()), "."
    )
    ids = pc.binary_join_element_wise(version_ids, graphics["figure_id"], graphics["graphic"], "/")
    return graphics.append_column("pair_id", ids)


def _shared_pictures(duplicates: pa.Table) -> set[tuple[str, str]]:
    """Article beside cluster, for every pair whose picture another pair has."""
    columns = duplicates["pair_id"].to_pylist(), duplicates["cluster_id"].to_pylist()
    return {(name.partition(".")[0], cluster) for name, cluster in zip(*columns, strict=True)}


def _counts(
    ledger: pa.Table,
    pairs: pa.Table,
    duplicates: pa.Table,
    moved: Mapping[str, Split],
    home: Home,
) -> dict[str, Any]:
    """Numbers that people ask for first."""
    versions = ledger.filter(pc.equal(ledger["figure_id"], ""))
    # An article without pairs adds to what is said of each of its figures; it is counted apart.
    named = pc.and_(pc.not_equal(ledger["reason"], ""), pc.not_equal(ledger["reason"], "no_pairs"))
    reasons = ledger.filter(named)
    parsed = versions.filter(pc.is_valid(versions["num_figures"]))
    counts: dict[str, Any] = {
        "num_versions": len(versions),
        "num_articles": len(parsed["pmcid"].unique()),
        "num_figures": pc.sum(parsed["num_figures"]).as_py() or 0,
        "num_figures_with_caption": pc.sum(parsed["num_figures_with_caption"]).as_py() or 0,
        "num_pairs": len(pairs),
        "num_rejections": len(reasons),
        "num_failed": pc.sum(pc.equal(ledger["state"], "failed")).as_py() or 0,
        "rejections": _tally(reasons["reason"]),
        "num_duplicates": len(duplicates),
        "num_duplicate_clusters": len(duplicates["cluster_id"].unique()),
        "num_moved_articles": len(moved),
    }
    counts["splits"] = {split: {"articles": 0, "pairs": 0} for split in SPLITS}
    for pmcid, num_pairs in _tally(pairs["pmcid"]).items():
        found = counts["splits"][moved.get(pmcid, home(pmcid))]
        found["articles"] += 1
        found["pairs"] += num_pairs
    num_articles = sum(split["articles"] for split in counts["splits"].values())
    if num_articles < FEWEST_ARTICLES:
        counts["note"] = (
            f"only {num_articles} articles have pairs: too few for train, validation and test to "
            f"get one each"
        )
    return counts


def _tally(column: pa.ChunkedArray) -> dict[str, int]:
    found = {str(item["values"]): int(item["counts"]) for item in column.value_counts().to_pylist()}
    return dict(sorted(found.items()))
