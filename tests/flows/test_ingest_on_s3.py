"""A corpus whose store is on S3 has the rows of one on a disk, made afresh or after another."""

from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
from corpora import (
    CONNECTED,
    assert_same_corpus,
    files_of,
    write_connected_article,
    write_connected_bucket,
)
from s3_process import writer

from figclip.corpus.ingest import CHANGES, ingest
from figclip.corpus.planning import PLAN
from figclip.sources.source import open_source
from figclip.store import Manifest, Store
from figclip.tasks import Workers

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120), pytest.mark.usefixtures("ray_cluster")]


def run(bucket: Path, url: str, version: str, **options: Any) -> Manifest:
    source = open_source(str(bucket))
    return ingest(source, Store(url), version, CONNECTED, workers=Workers(0.5, 2), **options)


@pytest.fixture
def url(moto_process: str) -> str:
    """Of a store in a bucket of its own, with the credentials: the workers have no others."""
    writer(moto_process).create_bucket(Bucket="ingested")
    host = moto_process.removeprefix("http://")
    options = f"endpoint_override={host}&scheme=http&region=us-east-1"
    return f"s3://test:test@ingested/some/store?{options}"


def test_a_corpus_on_s3_and_one_that_follows_it_are_those_of_a_disk(url: str, tmp_path: Path):
    bucket, local = tmp_path / "bucket", str(tmp_path / "store")
    write_connected_bucket(bucket, num_articles=12)
    for where in (url, local):
        run(bucket, where, "day1")
    assert_same_corpus((url, "day1"), (local, "day1"))
    assert files_of(url, "day1") == files_of(local, "day1")

    write_connected_article(bucket, 3, version=2, extra=1)  # in the first of three shards
    for n in (13, 14):
        write_connected_article(bucket, n)
    second = run(bucket, url, "day2", base="day1")
    run(bucket, local, "afresh")
    assert_same_corpus((url, "day2"), (local, "afresh"))

    own = Store(url).folder("pairs", "day2").files()
    assert second.counts["changes"]["files_shared"] == len(second.shared) > 0
    assert set(second.shared.values()) == {"day1"}
    assert own.keys().isdisjoint(second.shared)
    assert {PLAN, CHANGES} < own.keys()
    assert not _parts(url)


def _parts(url: str) -> list[str]:
    root = Store(url).root
    found = root.fs.get_file_info(pafs.FileSelector(root.path, recursive=True))
    return [info.path for info in found if info.base_name.endswith(".part")]
