"""What a source lists: versions with their ETags, all or those that were asked for."""

import gzip
import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_process
from hypothesis import given, settings
from hypothesis import strategies as st
from test_inventory import NEWEST, PART, REPORTS, DictBucket, keys

from figclip.config import UsageError
from figclip.sources import listing
from figclip.sources.buckets import Entry, MissingObject, Refused
from figclip.sources.listing import list_cloud
from figclip.sources.source import CloudSource, PackageSource, Source, open_source

IDS = ["PMC2.1", "PMC10.1", "PMC10.2", "PMC10.10", "PMC100.3", "PMC99000001.1"]


REMEDIES = {
    "cloud": r"layout of the PMC Cloud Service .*metadata/PMC….json",
    "packages": r"without a package \(PMC….tar.gz\)",
    "auto": r"layout of the PMC Cloud Service .*and without a package",
}


class CountedBucket(DictBucket):
    """It remembers what was listed."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        self.listed.append(prefix)
        return super().entries(prefix)

    @property
    def listed(self) -> list[str]:
        return self.__dict__.setdefault("_listed", [])


@pytest.fixture
def bucket() -> CountedBucket:
    """Six versions; an inventory that lacks the newest of them."""
    bucket = CountedBucket(dict.fromkeys(keys(*IDS), b"{}"))
    bucket.add_inventory("2026-11-21T01-00Z", keys(*IDS[3:5]), keys(*IDS[:3]))
    return bucket


def rows(table: object) -> list[tuple[str, str]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))  # type: ignore[attr-defined]


def listed(*ids: str) -> list[tuple[str, str]]:
    return [(name, f"etag of metadata/{name}.json" if name[-2:] != ".0" else "") for name in ids]


def test_the_inventory_gives_every_version_with_its_etag_in_the_order_of_numbers(
    bucket: CountedBucket,
):
    assert rows(list_cloud(bucket, None)) == [(name, "f25d") for name in IDS[:5]]
    assert bucket.listed == []
    del bucket.objects[NEWEST]
    assert rows(list_cloud(bucket, None)) == listed(*IDS)
    assert bucket.listed == ["metadata/"]


def test_few_articles_are_listed_one_by_one_and_unknown_ones_come_back(bucket: CountedBucket):
    asked = ["PMC10", "PMC1", "PMC99000001", " PMC10 \n", "PMC2.1", "PMC100.4"]
    found = rows(list_cloud(bucket, asked))
    expected = listed("PMC1.0", "PMC2.1", *IDS[1:4], "PMC100.4", "PMC99000001.1")
    assert found == [(name, "" if name in ("PMC1.0", "PMC100.4") else e) for name, e in expected]
    numbers = (1, 2, 10, 100, 99000001)
    assert sorted(bucket.listed) == sorted(f"metadata/PMC{n}." for n in numbers)


def test_many_articles_are_looked_up_in_the_inventory_and_its_gaps_are_listed(
    bucket: CountedBucket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listing, "FEW", 2)
    found = rows(list_cloud(bucket, ["PMC10.2", "PMC100", "PMC99000001", "PMC3"]))
    assert found == [
        ("PMC3.0", ""),
        ("PMC10.2", "f25d"),
        ("PMC100.3", "f25d"),
        ("PMC99000001.1", "etag of metadata/PMC99000001.1.json"),
    ]
    assert sorted(bucket.listed) == ["metadata/PMC3.", "metadata/PMC99000001."]


def test_more_than_a_few_that_the_inventory_lacks_are_listed_and_very_many_are_told(
    bucket: CountedBucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    newer = [f"PMC{n}" for n in range(99000001, 99001502)]
    found = rows(list_cloud(bucket, ["PMC2", *newer]))
    assert found[:2] == [("PMC2.1", "f25d"), *listed("PMC99000001.1")]
    assert found[2:] == [(f"{article}.0", "") for article in newer[1:]]
    monkeypatch.setattr(listing, "MOST_NEWER", 1500)
    bucket.listed.clear()
    found = rows(list_cloud(bucket, ["PMC2", *newer]))
    assert found == [("PMC2.1", "f25d"), *((f"{article}.0", "") for article in newer)]
    assert bucket.listed == []
    assert "1501 articles that were asked for are not listed" in caplog.text


def test_a_file_that_cannot_be_read_is_listed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "metadata").mkdir()
    for name in ("PMC1.1", "PMC2.1"):
        (tmp_path / f"metadata/{name}.json").write_bytes(b"{}")
    really_open = os.open

    def fail(path: Path, flags: int) -> int:
        if path.name == "PMC1.1.json":
            raise PermissionError(13, "Permission denied")
        return really_open(path, flags)

    monkeypatch.setattr(os, "open", fail)
    source = open_source(str(tmp_path))
    assert rows(source.list_versions()) == [("PMC1.1", ""), ("PMC2.1", md5(b"{}"))]
    with pytest.raises(Refused, match=r"metadata/PMC1\.1\.json cannot be read"):
        source.metadata("PMC1.1")


@given(
    known=st.sets(st.tuples(st.integers(1, 30), st.integers(1, 3)), min_size=1),
    asked=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), max_size=12),
    few=st.sampled_from([0, 3, 100]),
)
@settings(max_examples=40, deadline=None)
def test_whichever_way_it_is_listed_what_was_asked_for_is_what_comes(
    known: set[tuple[int, int]], asked: list[tuple[int, int]], few: int
):
    names = [f"PMC{a}.{v}" for a, v in known]
    bucket = DictBucket(dict.fromkeys(keys(*names), b"{}"))
    bucket.add_inventory("2026-11-21T01-00Z", keys(*random.Random(0).sample(names, len(names))))
    words = [f"PMC{a}.{v}" if v else f"PMC{a}" for a, v in asked]
    expected: set[tuple[int, int]] = set()
    for article, version in asked:  # the rule in plain words
        mine = {(a, v) for a, v in known if a == article and version in (0, v)}
        expected |= mine or {(article, version)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "FEW", few)
        table = list_cloud(bucket, words)
    assert table["version_id"].to_pylist() == [f"PMC{a}.{v}" for a, v in sorted(expected)]
    unknown = [not etag for etag in table["etag"].to_pylist()]
    assert unknown == [one not in known for one in sorted(expected)]


@pytest.mark.parametrize(
    "bad", ["", "7", "pmc7", "PMC07", "PMC", "PMC7.", "PMC7.0", "PMC7/..", "PMC1234567890"]
)
def test_what_is_no_article_id_is_told_with_an_example(bad: str, bucket: CountedBucket):
    with pytest.raises(UsageError, match="one looks like PMC3003633"):
        list_cloud(bucket, ["PMC2", bad])


def test_of_a_folder_the_etag_is_the_md5_of_the_json(tmp_path: Path, moto_process: str):
    """As on S3, so that a mirror is not taken for another source."""
    (tmp_path / "metadata").mkdir()
    for number, name in enumerate(IDS):
        (tmp_path / f"metadata/{name}.json").write_bytes(b"{%d}" % number)
    expected = [(v, hashlib.md5(b"{%d}" % n).hexdigest()) for n, v in enumerate(IDS)]
    s3_process.upload(moto_process, tmp_path, "mirror-of-a-folder")
    local = open_source(str(tmp_path))
    for source in (local, open_source("s3://mirror-of-a-folder", endpoint=moto_process)):
        assert isinstance(source, CloudSource)
        assert rows(source.list_versions()) == expected
        some = rows(source.list_versions(["PMC10", "PMC1"]))
        assert some == [("PMC1.0", ""), *expected[1:4]]
        with pytest.raises(MissingObject):
            source.metadata("PMC1.0")


def test_versions_that_the_inventory_marks_as_gone_are_gone(bucket: CountedBucket):
    lines = [
        '"metadata/PMC1.1.json","old","false","false"',
        '"metadata/PMC1.1.json","new","true","false"',
        '"metadata/PMC2.1.json","","true","true"',
        '"metadata/PMC3.1.json","three","true",""',
        '"metadata/PMC4.1.json","four","true","false"',
    ]
    bucket.objects[PART] = gzip.compress("\n".join(lines).encode())
    part = {
        "key": PART,
        "size": len(bucket.objects[PART]),
        "MD5checksum": md5(bucket.objects[PART]),
    }
    schema = "Key, ETag, IsLatest, IsDeleteMarker"
    bucket.add_inventory("2026-11-22T01-00Z", files=[part], fileSchema=schema)
    found = rows(list_cloud(bucket, None))
    assert found == [("PMC1.1", "new"), ("PMC3.1", "three"), ("PMC4.1", "four")]


def test_a_manifest_must_have_the_md5_that_stands_beside_it(bucket: CountedBucket):
    bucket.add_inventory("2026-11-22T01-00Z", keys("PMC77.1"))
    manifest = bucket.objects[f"{REPORTS}/2026-11-22T01-00Z/manifest.json"]
    beside = f"{REPORTS}/2026-11-22T01-00Z/manifest.checksum"
    bucket.objects[beside] = md5(manifest).encode() + b"\n"
    assert rows(list_cloud(bucket, None)) == [("PMC77.1", "f25d")]
    bucket.objects[beside] = md5(b"another").encode()
    assert list_cloud(bucket, None).num_rows == 5  # the day before


def test_an_empty_part_is_no_damage(bucket: CountedBucket):
    bucket.add_inventory("2026-11-22T01-00Z", keys("PMC77.1"), [])
    assert rows(list_cloud(bucket, None)) == [("PMC77.1", "f25d")]


def test_a_part_must_have_the_size_that_is_stated(bucket: CountedBucket):
    bucket.add_inventory("2026-11-22T01-00Z", keys("PMC77.1"))
    name = f"{REPORTS}/2026-11-22T01-00Z/manifest.json"
    manifest = json.loads(bucket.objects[name])
    manifest["files"][0]["size"] += 1
    bucket.objects[name] = json.dumps(manifest).encode()
    assert list_cloud(bucket, None).num_rows == 5  # the day before


def test_keys_are_read_as_the_csv_writes_them(bucket: CountedBucket):
    odd = ["metadata/%50MC7.1.json", "metadata/PMC7.2.json.bak", "x/metadata/PMC7.3.json"]
    bucket.add_inventory("2026-11-22T01-00Z", [*odd, "metadata/PMC7.999999999.json"])
    found = list_cloud(bucket, None)["version_id"].to_pylist()
    assert found == ["PMC7.1", "PMC7.999999999"]


@pytest.mark.parametrize("layout", ["auto", "cloud", "packages"])
def test_a_source_is_opened_in_its_layout_and_no_other(layout: str, tmp_path: Path):
    (tmp_path / "both" / "metadata").mkdir(parents=True)
    (tmp_path / "both" / "metadata" / "PMC1.1.json").touch()
    (tmp_path / "both" / "PMC2.tar.gz").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    (tmp_path / "empty").mkdir()
    found: Source = open_source(str(tmp_path / "both"), layout=layout)  # type: ignore[arg-type]
    assert isinstance(found, PackageSource if layout == "packages" else CloudSource)
    assert str(found) == str(tmp_path / "both")
    with pytest.raises(UsageError, match=REMEDIES[layout]):
        open_source(str(tmp_path / "other"), layout=layout)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="is empty; name a source"):
        open_source(str(tmp_path / "empty"), layout=layout)  # type: ignore[arg-type]


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()
