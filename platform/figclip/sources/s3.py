"""Objects of an S3 server: one pool of connections a process, tries that end, bytes verified."""

import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import md5 as new_md5
from typing import Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config as BotoConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from botocore.response import StreamingBody
from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url
from urllib3.exceptions import HTTPError

from figclip.config import UsageError
from figclip.sources.objects import (
    MOST_OBJECT_BYTES,
    Entry,
    MissingObject,
    Refused,
    Unreachable,
    check_size,
    corrupt,
    md5_of,
)
from figclip.sources.spool import spooled

log = logging.getLogger(__name__)

T = TypeVar("T")

MISSING = ("NoSuchKey", "404", "KeyTooLongError")
BAD_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
"""Codes that speak of who asks, whatever was asked for."""

REFUSED = ("AccessDenied", "403", *BAD_CREDENTIALS)
PASSING = ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "429")
"""Codes beside every 5xx that another try may be rid of."""

PLAIN_MD5 = re.compile(r"[0-9a-f]{32}")
"""The ETag of an object in several parts (`…-3`) is none."""

SAME_ANSWERS = 3
"""So many times the same bytes, and it is the server that has them so: no wire errs alike."""

LONGEST_RETRY_AFTER_S = 60.0

PIECE_BYTES = 2**20


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
    num_tries: int = 8
    """Of each request, with waits that grow."""
    wait_s: float = 0.5
    """Longest wait before the second try; it doubles with every further one."""
    longest_wait_s: float = 20.0
    """No wait grows beyond it, unless the server asks for more."""
    read_timeout_s: float = 30.0
    """A server that says nothing for so long is asked again."""
    max_object_bytes: int = MOST_OBJECT_BYTES
    """Larger objects are not read whole: `HugeObject`."""

    def __str__(self) -> str:
        return f"s3://{self.name}"

    @property
    def name(self) -> str:
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    def get(self, key: str, *, md5: str = "", at_most: int | None = None) -> bytes:
        judge = _Judge(f"{self}: {key}", md5.lower())

        def once() -> bytes:
            with closing(_ask(self, key)) as answer:
                check_size(judge.where, answer.size, at_most=at_most, ever=self.max_object_bytes)
                data = answer.body.read()
            judge.accept(md5_of(data), answer.etag)
            return data

        return _tried(self, key, once)

    def open(self, key: str, *, at_most: int) -> BinaryIO:
        judge = _Judge(f"{self}: {key}", "")

        def once() -> BinaryIO:
            with closing(_ask(self, key)) as answer:
                check_size(judge.where, answer.size, at_most=None, ever=at_most)
                file, found = _spooled(answer)
            try:
                judge.accept(found, answer.etag)
            except BaseException:
                file.close()
                raise
            return file

        return _tried(self, key, once)

    def entries(self, prefix: str) -> Iterator[Entry]:
        start = len(self._full(""))
        query = {"Bucket": self.bucket, "Prefix": self._full(prefix)}
        while True:
            page = _tried(self, "", lambda: _client(self).list_objects_v2(**query))
            for found in page.get("Contents", ()):
                yield Entry(found["Key"][start:], found.get("ETag", "").strip('"'), found["Size"])
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def keys(self, prefix: str) -> Iterator[str]:
        return (entry.key for entry in self.entries(prefix))

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


class _Answer(NamedTuple):
    """The beginning of an object: its size and ETag are known, its bytes are still to come."""

    body: StreamingBody
    size: int
    etag: str

    def close(self) -> None:
        self.body.close()


def _ask(bucket: S3Bucket, key: str) -> _Answer:
    """One GET. A signed one goes all of boto's way, a public one straight to its connections.

    Of a small object boto's own work (endpoint rules, events, parsing every header) takes several
    times as long as the request; without a signature nothing of it is needed.
    """
    if bucket.anonymous:
        answer = _ask_plainly(bucket, key)
        if answer is not None:
            return answer
    found = _client(bucket).get_object(Bucket=bucket.bucket, Key=bucket._full(key))
    return _Answer(found["Body"], found.get("ContentLength", 0), found.get("ETag", "").strip('"'))


