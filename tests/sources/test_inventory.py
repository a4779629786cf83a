"""The daily list of the bucket, with every fault that a day may bring."""

import gzip
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from figclip.config import UsageError
from figclip.sources import listing
from figclip.sources.buckets import CorruptObject, Entry, MissingObject, Refused
from figclip.sources.inventory import newest_inventory
from figclip.sources.listing import listed_at
from figclip.sources.objects import Bucket
from figclip.sources.pmc_cloud import CloudSource

REPORTS = "inventory-reports/pmc-oa-opendata/metadata"


def list_versions(bucket: Bucket) -> list[str]:
    """Ids of all versions, sorted as text."""
    return sorted(CloudSource(bucket).list_versions()["version_id"].to_pylist())


@dataclass
class DictBucket:
    """The seam in its plainest form."""

    objects: dict[str, bytes] = field(default_factory=dict)
    name: str = "pmc-oa-opendata"

    def get(self, key: str, *, md5: str = "", at_most: int | None = None) -> bytes:
        if key not in self.objects:
            raise MissingObject(key)
        if md5 and hashlib.md5(self.objects[key]).hexdigest() != md5:
            raise CorruptObject(key)
        return self.objects[key]

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def entries(self, prefix: str) -> Iterator[Entry]:
        return (Entry(key, f"etag of {key}", 2) for key in self.keys(prefix))

    def add_inventory(self, date: str, *parts: list[str], **changes: Any) -> None:
        files = []
        for number, keys in enumerate(parts):
            rows = "".join(
                f'"{self.name}","{key}","2026-01-08T11:47:59.000Z","f25d"\n' for key in keys
            )
            data = gzip.compress(rows.encode())
            key = f"{REPORTS}/data/{date}-{number}.csv.gz"
            self.objects[key] = data
            md5 = hashlib.md5(data).hexdigest()
            files.append({"key": key, "size": len(data), "MD5checksum": md5})
        manifest = {
            "sourceBucket": "pmc-oa-opendata",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, LastModifiedDate, ETag",
            "files": files,
            **changes,
        }
        self.objects[f"{REPORTS}/{date}/manifest.json"] = json.dumps(manifest).encode()


def keys(*version_ids: str) -> list[str]:
    return [f"metadata/{version_id}.json" for version_id in version_ids]


@pytest.fixture
def bucket() -> DictBucket:
    """An older day lists one version, the newest two in two parts, `metadata/` itself has three."""
    bucket = DictBucket(dict.fromkeys(keys("PMC1.1", "PMC2.1", "PMC10.1"), b"{}"))
    bucket.add_inventory("2026-11-20T01-00Z", keys("PMC1.1"))
    bucket.add_inventory("2026-11-21T01-00Z", keys("PMC2.1"), keys("PMC1.1"))
    return bucket


NEWEST = f"{REPORTS}/2026-11-21T01-00Z/manifest.json"
PART = f"{REPORTS}/data/2026-11-21T01-00Z-1.csv.gz"


def test_the_newest_inventory_counts_with_all_its_parts(bucket: DictBucket):
    rows = newest_inventory(bucket)
    assert rows["Key"].to_pylist() == keys("PMC2.1", "PMC1.1")
    assert list_versions(bucket) == ["PMC1.1", "PMC2.1"]


def test_the_day_before_counts_where_the_newest_has_no_manifest_yet(bucket: DictBucket):
    del bucket.objects[NEWEST]
    bucket.objects[f"{REPORTS}/2026-11-22T01-00Z/manifest.checksum"] = b"x"
    bucket.objects[f"{REPORTS}/hive/dt=2026-11-23-01-00/manifest.json"] = b"x"
    bucket.objects[f"{REPORTS}/data/manifest.json"] = b"x"
    assert list_versions(bucket) == ["PMC1.1"]


