"""How a request is tried again: when, after what wait, and when it is enough."""

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from figclip.sources.buckets import (
    CorruptObject,
    HugeObject,
    LargeObject,
    LocalBucket,
    Refused,
    S3Bucket,
    Unreachable,
)

SLOW = b"<Error><Code>SlowDown</Code></Error>"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@dataclass
class Server:
    """It gives (status, body, headers) in turn, then repeats the last one."""

    answers: list[tuple[int, bytes, dict[str, str]]]
    url: str = ""
    num_requests: int = 0
    num_connections: int = 0
    num_sent: int = 0
    """Bytes of bodies that left for the client."""
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serving(*answers: tuple[int, bytes, dict[str, str]]) -> Iterator[Server]:
    state = Server(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            state.num_connections += 1
            super().setup()

        def do_GET(self) -> None:
            with state.lock:
                status, body, headers = state.answers[
                    min(state.num_requests, len(state.answers) - 1)
                ]
                state.num_requests += 1
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for at in range(0, len(body), 65536):
                self.wfile.write(body[at : at + 65536])
                state.num_sent += 65536

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def ok(body: bytes, etag: str | None = None) -> tuple[int, bytes, dict[str, str]]:
    return 200, body, {} if etag is None else {"ETag": f'"{etag}"'}


def bucket(server: Server, **changes: object) -> S3Bucket:
    return S3Bucket("any", endpoint=server.url, **{"wait_s": 0.001, **changes})  # type: ignore[arg-type]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest waits that were drawn; nobody waits them."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    return found


def test_waits_double_up_to_a_longest(waits: list[float]):
    with serving((503, SLOW, {})) as server, pytest.raises(Unreachable, match="SlowDown"):
        bucket(server, num_tries=7, wait_s=0.5, longest_wait_s=5.0).get("key")
    assert waits == [0.5, 1, 2, 4, 5, 5]
    assert server.num_requests == 7


def test_waits_are_drawn_from_nothing_to_the_longest(monkeypatch: pytest.MonkeyPatch):
    """Full jitter: clients that failed together do not come back together."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    with serving((503, SLOW, {})) as server, pytest.raises(Unreachable):
        bucket(server, num_tries=60, wait_s=1.0, longest_wait_s=1.0).get("key")
    assert min(found) < 0.2
    assert max(found) > 0.8


@pytest.mark.parametrize(("asked", "wait"), [("3", 3.0), ("1000000", 60.0), ("soon", 0.0)])
def test_a_server_that_names_a_wait_is_given_it_within_reason(
    asked: str, wait: float, waits: list[float]
):
    with serving((503, SLOW, {"Retry-After": asked}), ok(b"data")) as server:
        assert bucket(server, wait_s=0.5).get("key") == b"data"
    assert waits == [wait + 0.5]


def test_an_answer_that_is_neither_yes_nor_no_is_left_to_boto():
    """Such as the address of another region, which it follows."""
    elsewhere = (301, b"<Error><Code>PermanentRedirect</Code></Error>", {})
    with serving(elsewhere, ok(b"data")) as server:
        assert bucket(server).get("key") == b"data"
        assert server.num_requests == 2


def test_a_refusal_is_not_tried_again():
    refusal = (403, b"<Error><Code>AccessDenied</Code></Error>", {})
    with serving(refusal) as server, pytest.raises(Refused, match="refuses"):
        bucket(server).get("key")
    assert server.num_requests == 1


@pytest.mark.parametrize("anonymous", [True, False])
def test_an_answer_whose_length_is_no_number_is_asked_for_again(
    anonymous: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    odd = (200, b"data", {"Content-Length": "many", "Connection": "close"})
    # Without a signature it is boto that asks again, and then fails at it; else we do, twice.
    with serving(odd, odd, ok(b"data")) as server:
        assert bucket(server, anonymous=anonymous).get("key") == b"data"
        assert server.num_requests == 3
    with serving(odd) as server, pytest.raises(Unreachable, match="arrives damaged"):
        bucket(server, anonymous=anonymous, num_tries=2).get("key")


def test_many_objects_come_over_one_connection():
    with serving(ok(b"data" * 50_000)) as server:
        source = bucket(server)
        for number in range(20):
            source.get(f"key{number}")
        assert S3Bucket("any", endpoint=server.url, wait_s=0.001).get("key")
        assert (server.num_requests, server.num_connections) == (21, 1)


def test_bytes_that_are_not_those_of_the_etag_are_asked_for_again():
    with serving(ok(b"dat4", md5(b"data")), ok(b"data", md5(b"data"))) as server:
        assert bucket(server).get("key") == b"data"
        assert server.num_requests == 2


def test_an_etag_in_parts_or_none_at_all_is_not_compared():
    for etag in (None, "0123456789abcdef0123456789abcdef-3", "W/x"):
        with serving(ok(b"data", etag)) as server:
            assert bucket(server).get("key") == b"data"
            assert server.num_requests == 1


def test_the_same_bytes_three_times_are_the_objects_and_its_etag_no_md5():
    """Servers that encrypt may give an ETag that looks like an md5."""
    with serving(ok(b"data", md5(b"other"))) as server:
        assert bucket(server).get("key") == b"data"
        assert server.num_requests == 3
        with bucket(server).open("key", at_most=9) as file:
            assert file.read() == b"data"


def test_bytes_that_are_wrong_each_time_in_another_way_never_arrive():
    answers = [ok(f"bad{n}".encode(), md5(b"data")) for n in range(9)]
    with serving(*answers) as server, pytest.raises(Unreachable, match="arrives damaged 5 times"):
        bucket(server, num_tries=5).get("key")


def test_a_stated_md5_decides_over_the_etag():
    with serving(ok(b"bad"), ok(b"data", md5(b"bad"))) as server:
        assert bucket(server).get("key", md5=md5(b"data").upper()) == b"data"
        assert server.num_requests == 2


def test_a_replaced_object_is_corrupt_as_soon_as_the_server_vouches_for_it():
    with serving(ok(b"new", md5(b"new"))) as server:
        with pytest.raises(CorruptObject, match=md5(b"new")):
            bucket(server).get("key", md5=md5(b"old"))
        assert server.num_requests == 1
    with serving(ok(b"new")) as server:
        with pytest.raises(CorruptObject, match=md5(b"new")):
            bucket(server).get("key", md5=md5(b"old"))
        assert server.num_requests == 3


def test_a_large_object_is_left_before_its_bytes_come(tmp_path: Path):
    body = bytes(30_000_000)
    (tmp_path / "key").write_bytes(body)
    with serving(ok(body)) as server:
        for source, ever in (
            (bucket(server), bucket(server, max_object_bytes=29_999_999)),
            (LocalBucket(tmp_path), LocalBucket(tmp_path, max_object_bytes=29_999_999)),
        ):
            with pytest.raises(LargeObject) as large:
                source.get("key", at_most=29_999_999)
            with pytest.raises(HugeObject) as huge:
                ever.get("key", at_most=10)
            with pytest.raises(HugeObject):
                source.open("key", at_most=10)
            assert large.value.size == huge.value.size == len(body)
        assert server.num_requests == 3
        assert server.num_sent < 2 * len(body)  # what the sockets between took
        assert bucket(server).get("key", at_most=len(body)) == body
