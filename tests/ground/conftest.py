"""A store on a disk, and one on S3."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from figclip.store import Store

numbers = count()


@pytest.fixture
def s3_url(s3_server: str, s3_client: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a store in an empty bucket of its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = f"store-{next(numbers)}"
    s3_client.create_bucket(Bucket=bucket)
    host = s3_server.removeprefix("http://")
    return f"s3://{bucket}/some/prefix?endpoint_override={host}&scheme=http"


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store(tmp_path / "artifacts")
    return Store(request.getfixturevalue("s3_url"))
