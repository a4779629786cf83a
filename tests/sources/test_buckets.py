"""Objects by key: the folder and the S3 server must be one and the same to who reads them."""

import errno
import hashlib
import io
import os
import pickle
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody
from hypothesis import example, given, settings
from hypothesis import strategies as st

from figclip.config import UsageError
from figclip.sources.buckets import (
    CorruptObject,
    LocalBucket,
    MissingObject,
    Refused,
    S3Bucket,
    Unreachable,
    bucket_at,
)
from figclip.sources.s3 import _Answer
from figclip.store import clear_disk_errors

NAMES = st.text("ab.-/", min_size=1, max_size=6)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@given(paths=st.lists(st.lists(st.text("ab.-", min_size=1, max_size=3), max_size=3)), prefix=NAMES)
@example(paths=[[]], prefix="./")
@example(paths=[["a"]], prefix="ax//")
@example(paths=[[]], prefix="/f")
@settings(max_examples=40, deadline=None)
def test_a_folder_lists_its_keys_as_s3_does_sorted_by_their_whole_text(paths, prefix):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for parts in paths:
            path = folder.joinpath(*(f"{part}x" for part in parts), "file")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        every = [path.relative_to(folder).as_posix() for path in folder.rglob("file")]
        bucket = LocalBucket(folder)
        assert list(bucket.keys("")) == sorted(every)
        for start in {prefix, *(key[: len(prefix)] for key in every)}:
            expected = sorted(key for key in every if key.startswith(start))
            assert list(bucket.keys(start)) == expected


def test_a_folder_and_a_prefix_on_s3_hold_the_same(
    tmp_path: Path, s3_server: str, upload_public: Callable[..., None]
):
    files = {"a/1.json": b"one", "a.b": b"", "a/ü %41+.jpg": b"two", "ab/c": b"\0" * 9}
    local = LocalBucket(write(tmp_path, files))
    upload_public(tmp_path, "seam", "some/prefix/")
    remote = bucket_at("s3://seam/some/prefix/", endpoint=s3_server, anonymous=True)
    assert remote.name == "seam/some/prefix"
    assert str(remote) == "s3://seam/some/prefix"
    for prefix in ("", "a", "a/", "a/1", "b"):
        assert list(remote.keys(prefix)) == list(local.keys(prefix))
    assert {key: remote.get(key) for key in remote.keys("")} == files
    assert {key: local.get(key) for key in local.keys("")} == files
    for bucket in (local, remote):
        for key in ("a", "a/", "nothing", "a/1.json/x", "../seam", "./a/1.json", "a//1.json"):
            with pytest.raises(MissingObject, match="there is no"):
                bucket.get(key)


