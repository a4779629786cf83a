"""Which article versions a source holds, and an ETag of each by which a change is seen.

A table of two text columns, `version_id` (`PMC3003633.1`) and `etag`, sorted by the article's
number and the version, each version once. Asked for certain articles, it also has a row with an
empty etag for each that the source does not hold: `PMC3003633.0` for an article (no version is
numbered 0), the version itself where one was asked for. The schema's metadata say of which moment
it is (`LISTED`) where it was read from an inventory.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from figclip.config import UsageError
from figclip.sources.buckets import Bucket, LocalBucket, MissingObject
from figclip.sources.inventory import LISTED, md5_rows, newest_inventory

log = logging.getLogger(__name__)

VERSION_ID = re.compile(r"PMC[1-9][0-9]{0,8}\.[1-9][0-9]{0,8}")
ASKED_ID = re.compile(r"PMC[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8})?")
KEY_PATTERN = rf"^metadata/{VERSION_ID.pattern}\.json$"

FEW = 1_000
"""So many articles are listed one by one; for more the inventory is read."""

MOST_NEWER = 100_000
"""So many of those that an inventory lacks are listed one by one: they may be newer than it."""

NUM_THREADS = 16
"""Lists of single articles that are asked for at once."""

SCHEMA = pa.schema([("version_id", pa.string()), ("etag", pa.string())])


def check_version_id(version_id: str) -> None:
    """`ValueError` for what is none; `MissingObject` for version 0, which stands for an article
    that a source does not hold."""
    if VERSION_ID.fullmatch(version_id):
        return
    if VERSION_ID.fullmatch(re.sub(r"\.0$", ".1", version_id)):
        raise MissingObject(f"there is no version of {version_id.partition('.')[0]}")
    raise ValueError(f"{version_id!r} is no article version; one looks like PMC3003633.1")


def asked_ids(ids: Iterable[str]) -> list[str]:
    """Each once, in the order given; `UsageError` where one is no article or version id."""
    found = list(dict.fromkeys(text.strip() for text in ids))
    bad = list(islice((text for text in found if not ASKED_ID.fullmatch(text)), 3))
    if bad:
        raise UsageError(
            f"{', '.join(map(repr, bad))}: no article ids; one looks like PMC3003633, or "
            f"PMC3003633.1 for a certain version"
        )
    return found


def list_cloud(bucket: Bucket, ids: Sequence[str] | None) -> pa.Table:
    """The versions that a bucket of the PMC Cloud Service holds, all or those asked for.

    The newest daily inventory that is whole says it in a few requests; without one, `metadata/` is
    listed. Few articles are listed one by one, which is newer than the inventory, and so are those
    that the inventory lacks, unless they are more than `MOST_NEWER`. Of files the etag is the md5
    of their JSON, like that of S3. `UsageError` where there is no version at all.
    """
    if ids is None:
        return _all_of_cloud(bucket)
    asked = asked_ids(ids)
    if isinstance(bucket, LocalBucket) or len(asked) <= FEW:
        return with_unknown(_listed(bucket, asked), asked)
    every = _all_of_cloud(bucket)
    found = chosen(every, asked)
    newer = unknown_of(found, asked)
    if len(newer) > MOST_NEWER:
        log.warning("%s: %d articles that were asked for are not listed", bucket, len(newer))
    elif newer:
        found = in_order(pa.concat_tables([found, _listed(bucket, newer)]))
    return with_unknown(found, asked).replace_schema_metadata(every.schema.metadata)


def _all_of_cloud(bucket: Bucket) -> pa.Table:
    versions = versions_of(newest_inventory(bucket))
    if not versions:
        log.info("%s: no usable inventory, listing metadata/ instead", bucket)
        versions = versions_of(_listing(bucket, "metadata/"))
    if not versions:
        raise UsageError(f"{bucket} lists no article version; name a source that holds articles")
    return versions


def listed_at(versions: pa.Table) -> str | None:
    """When the inventory was made that a table was read from; None if it was listed live."""
    listed = (versions.schema.metadata or {}).get(LISTED, b"")
    return listed.decode() or None


def _listed(bucket: Bucket, asked: Sequence[str]) -> pa.Table:
    """Of certain articles, without an inventory; a folder is read once, for all of them."""
    if isinstance(bucket, LocalBucket):
        articles = {text.partition(".")[0] for text in asked}
        keys = bucket.keys("metadata/")
        mine = [key for key in keys if key[len("metadata/") :].partition(".")[0] in articles]
        return chosen(versions_of(md5_rows(bucket, mine)), asked)
    # With the dot: PMC1 is not PMC10.
    prefixes = sorted({f"metadata/{text.partition('.')[0]}." for text in asked})
    with ThreadPoolExecutor(min(NUM_THREADS, len(prefixes) or 1)) as pool:
        rows = list(pool.map(lambda prefix: _listing(bucket, prefix), prefixes))
    return chosen(versions_of(pa.concat_tables(rows)) if rows else SCHEMA.empty_table(), asked)


def _listing(bucket: Bucket, prefix: str) -> pa.Table:
    if isinstance(bucket, LocalBucket):
        return md5_rows(bucket, list(bucket.keys(prefix)))
    keys, etags = [], []
    for entry in bucket.entries(prefix):
        keys.append(entry.key)
        etags.append(entry.etag)
    return pa.table({"Key": pa.array(keys, pa.string()), "ETag": pa.array(etags, pa.string())})


def versions_of(rows: pa.Table) -> pa.Table:
    """The versions among the keys of a bucket; other keys are none of our business.

    The schema's metadata stay what they are.
    """
    is_version = pc.match_substring_regex(rows["Key"], KEY_PATTERN)
    if not pc.all(is_version).as_py():
        rows = rows.filter(is_version)
    ids = pc.utf8_slice_codeunits(rows["Key"], len("metadata/"), -len(".json"))
    schema = SCHEMA.with_metadata(rows.schema.metadata)
    versions = pa.table([ids, pc.fill_null(rows["ETag"], "")], schema=schema)
    del rows  # sorting takes room enough without it
    return in_order(versions)


def in_order(versions: pa.Table) -> pa.Table:
    """Sorted by the article's number and the version, each version once."""
    order = order_of(versions["version_id"])
    by_order = np.argsort(order, kind="stable")
    is_first = np.ones(len(order), bool)
    is_first[1:] = np.diff(order[by_order]) != 0
    return versions.take(pa.array(by_order[is_first])).combine_chunks()


