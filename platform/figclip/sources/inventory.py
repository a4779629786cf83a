"""The daily inventory of a bucket: its keys by a few large files instead of many listings.

S3 Inventory as CSV (https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html):
a dated folder holds `manifest.json`, which names gzipped parts without a header row.
"""

import csv
import gzip
import io
import logging
import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import unquote

from pydantic import BaseModel, Field

from figclip.sources.buckets import Bucket, CorruptObject, MissingObject, fetch_verified

log = logging.getLogger(__name__)

MANIFEST_KEY = re.compile(r"inventory-reports/.+/(\d{4}-\d\d-\d\dT\d\d-\d\dZ)/manifest\.json")


class Part(BaseModel):
    key: str
    size: int
    md5: str = Field(alias="MD5checksum")


class InventoryManifest(BaseModel):
    file_format: Literal["CSV"] = Field(alias="fileFormat")
    columns: str = Field(alias="fileSchema")
    files: list[Part]


def newest_inventory(bucket: Bucket) -> list[str]:
    """The keys that the newest whole inventory lists; empty where there is none.

    The newest dated folder may lack its manifest for some hours, so it is manifests we look for;
    the folders `hive/` and `data/` beside the dated ones hold none. An inventory with a part that
    is missing or damaged is passed over, and the log says so.
    """
    manifests = {
        found[1]: key
        for key in bucket.keys("inventory-reports/")
        if (found := MANIFEST_KEY.fullmatch(key))
    }
    for date, key in sorted(manifests.items(), reverse=True):
        try:
            keys = list(_keys(bucket, key))
        except (MissingObject, CorruptObject, ValueError, gzip.BadGzipFile) as error:
            log.warning("%s: the inventory of %s is passed over: %s", bucket, date, error)
            continue
        log.info("%s: %d keys by the inventory of %s", bucket, len(keys), date)
        return keys
    return []


def _keys(bucket: Bucket, manifest_key: str) -> Iterator[str]:
    manifest = InventoryManifest.model_validate_json(bucket.get(manifest_key))
    column = manifest.columns.split(", ").index("Key")
    for part in manifest.files:
        data = fetch_verified(bucket, part.key, part.md5)
        if len(data) != part.size:
            raise CorruptObject(f"{part.key} has {len(data)} bytes, stated are {part.size}")
        with gzip.open(io.BytesIO(data), "rt", encoding="utf-8", newline="") as rows:
            yield from (unquote(row[column]) for row in csv.reader(rows))
