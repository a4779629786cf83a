"""Real articles: every version reads whole, and alike from a folder and from an S3 server."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from figclip.sources.pmc_cloud import (
    Bucket,
    CloudSource,
    fetch_media,
    fetch_xml,
    read_metadata,
)
from figclip.sources.source import open_source


def opened_bucket(source: str, **options: Any) -> Bucket:
    """The bucket of a source in the layout of the cloud service."""
    found = open_source(source, layout="cloud", **options)
    assert isinstance(found, CloudSource)
    return found.bucket


def version_ids(bucket: Bucket) -> list[str]:
    return sorted(CloudSource(bucket).list_versions()["version_id"].to_pylist())


pytestmark = pytest.mark.real

NUM_MEDIA = 2
"""Media files of each article that go to the S3 server of the test; the others stay behind."""


@pytest.fixture(scope="module")
def folder(shared_folder: Callable[[str], Path]) -> Path:
    return shared_folder("pmc-oa-opendata")


@pytest.fixture(scope="module")
def on_s3(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    s3_server: str,
    upload_public: Callable[..., None],
) -> Bucket:
    """Metadata, inventory and XML of all articles, and their small media files."""
    subset = tmp_path_factory.mktemp("subset")
    for part in ("metadata", "inventory-reports"):
        shutil.copytree(folder / part, subset / part)
    for article in folder.glob("PMC*"):
        (subset / article.name).mkdir()
        media = sorted(path for path in article.iterdir() if path.stem != article.name)
        for path in [article / f"{article.name}.xml", *media[:NUM_MEDIA]]:
            shutil.copyfile(path, subset / article.name / path.name)
    upload_public(subset, "pmc-oa-opendata")
    return opened_bucket("s3://pmc-oa-opendata", endpoint=s3_server)


@pytest.fixture(scope="module")
def truth(shared_folder: Callable[[str], Path]) -> list[dict[str, Any]]:
    return json.loads(shared_folder("pmc-oa-opendata.truth.json").read_text())


def test_the_versions_are_those_of_the_truth(
    folder: Path, on_s3: Bucket, truth: list[dict[str, Any]]
):
    expected = sorted(article["version"] for article in truth)
    assert len(expected) == 31
    assert version_ids(opened_bucket(str(folder))) == expected
    assert version_ids(on_s3) == expected


def test_every_version_is_the_same_from_folder_and_s3(
    folder: Path, on_s3: Bucket, truth: list[dict[str, Any]]
):
    local = opened_bucket(str(folder))
    num_media = 0
    for article in truth:
        metadata = read_metadata(local, article["version"])
        assert metadata == read_metadata(on_s3, article["version"])
        assert metadata.license_code == article["license"]
        assert fetch_xml(local, metadata) == fetch_xml(on_s3, metadata)
        for name in metadata.media:
            data = (folder / metadata.version_id / name).read_bytes()
            assert fetch_media(local, metadata, name) == data
        for name in sorted(metadata.media)[:NUM_MEDIA]:
            num_media += 1
            assert fetch_media(on_s3, metadata, name) == fetch_media(local, metadata, name)
    assert num_media > 30


def test_every_file_of_every_article_is_listed(folder: Path):
    bucket = opened_bucket(str(folder))
    for version_id in version_ids(bucket):
        there = {path.name for path in (folder / version_id).iterdir()}
        own = {f"{version_id}.{suffix}" for suffix in ("xml", "txt", "json", "pdf")}
        assert set(read_metadata(bucket, version_id).media) == there - own