def test_more_keys_than_one_page_of_s3_are_all_listed(
    s3_server: str, s3_client: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    s3_client.create_bucket(Bucket="pages", ACL="public-read")
    bucket = S3Bucket("pages", endpoint=s3_server)
    expected = [f"k{number}" for number in range(8)]
    for key in expected:
        s3_client.put_object(Bucket="pages", Key=key, Body=b"")
    assert list(bucket.keys("k")) == expected


def test_buckets_pickle_also_after_their_use(tmp_path: Path, s3_server: str, s3_client: Any):
    s3_client.create_bucket(Bucket="pickled", ACL="public-read")
    for bucket in (LocalBucket(tmp_path), S3Bucket("pickled", endpoint=s3_server)):
        assert list(bucket.keys("")) == []
        assert pickle.loads(pickle.dumps(bucket)) == bucket


def test_errors_pickle_with_their_text():
    for error in (MissingObject("there is no x"), CorruptObject("x has the md5 y"), Refused("x")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
    assert "'" not in str(MissingObject("there is no x"))


def test_bytes_of_another_md5_are_not_handed_out(tmp_path: Path):
    bucket = LocalBucket(write(tmp_path, {"x": b"right"}))
    right = hashlib.md5(b"right").hexdigest()
    assert bucket.get("x", md5=right.upper()) == b"right"
    with pytest.raises(CorruptObject, match=right):
        bucket.get("x", md5=hashlib.md5(b"wrong").hexdigest())


@contextmanager
def server_that_answers(answers: list[tuple[int, bytes, int]]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives (status, body, stated length) in turn, then repeats the last one.

    Beside its URL it hands over the `Authorization` header of every request so far.
    """
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, length = answers[min(len(seen), len(answers) - 1)]
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def s3_error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>told so</Message></Error>".encode()


def answer(status: int, body: bytes) -> tuple[int, bytes, int]:
    return status, body, len(body)


def test_a_connection_that_breaks_off_is_tried_again():
    with server_that_answers([(200, b"half", 8), answer(200, b"halfhalf")]) as (url, seen):
        assert S3Bucket("any", endpoint=url).get("key") == b"halfhalf"
        assert len(seen) == 2


def test_a_server_that_asks_to_slow_down_is_asked_again():
    slow = answer(503, s3_error("SlowDown"))
    with server_that_answers([slow, answer(200, b"data")]) as (url, seen):
        assert S3Bucket("any", endpoint=url).get("key") == b"data"
        assert len(seen) == 2


def test_tries_come_to_an_end_and_say_so():
    with (
        server_that_answers([(200, b"half", 8)]) as (url, seen),
        pytest.raises(UsageError, match=r"broke off 2 times.*run the same command again"),
    ):
        S3Bucket("any", endpoint=url, num_tries=2).get("key")
    assert len(seen) == 2


@pytest.mark.parametrize("anonymous", [True, False])
def test_requests_are_signed_only_when_credentials_are_wanted(
    anonymous: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with server_that_answers([answer(200, b"data")]) as (url, seen):
        S3Bucket("any", endpoint=url, anonymous=anonymous).get("key")
    assert [text.startswith("AWS4-HMAC-SHA256 Credential=who/") for text in seen] == [not anonymous]


@pytest.mark.parametrize(
    ("anonymous", "remedy"), [(True, "name credentials"), (False, "check the credentials")]
)
def test_a_refusal_names_the_credentials(
    anonymous: bool, remedy: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with server_that_answers([answer(403, s3_error("AccessDenied"))]) as (url, _):
        bucket = S3Bucket("any", endpoint=url, anonymous=anonymous)
        with pytest.raises(Refused, match=rf"refuses key: .*{remedy}"):
            bucket.get("key")
        with pytest.raises(UsageError, match=rf"refuses to list it: .*{remedy}"):
            list(bucket.keys(""))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "InvalidObjectState", Refused),
        (400, "InvalidRequest", Refused),
        (405, "MethodNotAllowed", Refused),
        (403, "AllAccessDisabled", Refused),
        (403, "ExpiredToken", UsageError),
        (403, "SignatureDoesNotMatch", UsageError),
        (404, "NoSuchBucket", UsageError),
    ],
)
def test_an_objects_refusal_is_no_fault_of_the_bucket_but_a_lists_is(
    status: int, code: str, kind: type[Exception]
):
    with server_that_answers([answer(status, s3_error(code))]) as (url, _):
        bucket = S3Bucket("any", endpoint=url)
        for read in (lambda: bucket.get("key"), lambda: bucket.open("key", at_most=9)):
            with pytest.raises(kind):
                read()
        with pytest.raises(UsageError):
            list(bucket.keys(""))


def test_a_length_that_is_no_number_is_a_fault_that_may_pass(
    monkeypatch: pytest.MonkeyPatch, answers: Callable[..., Any]
):
    """botocore says `ValueError` to it, as to much else."""
    monkeypatch.setattr("figclip.sources.s3._ask", answers(ValueError("invalid literal"), b"data"))
    assert S3Bucket("any", wait_s=0.001).get("key") == b"data"
    monkeypatch.setattr("figclip.sources.s3._ask", answers(*[ValueError("literal")] * 3))
    with pytest.raises(Unreachable, match="key arrives damaged"):
        S3Bucket("any", wait_s=0.001, num_tries=3).get("key")


@pytest.fixture
def answers() -> Callable[..., Any]:
    """What stands in for `_ask`: one outcome a call."""

    def make(*outcomes: Exception | bytes) -> Callable[..., Any]:
        waiting = iter(outcomes)

        def ask(*_: object) -> Any:
            outcome = next(waiting)
            if isinstance(outcome, Exception):
                raise outcome
            return _Answer(StreamingBody(io.BytesIO(outcome), len(outcome)), len(outcome), "")

        return ask

    return make


@pytest.mark.parametrize(
    "endpoint",
    ["localhost", "127.0.0.1:9", "", "http://", "ftp://host", "http://host:port", "http://a b"],
)
def test_an_endpoint_that_is_no_url_is_told_before_anything_is_asked(endpoint: str):
    with pytest.raises(UsageError, match="one looks like http://localhost:9000"):
        bucket_at("s3://any", endpoint=endpoint, anonymous=True)


@pytest.mark.parametrize("endpoint", ["http://[::1]:9000", "https://s3.example.org/base"])
def test_an_endpoint_may_be_any_url(endpoint: str):
    assert str(bucket_at("s3://any", endpoint=endpoint, anonymous=True)) == "s3://any"


def test_an_endpoint_of_the_environment_that_is_no_url_is_told_too(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nowhere")
    with pytest.raises(UsageError, match="one looks like http://localhost:9000"):
        S3Bucket("any", anonymous=False).get("key")


def test_credentials_that_are_nowhere_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = S3Bucket("any", endpoint="http://127.0.0.1:1", anonymous=False, num_tries=1)
    with pytest.raises(UsageError, match="set AWS_ACCESS_KEY_ID"):
        bucket.get("key")


def test_the_public_bucket_is_not_sought_at_the_endpoint_of_the_store(
    monkeypatch: pytest.MonkeyPatch,
):
    from figclip.sources.s3 import _client

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    public = _client(S3Bucket("pmc-oa-opendata", num_tries=1))
    private = _client(S3Bucket("pmc-oa-opendata", anonymous=False, num_tries=1))
    assert "amazonaws.com" in public.meta.endpoint_url
    assert private.meta.endpoint_url == "http://127.0.0.1:9"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("call", ["open", "scandir"])
def test_a_source_that_cannot_be_read_is_named_with_the_remedy_and_not_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
):
    bucket = LocalBucket(write(tmp_path, {"metadata/x": b""}))

    def fail(path: Path, *_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, call, fail)
    with (
        pytest.raises(Refused if call == "open" else UsageError) as found,
        clear_disk_errors("the store"),  # where an ingest reads
    ):
        bucket.get("metadata/x") if call == "open" else list(bucket.keys("metadata/"))
    path = tmp_path / "metadata" / ("x" if call == "open" else "")
    assert f"the source's {path} cannot be read ({os.strerror(number)}): mend" in str(found.value)
    assert "store" not in str(found.value)


def test_files_that_the_process_cannot_open_any_more_are_no_fault_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket = LocalBucket(write(tmp_path, {"x": b""}))

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(UsageError, match=os.strerror(errno.EMFILE)):
        bucket.get("x")


def test_a_name_too_long_for_any_disk_or_s3_is_that_of_no_object(
    tmp_path: Path, s3_server: str, s3_client: Any
):
    s3_client.create_bucket(Bucket="long-names", ACL="public-read")
    for bucket in (LocalBucket(tmp_path), S3Bucket("long-names", endpoint=s3_server)):
        with pytest.raises(MissingObject):
            bucket.get("n" * 300)
    with (
        server_that_answers([answer(400, s3_error("KeyTooLongError"))]) as (url, _),
        pytest.raises(MissingObject),
    ):
        S3Bucket("any", endpoint=url).get("n" * 2000)


def test_a_server_that_stays_out_of_order_is_an_error_with_a_remedy():
    with server_that_answers([answer(500, s3_error("InternalError"))]) as (url, _):
        bucket = S3Bucket("any", endpoint=url, num_tries=1)
        for read in (lambda: bucket.get("key"), lambda: list(bucket.keys(""))):
            with pytest.raises(UsageError, match=r"InternalError.*run the same command again"):
                read()
