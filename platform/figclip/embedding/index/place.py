"""Where LanceDB finds the table of an artifact: a folder, or S3 with the store's endpoint."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow.fs as pafs

from figclip.store import Folder, Store

# LanceDB starts threads when it is imported, and a process that forks afterwards (`ray.init` does)
# may hang: it is imported where it is used.
if TYPE_CHECKING:
    from lancedb.db import DBConnection
    from lancedb.table import Table

TABLE = "figures"


@dataclass(frozen=True)
class Place:
    """A folder as LanceDB names it."""

    url: str
    options: dict[str, str] = field(default_factory=dict, repr=False)
    """Of the object store; what is not among them comes from the environment (`AWS_*`)."""

    def database(self) -> "DBConnection":
        import lancedb

        return lancedb.connect(self.url, storage_options=self.options or None)

    def table(self) -> "Table":
        return self.database().open_table(TABLE)


def place_of(store: Store, folder: Folder) -> Place:
    """Where a folder of the store is; it is opened in place, on S3 as well."""
    if isinstance(folder.fs, pafs.LocalFileSystem):
        return Place(folder.path)
    url = urlsplit(store.url)
    asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
    options = {"timeout": "60s", "connect_timeout": "5s"}
    endpoint = asked.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL", "")
    if endpoint:
        scheme = asked.get("scheme", "https")
        options["endpoint"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        options["allow_http"] = str(options["endpoint"].startswith("http:")).lower()
        options["region"] = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    if region := asked.get("region"):
        options["region"] = region
    if url.username and url.password:
        options["aws_access_key_id"] = unquote(url.username)
        options["aws_secret_access_key"] = unquote(url.password)
    return Place(f"s3://{folder.path}", options)


@contextmanager
def built_in(store: Store, folder: Folder, base: Folder | None) -> Iterator[Place]:
    """Where the table of an artifact in the making is built; its files end up in `folder`.

    A new table is built on the local disk. One that goes on from a `base` is built in place, upon
    the base's files: on a local disk they are linked, which copies nothing, on S3 the server copies
    them. LanceDB never changes a file once it is written.
    """
    if base is not None:
        take_files(base, folder)
        yield place_of(store, folder)
        return
    with folder.built_locally() as path:
        yield Place(str(path))


def take_files(source: Folder, target: Folder) -> None:
    """Give `target` the data files of `source`, without a copy where the disk allows it."""
    for name in source.files():
        if name.startswith("_"):
            continue
        if not isinstance(target.fs, pafs.LocalFileSystem):
            target.fs.copy_file(source.locate(name), f"{target.path}/{name}")
            continue
        path = Path(target.path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.locate(name), path)
        except OSError:  # another disk, or one that knows no links
            shutil.copyfile(source.locate(name), path)