def order_of(version_ids: pa.ChunkedArray) -> np.ndarray:
    """One number for each version id, in the order of articles and versions."""
    # Chunk by chunk: the numbers as text take several times the memory of the ids.
    return np.concatenate([np.array([], np.int64), *map(_order_of, version_ids.chunks)])


def _order_of(version_ids: pa.Array) -> np.ndarray:
    parts = pc.extract_regex(version_ids, r"^PMC(?P<number>[0-9]+)\.(?P<version>[0-9]+)$")
    number, version = (
        pc.struct_field(parts, name).cast(pa.int64()).to_numpy() for name in ("number", "version")
    )
    return number * 1_000_000_000 + version


def chosen(versions: pa.Table, asked: Sequence[str]) -> pa.Table:
    """Those of the articles and versions that were asked for."""
    articles = pc.replace_substring_regex(versions["version_id"], r"\..*", "")
    named = pa.array(asked, pa.string())
    is_asked = pc.or_(pc.is_in(articles, named), pc.is_in(versions["version_id"], named))
    return versions.filter(is_asked)


def unknown_of(versions: pa.Table, asked: Sequence[str]) -> list[str]:
    """Those asked for of which there is nothing."""
    known = set(versions["version_id"].to_pylist())
    known |= {version_id.partition(".")[0] for version_id in known}
    return [text for text in asked if text not in known]


def with_unknown(versions: pa.Table, asked: Sequence[str]) -> pa.Table:
    """With a row of an empty etag for each that was asked for in vain."""
    unknown = [t if "." in t else f"{t}.0" for t in unknown_of(versions, asked)]
    rows = pa.table({"version_id": unknown, "etag": [""] * len(unknown)}, schema=SCHEMA)
    return in_order(pa.concat_tables([versions, rows]))
