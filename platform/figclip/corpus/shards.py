"""A fixed share of the articles, read as one piece and written as one piece.

Of shard 7: `{train,validation,test}/00007.parquet`, `_rejections/00007.parquet`, and last
`_shards/00007.json` with its counts, by which the shard counts as finished.
"""

import io
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from figclip.config import UsageError
from figclip.corpus.jats import JatsError, parse_article
from figclip.corpus.pairs import ArticleCounts, pairs_of
from figclip.corpus.rules import CorpusConfig
from figclip.schema import (
    PAIR_SCHEMA,
    REJECTION_SCHEMA,
    SPLITS,
    Pair,
    Rejection,
    Split,
    table_of,
)
from figclip.sources.pmc_cloud import (
    BadMetadata,
    Bucket,
    CorruptObject,
    MissingObject,
    VersionMetadata,
    choose_version,
    fetch_media,
    fetch_xml,
    read_metadata,
)
from figclip.store import Folder

log = logging.getLogger(__name__)

UNUSABLE = frozenset({"license_not_allowed", "other_article"})
"""Reasons of `pairs_of` for which another version of the article may do better."""

ROWS_PER_GROUP = 128
"""Some 20 MB of images: what a reader of one row group must hold."""


@dataclass(frozen=True)
class ShardCounts:
    """What a shard gave; `pairs_by_article` names the articles that gave any."""

    num_versions: int
    num_articles: int
    num_figures: int
    num_figures_with_caption: int
    num_pairs: int
    num_rejections: int
    rejections: dict[str, int]
    pairs_by_article: dict[str, int]


@dataclass
class Shard:
    """What the articles of one shard gave."""

    num_versions: int = 0
    pairs: list[Pair] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    articles: list[ArticleCounts] = field(default_factory=list)

    def counts(self) -> ShardCounts:
        return ShardCounts(
            num_versions=self.num_versions,
            num_articles=len(self.articles),
            num_figures=sum(article.num_figures for article in self.articles),
            num_figures_with_caption=sum(a.num_figures_with_caption for a in self.articles),
            num_pairs=len(self.pairs),
            num_rejections=len(self.rejections),
            rejections=dict(sorted(Counter(r.reason for r in self.rejections).items())),
            pairs_by_article=dict(Counter(pair.pmcid for pair in self.pairs)),
        )


def plan_shards(versions: Iterable[str], articles_per_shard: int) -> list[list[str]]:
    """Cut version ids into shards; all versions of an article stand in one, in stable order."""
    articles = [list(ids) for _, ids in groupby(sorted(set(versions), key=_order), key=_pmcid)]
    starts = range(0, len(articles), articles_per_shard)
    return [list(chain(*articles[start : start + articles_per_shard])) for start in starts]


def _order(version_id: str) -> tuple[str, int]:
    pmcid, _, number = version_id.partition(".")
    return pmcid, int(number)


def _pmcid(version_id: str) -> str:
    return version_id.partition(".")[0]


def read_shard(bucket: Bucket, version_ids: Sequence[str], config: CorpusConfig) -> Shard:
    """Read a shard's articles: one version of each, every other version rejected by reason.

    Faults of an article become rejections; faults of the bucket itself travel up.
    """
    shard = Shard(num_versions=len(version_ids))
    for _, ids in groupby(version_ids, key=_pmcid):
        candidates = []
        for version_id in ids:
            try:
                candidates.append(read_metadata(bucket, version_id))
            except MissingObject as error:
                shard.rejections.append(_rejection(version_id, "missing_metadata", str(error)))
            except BadMetadata as error:
                shard.rejections.append(_rejection(version_id, error.reason, error.detail))
        if candidates:
            _read_article(bucket, candidates, config, shard)
    return shard


def _read_article(
    bucket: Bucket, candidates: Sequence[VersionMetadata], config: CorpusConfig, shard: Shard
) -> None:
    """Read the best version; where that cannot be used, the next best, and so on."""
    # Where the JSON states no licence the XML may: `pairs_of` judges what it says.
    licenses = None if config.licenses is None else {*config.licenses, None}
    left = list(candidates)
    counts = None
    while left:
        metadata, passed_over = choose_version(left, licenses)
        left = []
        if metadata is not None:
            version = _read_version(bucket, metadata, config)
            shard.pairs += version.pairs
            shard.rejections += version.rejections
            counts = version.counts or counts
            if not version.is_usable:
                left = [other for other, reason in passed_over if reason == "other_version"]
        shard.rejections += [
            _rejection(other.version_id, reason, _facts(other))
            for other, reason in passed_over
            if other not in left
        ]
    if counts is not None:
        shard.articles.append(counts)


@dataclass(frozen=True)
class _Version:
    """What one version of an article gave; no counts where it could not be parsed."""

    pairs: list[Pair]
    rejections: list[Rejection]
    counts: ArticleCounts | None

    @property
    def is_usable(self) -> bool:
        """Whether this version speaks for its article, be it without pairs."""
        reasons = {rejection.reason for rejection in self.rejections}
        return self.counts is not None and reasons.isdisjoint(UNUSABLE)