def _ask_plainly(bucket: S3Bucket, key: str) -> _Answer | None:
    """None for answers that boto knows better what to do about, such as another region's."""
    url = _base_url(bucket) + quote(bucket._full(key), safe="/~")
    # The client's own session: its pool, and the proxies and certificates of the environment.
    response = _client(bucket)._endpoint.http_session.send(
        AWSPreparedRequest("GET", url, {}, None, True)
    )
    headers, status = response.headers, response.status_code
    length = headers.get("Content-Length", "")
    body = StreamingBody(response.raw, length or None)
    if status == 200 and length.isdecimal():
        return _Answer(body, int(length), headers.get("ETag", "").strip('"'))
    with closing(body):
        text = body.read(2**16)  # no longer than any error, and the connection goes on if it ends
    if status <= 400:
        return None
    code = re.search(rb"<Code>([^<]*)</Code>", text)
    error = {"Code": code[1].decode("latin-1") if code else str(status), "Message": ""}
    told = {"HTTPStatusCode": status, "HTTPHeaders": {k.lower(): v for k, v in headers.items()}}
    raise ClientError({"Error": error, "ResponseMetadata": told}, "GetObject")


def _spooled(answer: _Answer) -> tuple[BinaryIO, str]:
    """The body in a temporary file that no name leads to, and its md5."""
    digest = new_md5(usedforsecurity=False)
    with spooled() as file:
        while piece := answer.body.read(PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
    return file, digest.hexdigest()


class _Passing(Exception):
    """A fault that another try may be rid of."""

    def __init__(self, what: str, retry_after_s: float = 0.0) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


@dataclass
class _Judge:
    """Whether bytes that arrived are the object's, over all tries of one request."""

    where: str
    stated: str
    """md5 that somebody else states; empty where nobody does."""
    seen: Counter[str] = field(default_factory=Counter)

    def accept(self, found: str, etag: str) -> None:
        """Return if `found` is the md5 to trust; else `CorruptObject`, or a fault that may pass."""
        is_md5 = PLAIN_MD5.fullmatch(etag) is not None
        expected = self.stated or (etag if is_md5 else found)
        if found == expected:
            return
        self.seen[found] += 1
        is_stored_so = (is_md5 and found == etag) or self.seen[found] >= SAME_ANSWERS
        if not is_stored_so:
            raise _Passing("arrives damaged")
        if self.stated:
            raise corrupt(self.where, found, self.stated)
        log.info("%s: its ETag is no md5 of it", self.where)


def _tried(bucket: S3Bucket, key: str, once: Callable[[], T]) -> T:
    """What `once` gives, in one of the tries; `Unreachable` where none gives anything."""
    for attempt in range(1, bucket.num_tries + 1):
        try:
            with _clear_errors(bucket, key):
                return once()
        except _Passing as fault:
            what = f"{key or 'its list'} {fault}"
            if attempt == bucket.num_tries:
                raise Unreachable(
                    f"{bucket}: {what} {attempt} times; check the network and the endpoint, then "
                    f"run the same command again"
                ) from fault
            log.debug("%s: %s, try %d of %d", bucket, what, attempt + 1, bucket.num_tries)
            time.sleep(_wait(bucket, attempt, fault))
    raise AssertionError("num_tries is at least 1")


def _wait(bucket: S3Bucket, attempt: int, fault: _Passing) -> float:
    """Seconds before the next try: full jitter, so that many clients do not come back at once.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    grown = min(bucket.wait_s * 2 ** (attempt - 1), bucket.longest_wait_s)
    return fault.retry_after_s + random.uniform(0, grown)


def check_endpoint(endpoint: str) -> None:
    """`UsageError` where it is no URL of a server."""
    try:
        url = urlsplit(endpoint)
        is_host = is_valid_endpoint_url(endpoint) or is_valid_ipv6_endpoint_url(endpoint)
        is_url = url.scheme in ("http", "https") and url.port != 0 and bool(is_host)
    except ValueError:
        is_url = False
    if not is_url:
        raise UsageError(
            f"the endpoint {endpoint!r} is no URL; one looks like http://localhost:9000"
        )


@lru_cache(maxsize=16)
def _client(bucket: S3Bucket) -> Any:
    """One client, with its pool of connections, for each bucket value in each process."""
    try:
        return _new_client(bucket)
    except ValueError as error:  # botocore's word for an endpoint, be it of the environment
        raise UsageError(f"{bucket}: {error}; one looks like http://localhost:9000") from error


def _new_client(bucket: S3Bucket) -> Any:
    public = bucket.anonymous
    session = _public_session() if public else boto3.session.Session()
    return session.client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name="us-east-1" if public else session.region_name or "us-east-1",
        config=BotoConfig(
            signature_version=UNSIGNED if public else None,
            # AWS_ENDPOINT_URL may speak of the store; a public source stands elsewhere.
            ignore_configured_endpoint_urls=public,
            s3={"addressing_style": "path" if bucket.endpoint else "auto"},
            # `_tried` counts them all, also those of a body that breaks off.
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=32,
            connect_timeout=min(10.0, bucket.read_timeout_s),
            read_timeout=bucket.read_timeout_s,
            tcp_keepalive=True,
            # Other servers than Amazon's may lack the newer checksums; every body is verified.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@lru_cache(maxsize=1)
def _public_session() -> boto3.session.Session:
    """One for all clients that need no credentials: it keeps the descriptions of S3, read once."""
    return boto3.session.Session()


@lru_cache(maxsize=16)
def _base_url(bucket: S3Bucket) -> str:
    """What comes before the key in the URL of an object, by boto's own rules of addressing."""
    words = {"Bucket": bucket.bucket, "Key": "key"}
    return _client(bucket).generate_presigned_url("get_object", Params=words).removesuffix("key")


@contextmanager
def _clear_errors(bucket: S3Bucket, key: str) -> Iterator[None]:
    """Turn botocore's errors into ours: each with its remedy, or one that another try may mend."""
    where = bucket.endpoint or "Amazon S3"
    try:
        yield
    except ClientError as error:
        raise _of_the_server(error, bucket, key, where) from error
    except NoCredentialsError as error:
        raise UsageError(
            f"{bucket}: no credentials in the environment; set AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, or read it anonymously"
        ) from error
    except (IncompleteReadError, ResponseStreamingError) as error:
        raise _Passing("broke off") from error
    except ResponseParserError as error:
        raise _Passing("arrives damaged") from error
    except (ConnectionError, HTTPClientError) as error:
        raise _Passing(f"cannot be reached at {where} ({error})") from error
    except HTTPError as error:  # of a body; botocore translates only some of them
        raise _Passing("broke off") from error
    except ValueError as error:  # of a header that says what it cannot, such as a length in words
        raise _Passing(f"arrives damaged ({error})") from error
    except BotoCoreError as error:
        raise UsageError(f"{bucket}: {error}; check the AWS configuration") from error


def _of_the_server(error: ClientError, bucket: S3Bucket, key: str, where: str) -> Exception:
    """Ours for an error that the server itself states."""
    code = error.response.get("Error", {}).get("Code", "")
    about = error.response.get("ResponseMetadata", {})
    if about.get("HTTPStatusCode", 0) >= 500 or code in PASSING:
        asked = about.get("HTTPHeaders", {}).get("retry-after", "")
        seconds = float(asked) if re.fullmatch(r"\d{1,12}(\.\d+)?", asked) else 0.0
        return _Passing(f"fails at {where} ({code})", min(seconds, LONGEST_RETRY_AFTER_S))
    if code in MISSING:
        return MissingObject(f"{bucket}: there is no {key}")
    if code == "NoSuchBucket":
        return UsageError(f"{bucket}: {where} has no such bucket; check its name and the endpoint")
    if code in REFUSED:
        hint = (
            "it is not public, so name credentials and turn `anonymous` off"
            if bucket.anonymous
            else "check the credentials in the environment"
        )
        kind = Refused if key and code not in BAD_CREDENTIALS else UsageError
        return kind(f"{bucket}: {where} refuses {key or 'to list it'}: {hint}")
    if key and about.get("HTTPStatusCode", 0) >= 400:
        return Refused(f"{bucket}: {where} refuses {key} ({error})")
    return UsageError(
        f"{bucket}: {where} fails at {key or 'its list'} ({error}); run the same command again "
        f"later"
    )
