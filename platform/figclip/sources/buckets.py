"""Buckets: objects by key, in a local folder or on any S3 server, read through one small seam."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from figclip.config import UsageError
from figclip.sources.objects import (
    MOST_OBJECT_BYTES,
    Bucket,
    CorruptObject,
    Entry,
    HugeObject,
    LargeObject,
    MissingObject,
    Refused,
    Unreachable,
    check_size,
    corrupt,
    md5_of,
)
from figclip.sources.s3 import S3Bucket, check_endpoint

__all__ = [
    "Bucket",
    "CorruptObject",
    "Entry",
    "HugeObject",
    "LargeObject",
    "LocalBucket",
    "MissingObject",
    "Refused",
    "S3Bucket",
    "Unreachable",
    "bucket_at",
]


@dataclass(frozen=True)
class LocalBucket:
    """A local folder; the path of a file below it, written with `/`, is its key."""

    folder: Path
    max_object_bytes: int = MOST_OBJECT_BYTES
    """Larger files are not read whole: `HugeObject`."""

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def name(self) -> str:
        return self.folder.name

    def get(self, key: str, *, md5: str = "", at_most: int | None = None) -> bytes:
        where = f"{self}: {key}"
        with self._file(key) as file:
            size = os.fstat(file.fileno()).st_size
            check_size(where, size, at_most=at_most, ever=self.max_object_bytes)
            try:
                data = file.read()
            except OSError as error:
                raise _refused(self.folder / key, error) from error
        if md5 and (found := md5_of(data)) != md5.lower():
            raise corrupt(where, found, md5.lower())
        return data

    def open(self, key: str, *, at_most: int) -> BinaryIO:
        file = self._file(key)
        size = os.fstat(file.fileno()).st_size
        if size > at_most:
            file.close()
            check_size(f"{self}: {key}", size, at_most=None, ever=at_most)
        return file

    def _file(self, key: str) -> BinaryIO:
        """The file of a key, open and unbuffered; a folder, a pipe or a device is no object."""
        missing = MissingObject(f"{self}: there is no {key}")
        if not _is_plain(key):
            raise missing
        path = self.folder / key
        try:
            # A pipe would block until somebody writes to it.
            number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing from error
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ENXIO):
                raise missing from error
            raise _refused(path, error) from error
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise missing
        return os.fdopen(number, "rb")

    def keys(self, prefix: str) -> Iterator[str]:
        return (key for key, _ in self._below(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        for key, file in self._below(prefix):
            try:
                found = file.stat()
            except OSError as error:
                raise _unreadable(Path(file.path), error) from error
            yield Entry(key, f"{found.st_size}-{found.st_mtime_ns}", found.st_size)

    def _below(self, prefix: str) -> Iterator[tuple[str, os.DirEntry]]:
        above, slash, _ = prefix.rpartition("/")
        if slash and not _is_plain(above):
            return iter(())
        below = self._walk(self.folder / above, above + slash)
        return (found for found in below if found[0].startswith(prefix))

    def _walk(self, folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry]]:
        """Keys as S3 lists them: a folder sorts by its name with the slash (`a.b` before `a/b`)."""
        try:
            with os.scandir(folder) as found:
                entries = {f"{e.name}/" if e.is_dir() else e.name: e for e in found}
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _unreadable(folder, error) from error
        for name in sorted(entries):
            if name.endswith("/"):
                yield from self._walk(folder / name, prefix + name)
            else:
                yield prefix + name, entries[name]


def _is_plain(key: str) -> bool:
    """Whether S3 and a disk mean the same by it: to a disk `a/./b`, `a//b` and `a/b` are one."""
    return not {"", ".", ".."} & set(key.split("/")) and "\0" not in key


def _refused(path: Path, error: OSError) -> Exception:
    """Of a file, which may be the only one; unless it is this process that can open no more."""
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return _unreadable(path, error)
    return Refused(str(_unreadable(path, error)))


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the source's {path} cannot be read ({error.strerror}): mend its rights or the disk that "
        f"it lies on, then run the same command again"
    )


def bucket_at(source: str, *, endpoint: str | None, anonymous: bool) -> Bucket:
    """`s3://bucket[/prefix]` or a local folder as a bucket; nothing is read yet.

    `UsageError` where the folder is not there, the text is neither of the two, or the endpoint is
    no URL.
    """
    scheme, separator, rest = source.partition("://")
    if not separator:
        folder = Path(source).absolute()
        if endpoint is not None:
            raise UsageError(f"{source} is a local folder; an endpoint goes with s3://bucket")
        if not folder.is_dir():
            raise UsageError(
                f"{source}: there is no such folder; name the one that holds `metadata/`, "
                f"or a bucket (s3://pmc-oa-opendata)"
            )
        return LocalBucket(folder)
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", bucket):
        raise UsageError(f"{source}: a source is s3://bucket[/prefix] or a local folder")
    if endpoint is not None:
        check_endpoint(endpoint)
    return S3Bucket(bucket, prefix.strip("/"), endpoint, anonymous)
