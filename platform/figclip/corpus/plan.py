"""Which article versions are read in which shard, afresh or after a corpus that is there already.

A plan is a table, a row a version, in the order of its shards (`PLAN_SCHEMA`).
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LISTING_SCHEMA = pa.schema([("version_id", pa.string()), ("etag", pa.string())])
"""What a source lists: versions, and a mark that changes when anything of the version does."""

PLAN_SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("version_id", pa.string()),
        ("etag", pa.string()),
        ("action", pa.string()),
    ]
)
"""`action`: `read` an article from the source; `copy` its rows from the corpus before, into a shard
that is written anew; `share` its shard, which that corpus holds already."""


def split_version_id(version_id: str) -> tuple[str, int]:
    """`PMC3003633.1` → `("PMC3003633", 1)`."""
    pmcid, _, number = version_id.partition(".")
    return pmcid, int(number)


def version_order(version_id: str) -> tuple[int, int]:
    """The order in which sources list versions: `PMC999.2` before `PMC3003633.1`."""
    pmcid, version = split_version_id(version_id)
    return int(pmcid.removeprefix("PMC")), version


def fresh_plan(listing: pa.Table, articles_per_shard: int) -> pa.Table:
    """Every listed version is read; all versions of an article stand in one shard.

    `listing` holds versions of one article side by side.
    """
    return _planned(listing, first_shard=0, articles_per_shard=articles_per_shard)


def _planned(listing: pa.Table, *, first_shard: int, articles_per_shard: int) -> pa.Table:
    shards = first_shard + _article_numbers(listing) // articles_per_shard
    return pa.table(
        {
            "shard": pa.array(shards, pa.int32()),
            "version_id": listing["version_id"],
            "etag": listing["etag"],
            "action": pa.array(["read"] * len(listing), pa.string()),
        },
        schema=PLAN_SCHEMA,
    )


def pmcids_of(table: pa.Table) -> pa.ChunkedArray:
    return pc.struct_field(pc.extract_regex(table["version_id"], r"^(?P<pmcid>[^.]*)\."), "pmcid")


def _article_numbers(table: pa.Table) -> np.ndarray:
    """0, 1, 2, ... for the articles of a table in which versions of one stand side by side."""
    codes = _codes(pmcids_of(table))
    starts = np.empty(len(codes), bool)
    starts[:1] = True
    starts[1:] = codes[1:] != codes[:-1]
    return np.cumsum(starts) - 1


def _codes(strings: pa.ChunkedArray) -> np.ndarray:
    return strings.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)


@dataclass(frozen=True)
class Changes:
    """Articles (PMCIDs) by what an update does with them, each list sorted."""

    new: list[str]
    changed: list[str]
    """Whose versions, or something of one, are not what they were: read again."""
    removed: list[str]
    """That the source does not list any more."""
    retried: list[str]
    """That have not changed, but of which something failed before."""
    num_kept: int


def updated_plan(
    base: pa.Table,
    listing: pa.Table | None,
    articles_per_shard: int,
    *,
    retry: Collection[str] = (),
) -> tuple[pa.Table, Changes]:
    """The plan of a corpus that follows another one, whose plan is `base`.

    An article of the same versions and marks is taken over, unless `retry` names it; without a
    listing every article is as it was. Articles keep their shards; new ones are put into shards of
    their own behind the last.
    """
    joined = _joined(base, base.select(LISTING_SCHEMA.names) if listing is None else listing)
    article = pmcids_of(joined).combine_chunks().dictionary_encode()
    codes = article.indices.to_numpy(zero_copy_only=False)
    shards = joined["shard"].to_numpy()  # nan where the version is new
    was = ~np.isnan(shards)
    listed = joined["is_listed"].to_numpy()
    size = len(article.dictionary)

    def any_of(rows: np.ndarray) -> np.ndarray:
        """For every article, whether the claim holds for any of its rows."""
        return np.bincount(codes, rows, minlength=size) > 0

    differs = any_of(joined["differs"].to_numpy() & (listing is not None))
    was_there, is_there = any_of(was), any_of(listed)
    retried = np.isin(article.dictionary.to_numpy(zero_copy_only=False), list(retry))
    is_read = is_there & (differs | retried)
    home = np.full(size, -1, np.int64)
    home[codes[was]] = shards[was]
    # A shard that loses or reads an article is written anew; its other articles are copied.
    written = np.zeros(int(home.max(initial=-1)) + 1, bool)
    written[home[was_there & (is_read | ~is_there)]] = True
    old = listed & was_there[codes]
    shard = home[codes[old]]
    action = np.where(is_read[codes[old]], "read", np.where(written[shard], "copy", "share"))
    kept_on = pa.table(
        {
            "shard": pa.array(shard, pa.int32()),
            "version_id": joined["version_id"].filter(pa.array(old)),
            "etag": joined["etag"].filter(pa.array(old)),
            "action": pa.array(action, pa.string()),
        },
        schema=PLAN_SCHEMA,
    ).take(np.argsort(shard, kind="stable"))
    new = joined.filter(pa.array(listed & ~was_there[codes]))
    behind = _planned(
        new.select(["version_id", "etag"]),
        first_shard=len(written),
        articles_per_shard=articles_per_shard,
    )

    def named(articles: np.ndarray) -> list[str]:
        return sorted(article.dictionary.filter(pa.array(articles)).to_pylist())

    changes = Changes(
        new=named(is_there & ~was_there),
        changed=named(is_there & was_there & differs),
        removed=named(~is_there),
        retried=named(is_there & was_there & ~differs & retried),
        num_kept=int((is_there & was_there & ~is_read).sum()),
    )
    return pa.concat_tables([kept_on, behind]), changes


def _joined(base: pa.Table, listing: pa.Table) -> pa.Table:
    """Every version of either: `shard` (null where new), `etag` as listed, `is_listed`, `differs`.

    In the order of the listing; versions that it does not hold come last. Without a mark nobody can
    tell whether a version has changed, so it differs; but a version 0 is none, then as now.
    """
    place = pa.array(np.arange(len(listing)), pa.int64())
    joined = listing.append_column("place", place).join(
        base.select(["version_id", "etag", "shard"]).rename_columns(["version_id", "old", "shard"]),
        "version_id",
        join_type="full outer",
    )
    joined = joined.sort_by([("place", "ascending"), ("version_id", "ascending")])
    is_known = pc.or_(pc.not_equal(joined["etag"], ""), pc.ends_with(joined["version_id"], ".0"))
    same = pc.fill_null(pc.and_(is_known, pc.equal(joined["etag"], joined["old"])), False)
    return pa.table(
        {
            "version_id": joined["version_id"],
            "etag": joined["etag"],
            "shard": joined["shard"].cast(pa.float64()),
            "is_listed": pc.is_valid(joined["place"]),
            "differs": pc.invert(same),
        }
    )
