"""The daily inventory of a bucket: its keys and ETags by a few large files instead of many lists.

S3 Inventory as CSV (https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html):
a dated folder holds `manifest.json`, with its md5 in `manifest.checksum` beside it; it names
gzipped parts without a header row, with keys that are URL-encoded.
"""

import logging
import re
from typing import Literal
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from pydantic import BaseModel, Field

from figclip.sources.objects import (
    Bucket,
    CorruptObject,
    HugeObject,
    MissingObject,
    Refused,
    md5_of,
)

log = logging.getLogger(__name__)

MANIFEST_KEY = re.compile(r"inventory-reports/.+/(\d{4}-\d\d-\d\dT\d\d-\d\dZ)/manifest\.json")
COLUMNS = ("Key", "ETag")
EMPTY = pa.table({name: pa.array([], pa.string()) for name in COLUMNS})

LISTED = b"listed"
"""Key of a table's schema metadata: when the inventory was made that it was read from, in UTC
(`2026-11-21T01:00Z`, which sorts as text). What was listed live has none: it is of this moment."""

DAMAGE = (MissingObject, CorruptObject, HugeObject, Refused, ValueError, OSError, pa.ArrowException)
"""What may be wrong with the files of one day; the bucket's own faults are none of these."""


class Part(BaseModel):
    key: str
    size: int
    md5: str = Field(alias="MD5checksum")


class InventoryManifest(BaseModel):
    file_format: Literal["CSV"] = Field(alias="fileFormat")
    columns: str = Field(alias="fileSchema")
    files: list[Part]


def newest_inventory(bucket: Bucket) -> pa.Table:
    """Keys and ETags (`Key`, `ETag`) that the newest whole inventory lists; no row without one.

    The newest dated folder may lack its manifest for some hours, so it is manifests we look for;
    the folders `hive/` and `data/` beside the dated ones hold none. An inventory with a part that
    is missing or damaged is passed over, and the log says so. The schema's metadata say its date
    (`LISTED`).
    """
    manifests = {
        found[1]: key
        for key in bucket.keys("inventory-reports/")
        if (found := MANIFEST_KEY.fullmatch(key))
    }
    for date, key in sorted(manifests.items(), reverse=True):
        try:
            rows = _rows(bucket, key)
        except DAMAGE as error:
            log.warning("%s: the inventory of %s is passed over: %s", bucket, date, error)
            continue
        log.info("%s: %d keys by the inventory of %s", bucket, rows.num_rows, date)
        return rows.replace_schema_metadata({LISTED: _iso(date)})
    return EMPTY


def _iso(date: str) -> str:
    """As the bucket names a folder → as the rest of the world writes it, to the minute."""
    day, _, time = date.partition("T")
    return f"{day}T{time.replace('-', ':')}"


def _rows(bucket: Bucket, manifest_key: str) -> pa.Table:
    manifest = InventoryManifest.model_validate_json(_manifest(bucket, manifest_key))
    columns = manifest.columns.split(", ")
    return pa.concat_tables([EMPTY, *(_part(bucket, part, columns) for part in manifest.files)])


def _manifest(bucket: Bucket, key: str) -> bytes:
    """The manifest, by the md5 beside it where there is one."""
    try:
        stated = bucket.get(key.removesuffix("json") + "checksum").decode("ascii").strip()
    except MissingObject:
        stated = ""
    return bucket.get(key, md5=stated)


def _part(bucket: Bucket, part: Part, columns: list[str]) -> pa.Table:
    data = bucket.get(part.key, md5=part.md5)
    if len(data) != part.size:
        raise CorruptObject(f"{part.key} has {len(data)} bytes, stated are {part.size}")
    wanted = [*COLUMNS, *(name for name in ("IsLatest", "IsDeleteMarker") if name in columns)]
    with pa.CompressedInputStream(pa.BufferReader(data), "gzip") as stream:
        if not stream.read(1):  # a day with nothing new to list
            return EMPTY
    with pa.CompressedInputStream(pa.BufferReader(data), "gzip") as stream:
        rows = pacsv.read_csv(
            stream,
            read_options=pacsv.ReadOptions(column_names=columns, block_size=2**24),
            convert_options=pacsv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
            ),
        )
    return _with_plain_keys(_latest(rows))


def _latest(rows: pa.Table) -> pa.Table:
    """Without superseded versions of objects and without deleted ones, where those are listed."""
    for name, gone in (("IsLatest", "false"), ("IsDeleteMarker", "true")):
        if name in rows.column_names:
            rows = rows.filter(pc.not_equal(pc.utf8_lower(rows[name]), gone))
    return rows.select(COLUMNS)


def _with_plain_keys(rows: pa.Table) -> pa.Table:
    """Keys as they are, not as URLs write them; the keys of millions of articles need no change."""
    if not pc.any(pc.match_substring(rows["Key"], "%")).as_py():
        return rows
    keys = [unquote(key) for key in rows["Key"].to_pylist()]
    return rows.set_column(0, "Key", pa.array(keys, pa.string()))


def md5_rows(bucket: Bucket, keys: list[str]) -> pa.Table:
    """The same table of objects that are at hand: the md5 of its bytes is the ETag of each.

    It is empty where an object cannot be read: who wants it will be told why.
    """
    etags = [_md5_of(bucket, key) for key in keys]
    return pa.table({"Key": pa.array(keys, pa.string()), "ETag": pa.array(etags, pa.string())})


def _md5_of(bucket: Bucket, key: str) -> str:
    try:
        return md5_of(bucket.get(key))
    except Refused as error:
        log.warning("%s", error)
        return ""