@pytest.mark.parametrize(
    "damage",
    [
        {NEWEST: b"{"},
        {NEWEST: b'{"fileFormat": "ORC"}'},
        {PART: b"not what the md5 says"},
        {PART: None},
    ],
)
def test_a_damaged_inventory_is_passed_over_and_the_log_says_so(
    damage: dict[str, bytes | None], bucket: DictBucket, caplog: pytest.LogCaptureFixture
):
    assert listed_at(CloudSource(bucket).list_versions()) == "2026-11-21T01:00Z"
    for key, data in damage.items():
        if data is None:
            del bucket.objects[key]
        else:
            bucket.objects[key] = data
    assert list_versions(bucket) == ["PMC1.1"]
    assert listed_at(CloudSource(bucket).list_versions()) == "2026-11-20T01:00Z"
    assert "the inventory of 2026-11-21T01-00Z is passed over" in caplog.text


@pytest.mark.parametrize("refused", [NEWEST, PART])
def test_an_inventory_that_is_refused_is_passed_over(
    refused: str, bucket: DictBucket, monkeypatch: pytest.MonkeyPatch
):
    get = bucket.get

    def refuse(key: str, **options: Any) -> bytes:
        if key == refused:
            raise Refused(key)
        return get(key, **options)

    monkeypatch.setattr(bucket, "get", refuse)
    assert list_versions(bucket) == ["PMC1.1"]


@pytest.mark.parametrize("few", [0, 100])
def test_a_list_says_how_old_it_is_unless_it_is_of_this_moment(
    few: int, bucket: DictBucket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listing, "FEW", few)
    source = CloudSource(bucket)
    asked = source.list_versions(["PMC1", "PMC2.1", "PMC10", "PMC77"])
    assert listed_at(asked) == (None if few else "2026-11-21T01:00Z")
    assert asked["version_id"].to_pylist() == ["PMC1.1", "PMC2.1", "PMC10.1", "PMC77.0"]
    for key in list(bucket.keys("inventory-reports/")):
        del bucket.objects[key]
    assert listed_at(source.list_versions()) is None


def test_a_part_of_another_size_or_no_gzip_is_damage(bucket: DictBucket):
    data = b"whole, by its md5"
    part = {"key": PART, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
    bucket.objects[PART] = data
    for size in (len(data), len(data) + 1):
        bucket.add_inventory("2026-11-22T01-00Z", files=[{**part, "size": size}])
        bucket.objects[PART] = data
        del bucket.objects[NEWEST]
        assert list_versions(bucket) == ["PMC1.1"]
        bucket.objects[NEWEST] = b""


def test_columns_are_found_by_their_names(bucket: DictBucket):
    data = gzip.compress(b'"x","metadata%2FPMC7.2.json"\n"x","metadata/odd.json"\n')
    bucket.objects[PART] = data
    part = {"key": PART, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
    bucket.add_inventory("2026-11-22T01-00Z", files=[part], fileSchema="ETag, Key")
    assert list_versions(bucket) == ["PMC7.2"]
    bucket.add_inventory("2026-11-22T01-00Z", files=[part], fileSchema="ETag, Name")
    assert list_versions(bucket) == ["PMC1.1"]


def test_without_an_inventory_the_metadata_are_listed(
    bucket: DictBucket, caplog: pytest.LogCaptureFixture
):
    for key in list(bucket.keys("inventory-reports/")):
        del bucket.objects[key]
    bucket.objects |= {"metadata/": b"", "metadata/readme.txt": b"", "metadata/PMC0.1.json": b""}
    with caplog.at_level(logging.INFO):
        assert list_versions(bucket) == ["PMC1.1", "PMC10.1", "PMC2.1"]
    assert "listing metadata/ instead" in caplog.text


def test_versions_of_one_article_stand_side_by_side(bucket: DictBucket):
    ids = ["PMC1.1", "PMC1.2", "PMC1.10", "PMC10.1", "PMC10.2", "PMC1000.1", "PMC9.1"]
    bucket.add_inventory("2026-11-22T01-00Z", keys(*ids))
    articles = [version_id.partition(".")[0] for version_id in list_versions(bucket)]
    assert articles == sorted(articles)
    assert [a for a, b in pairwise(articles) if a == b] == [
        "PMC1",
        "PMC1",
        "PMC10",
    ]


def test_a_bucket_that_lists_nothing_says_so():
    with pytest.raises(UsageError, match="lists no article version"):
        list_versions(DictBucket({"metadata/x": b""}))