def _read_version(bucket: Bucket, metadata: VersionMetadata, config: CorpusConfig) -> _Version:
    """Parse and pair one version; no fault of its files, however odd, reaches the caller."""
    try:
        article = parse_article(fetch_xml(bucket, metadata))
        pairs, rejections, counts = pairs_of(
            article, metadata, lambda name: fetch_media(bucket, metadata, name), config
        )
        # What no column can hold would otherwise end the whole shard.
        table_of([replace(pair, image=b"") for pair in pairs], PAIR_SCHEMA)
        table_of(rejections, REJECTION_SCHEMA)
        return _Version(pairs, rejections, counts)
    except (UsageError, OSError, MemoryError):
        raise  # the bucket's or the machine's
    except MissingObject as error:
        reason, detail = "missing_xml", str(error)
    except CorruptObject as error:
        reason, detail = "corrupt_xml", str(error)
    except JatsError as error:
        reason, detail = error.reason, error.detail
    except Exception as error:
        log.warning("%s: unexpected error", metadata.version_id, exc_info=True)
        reason, detail = "unexpected_error", f"{type(error).__name__}: {error}"
    return _Version([], [_rejection(metadata.version_id, reason, detail)], None)


def _rejection(version_id: str, reason: str, detail: str) -> Rejection:
    pmcid, version = _order(version_id)
    # An exception may quote what UTF-8 cannot write.
    readable = detail.encode("utf-8", "backslashreplace").decode()
    return Rejection(pmcid, version, "", "", reason, readable)


def _facts(metadata: VersionMetadata) -> str:
    kind = "manuscript" if metadata.is_manuscript else "published version"
    return f"{kind}, licence {metadata.license_code}, {len(metadata.media)} media files"


def write_shard(folder: Folder, number: int, shard: Shard) -> ShardCounts:
    """Write a shard's files, its counts last."""
    pairs = table_of(shard.pairs, PAIR_SCHEMA)
    _write_splits(folder, number, pairs)
    rejections = table_of(shard.rejections, REJECTION_SCHEMA)
    folder.write(f"_rejections/{number:05d}.parquet", _parquet(rejections))
    counts = shard.counts()
    folder.write(counts_name(number), json.dumps(asdict(counts)).encode())
    return counts


def counts_name(number: int) -> str:
    return f"_shards/{number:05d}.json"


def read_counts(folder: Folder, number: int) -> ShardCounts:
    return ShardCounts(**json.loads(folder.read(counts_name(number))))


def move_articles(folder: Folder, number: int, splits: Mapping[str, Split]) -> None:
    """Put some articles of a finished shard into other splits.

    It may be killed and run again: every file is replaced whole, an article's rows are written to
    their new file before they leave the old one, and what is read are the rows of all files, each
    once. The outcome is that of a shard which had these splits from the start.
    """
    tables = [_read_split(folder, number, split) for split in SPLITS]
    rows = pa.concat_tables([table for table in tables if table is not None])
    rows = rows.take(_articles_in_order(rows["pmcid"].to_pylist(), rows["pair_id"].to_pylist()))
    moved = [
        splits.get(pmcid, split)
        for pmcid, split in zip(rows["pmcid"].to_pylist(), rows["split"].to_pylist(), strict=True)
    ]
    column = PAIR_SCHEMA.get_field_index("split")
    rows = rows.set_column(column, PAIR_SCHEMA.field(column), pa.array(moved, pa.string()))
    gaining = set(splits.values())
    _write_splits(folder, number, rows, order=sorted(SPLITS, key=lambda s: s not in gaining))


def _articles_in_order(pmcids: Sequence[str], pair_ids: Sequence[str]) -> list[int]:
    """Row numbers by article in the order of shards, each pair once, else in the order found."""
    once = {pair_id: row for row, pair_id in reversed(list(enumerate(pair_ids)))}
    return sorted(once.values(), key=lambda row: (pmcids[row], row))


def _write_splits(
    folder: Folder, number: int, pairs: pa.Table, *, order: Sequence[Split] = SPLITS
) -> None:
    """One file a split that has rows; none for one that has none."""
    splits = pairs["split"].to_pylist()
    for split in order:
        rows = pairs.filter(pa.array([found == split for found in splits], pa.bool_()))
        name = f"{split}/{number:05d}.parquet"
        if rows.num_rows:
            folder.write(name, _parquet(rows))
        elif folder.exists(name):
            folder.fs.delete_file(f"{folder.path}/{name}")


def _read_split(folder: Folder, number: int, split: Split) -> pa.Table | None:
    name = f"{split}/{number:05d}.parquet"
    if not folder.exists(name):
        return None
    return pq.read_table(pa.BufferReader(folder.read(name)), schema=PAIR_SCHEMA)


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return stream.getvalue()


def total_counts(shards: Sequence[ShardCounts], splits: Mapping[str, Split]) -> dict[str, Any]:
    """The sums of all shards, and articles and pairs by split; `splits` of articles with pairs."""
    names = ("num_versions", "num_articles", "num_figures", "num_figures_with_caption")
    totals: dict[str, Any] = {
        name: sum(getattr(shard, name) for shard in shards)
        for name in (*names, "num_pairs", "num_rejections")
    }
    reasons: Counter[str] = Counter()
    for shard in shards:
        reasons.update(shard.rejections)
    totals["rejections"] = dict(sorted(reasons.items()))
    totals["splits"] = {split: {"articles": 0, "pairs": 0} for split in SPLITS}
    for pmcid, num_pairs in _pairs_by_article(shards):
        found = totals["splits"][splits[pmcid]]
        found["articles"] += 1
        found["pairs"] += num_pairs
    return totals


def _pairs_by_article(shards: Iterable[ShardCounts]) -> Iterator[tuple[str, int]]:
    return (item for shard in shards for item in shard.pairs_by_article.items())
