"""Buckets: objects by key, on any S3 server or in a local folder, read through one small seam."""

import errno
import hashlib
import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore import UNSIGNED
from botocore.config import Config as BotoConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)

from figclip.config import UsageError

log = logging.getLogger(__name__)

MISSING = ("NoSuchKey", "404", "KeyTooLongError")
REFUSED = ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")


class MissingObject(KeyError):
    """The bucket holds nothing under this key."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError's own text would be quoted


class CorruptObject(Exception):
    """An object whose bytes are not those that its md5 speaks of."""


class Bucket(Protocol):
    """Objects by key, to read. A bucket is a small value: it pickles, and opens nothing itself.

    Its text (`str`) is the URL or the path that people know it by.
    """

    @property
    def name(self) -> str:
        """What follows `s3://` in the URLs of its objects: bucket, and key prefix if any."""

    def get(self, key: str) -> bytes:
        """The whole object; `MissingObject` where there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins with `prefix`, in the order of code points."""


@dataclass(frozen=True)
class LocalBucket:
    """A local folder; the path of a file below it, written with `/`, is its key."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def name(self) -> str:
        return self.folder.name

    def get(self, key: str) -> bytes:
        if not _is_plain(key):
            raise MissingObject(f"{self}: there is no {key}")
        path = self.folder / key
        try:
            return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise MissingObject(f"{self}: there is no {key}") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise MissingObject(f"{self}: there is no {key}") from error
            raise _unreadable(path, error) from error

    def keys(self, prefix: str) -> Iterator[str]:
        above, slash, _ = prefix.rpartition("/")
        if slash and not _is_plain(above):
            return iter(())
        below = self._walk(self.folder / above, above + slash)
        return (key for key in below if key.startswith(prefix))

    def _walk(self, folder: Path, prefix: str) -> Iterator[str]:
        """Keys as S3 lists them: a folder sorts by its name with the slash (`a.b` before `a/b`)."""
        try:
            if not folder.is_dir():
                return
            names = [f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir()]
        except OSError as error:
            raise _unreadable(folder, error) from error
        for name in sorted(names):
            if name.endswith("/"):
                yield from self._walk(folder / name, prefix + name)
            else:
                yield prefix + name


def _is_plain(key: str) -> bool:
    """Whether S3 and a disk mean the same by it: to a disk `a/./b`, `a//b` and `a/b` are one."""
    return not {"", ".", ".."} & set(key.split("/"))


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the source's {path} cannot be read ({error.strerror}): mend its rights or the disk that "
        f"it lies on, then run the same command again"
    )


@dataclass(frozen=True)
class S3Bucket:
    """A bucket of an S3 server, or what lies below a key prefix of it."""

    bucket: str
    prefix: str = ""
    """Without slashes at its ends."""
    endpoint: str | None = None
    """URL of another server than Amazon's."""
    anonymous: bool = True
    """Requests are not signed; else credentials, region and endpoint come from the environment."""
    num_tries: int = 5
    """Of each request, with waits that grow."""

    def __str__(self) -> str:
        return f"s3://{self.name}"

    @property
    def name(self) -> str:
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    def get(self, key: str) -> bytes:
        for attempt in range(1, self.num_tries + 1):
            try:
                with _clear_errors(self, key):
                    return self._get_once(key)
            except _BrokenOff as error:
                if attempt == self.num_tries:
                    raise UsageError(
                        f"{self}: {key} broke off {attempt} times; check the network, then run "
                        f"the same command again"
                    ) from error
                log.info("%s: %s broke off, try %d of %d", self, key, attempt + 1, self.num_tries)
                time.sleep(random.uniform(0, min(2 ** (attempt - 1), 20)))
        raise AssertionError("num_tries is at least 1")

    def _get_once(self, key: str) -> bytes:
        """boto retries a request until its answer begins; the rest of the answer is our affair."""
        response = _client(self).get_object(Bucket=self.bucket, Key=self._full(key))
        try:
            return response["Body"].read()
        except (HTTPClientError, IncompleteReadError) as error:
            raise _BrokenOff from error

    def keys(self, prefix: str) -> Iterator[str]:
        with _clear_errors(self):
            pages = _client(self).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._full(prefix)):
                for entry in page.get("Contents", ()):
                    yield entry["Key"][len(self._full("")) :]

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


class _BrokenOff(Exception):
    """The connection ended in the middle of an object."""


@lru_cache(maxsize=16)
def _client(bucket: S3Bucket) -> Any:
    """One client, with its pool of connections, for each bucket value in each process."""
    session = boto3.session.Session()
    public = bucket.anonymous
    return session.client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name="us-east-1" if public else session.region_name or "us-east-1",
        config=BotoConfig(
            signature_version=UNSIGNED if public else None,
            # AWS_ENDPOINT_URL may speak of the store; a public source stands elsewhere.
            ignore_configured_endpoint_urls=public,
            s3={"addressing_style": "path" if bucket.endpoint else "auto"},
            # "adaptive" also slows down after 503 SlowDown.
            retries={"mode": "adaptive", "total_max_attempts": bucket.num_tries},
            max_pool_connections=32,
            connect_timeout=10,
            read_timeout=60,
            # Other servers than Amazon's may lack the newer checksums; callers verify md5.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextmanager
def _clear_errors(bucket: S3Bucket, key: str = "") -> Iterator[None]:
    """Turn botocore's errors into ours, each with its remedy."""
    where = bucket.endpoint or "Amazon S3"
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in MISSING:
            raise MissingObject(f"{bucket}: there is no {key}") from error
        if code == "NoSuchBucket":
            raise UsageError(
                f"{bucket}: {where} has no such bucket; check its name and the endpoint"
            ) from error
        if code in REFUSED:
            hint = (
                "it is not public, so name credentials and turn `anonymous` off"
                if bucket.anonymous
                else "check the credentials in the environment"
            )
            raise UsageError(f"{bucket}: {where} refuses {key or 'to list it'}: {hint}") from error
        raise UsageError(
            f"{bucket}: {where} fails at {key or 'its list'} ({error}); run the same command again "
            f"later"
        ) from error
    except NoCredentialsError as error:
        raise UsageError(
            f"{bucket}: no credentials in the environment; set AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, or read it anonymously"
        ) from error
    except (ConnectionError, HTTPClientError) as error:
        raise UsageError(
            f"{bucket}: {where} cannot be reached ({error}); check the network and the endpoint, "
            f"then run the same command again"
        ) from error
    except ValueError as error:  # botocore's word for an endpoint that is no URL
        raise UsageError(f"{bucket}: {error}; one looks like http://localhost:9000") from error
    except BotoCoreError as error:
        raise UsageError(f"{bucket}: {error}; check the AWS configuration") from error


def bucket_at(source: str, *, endpoint: str | None, anonymous: bool) -> Bucket:
    """`s3://bucket[/prefix]` or a local folder as a bucket; nothing is read yet.

    `UsageError` where the folder is not there or the text is neither of the two.
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
    return S3Bucket(bucket, prefix.strip("/"), endpoint, anonymous)


def fetch_verified(bucket: Bucket, key: str, md5: str) -> bytes:
    """The whole object, if its bytes have this md5; else `MissingObject` or `CorruptObject`.

    The md5 comes from elsewhere: the ETag of an object in several parts is none.
    """
    data = bucket.get(key)
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5.lower():
        raise CorruptObject(f"{bucket}: {key} has the md5 {found}, stated is {md5.lower()}")
    return data
