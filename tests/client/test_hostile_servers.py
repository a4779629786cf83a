"""The client against servers that refuse, answer by halves, drip, lie, or are not there."""

import base64
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import CLOSED, reply, scripted_server

from figclip.client import Client, Patience, ServiceError
from figclip.client.patience import retry_after_s
from figclip.client.sending import Clock

VECTOR = base64.b64encode(np.array([0.6, 0.8], "<f4").tobytes()).decode()
GOOD = {"data": [{"index": 0, "embedding": VECTOR, "truncated": False}]}
BUSY = {"error": {"message": "too many", "code": "too_many_requests", "remedy": "wait"}}


class Sleeper:
    """A clock that sleeps in no time, and remembers."""

    def __init__(self, luck: float = 0.0) -> None:
        self.slept: list[float] = []
        self.clock = Clock(now=self.now, sleep=self.slept.append, luck=lambda: luck)

    def now(self) -> float:
        return sum(self.slept)


def client_of(url: str, sleeper: Sleeper | None = None, **options: Any) -> Client:
    clock = (sleeper or Sleeper()).clock
    return Client(url, model="m", clock=clock, **options)


def embedded(client: Client) -> list[float]:
    with client:
        return client.embed(["a"]).vectors[0].tolist()


def test_two_refusals_are_waited_out_as_the_server_asks():
    script = [reply(BUSY, 429, Retry_After="3"), reply(BUSY, 503, Retry_After="7"), reply(GOOD)]
    sleeper = Sleeper()
    with scripted_server(script) as server:
        assert embedded(client_of(server.url, sleeper)) == pytest.approx([0.6, 0.8])
    assert sleeper.slept == [3, 7]
    bodies = {request.partition(b"\r\n\r\n")[2] for request in server.requests}
    assert len(server.requests) == 3
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "bad",
    [
        CLOSED,
        b"HTTP/1.1 200 OK\r\nContent-",
        reply(GOOD)[:-20],
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        + reply(GOOD).partition(b"\r\n\r\n")[2][:-9],
        b"\x00\xff nonsense\r\n\r\n",
        reply(b"<html>", 502),
    ],
    ids=["closed", "half a head", "half a body", "half of unknown length", "no HTTP", "proxy"],
)
def test_half_answers_and_lost_connections_are_asked_again(bad: bytes):
    with scripted_server([bad, bad, reply(GOOD)]) as server:
        assert embedded(client_of(server.url)) == pytest.approx([0.6, 0.8])
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500])
def test_what_asking_again_does_not_mend_is_asked_once(status: int):
    told = {"error": {"message": "no", "code": "why", "param": "model", "remedy": "mend it"}}
    with scripted_server([reply(told, status)]) as server, pytest.raises(ServiceError) as caught:
        embedded(client_of(server.url))
    error = caught.value
    assert (error.status, error.code, error.message, error.param) == (status, "why", "no", "model")
    assert str(error) == "no [why]: mend it"
    assert len(server.requests) == 1


def test_waits_grow_and_end_before_the_deadline_with_the_last_error():
    sleeper = Sleeper(luck=0.999999)
    with scripted_server([reply(BUSY, 429)]) as server, pytest.raises(ServiceError) as caught:
        embedded(client_of(server.url, sleeper, patience=Patience(deadline_s=10)))
    assert caught.value.code == "too_many_requests"
    assert sleeper.slept == pytest.approx([0.25, 0.5, 1, 2, 4], rel=1e-3)
    assert sum(sleeper.slept) < 10


def test_a_wait_beyond_the_deadline_is_not_begun():
    sleeper = Sleeper()
    script = [reply(BUSY, 429, Retry_After="3600")]
    with scripted_server(script) as server, pytest.raises(ServiceError):
        embedded(client_of(server.url, sleeper))
    assert sleeper.slept == []
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_unreachable_with_a_remedy():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ServiceError, match="does not answer") as caught:
            embedded(client_of(url, patience=Patience(deadline_s=2)))
    assert caught.value.code == "unreachable"
    assert caught.value.remedy


def test_an_answer_that_drips_is_given_up_at_the_deadline():
    listening = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
            for _ in range(200):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return
                time.sleep(0.02)

    threading.Thread(target=drip, daemon=True).start()
    start = time.monotonic()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    client = Client(url, model="m", patience=Patience(deadline_s=0.3))
    with listening, client, pytest.raises(ServiceError) as caught:
        client.embed(["a"])
    assert caught.value.code == "unreachable"
    assert time.monotonic() - start < 2


def row(**changes: Any) -> dict[str, Any]:
    return {"data": [{"index": 0, "embedding": VECTOR, **changes}]}


NAN = base64.b64encode(np.array([np.nan], "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "text",
        {"data": {}},
        {"data": []},
        {"data": GOOD["data"] * 2},
        {"data": [None]},
        row(index=1),
        row(index="x"),
        row(embedding=None),
        row(embedding=""),
        row(embedding="!!!!"),
        row(embedding="AAA="),
        row(embedding=NAN),
        row(embedding=[[1.0]]),
        row(embedding=["x"]),
    ],
)
def test_an_answer_that_is_none_is_never_taken_for_vectors(answer: Any):
    with scripted_server([reply(answer)]) as server, pytest.raises(ServiceError) as caught:
        embedded(client_of(server.url))
    assert caught.value.code == "bad_answer"


def test_a_service_that_sends_numbers_is_understood():
    with scripted_server([reply(row(embedding=[0.6, 0.8]))]) as server:
        assert embedded(client_of(server.url)) == pytest.approx([0.6, 0.8])


def test_the_key_is_sent_and_told_in_no_error():
    key = "figclip_secret_of_mine"
    with scripted_server([reply(b"no", 401)]) as server, pytest.raises(ServiceError) as caught:
        embedded(client_of(server.url, key=key))
    assert f"authorization: bearer {key}".encode() in server.requests[0].lower()
    assert key not in str(caught.value) + repr(caught.value)


def test_a_redirect_is_not_followed_with_the_key_and_the_pictures():
    script = [reply(b"", 307, Location="http://127.0.0.1:9/elsewhere")]
    with scripted_server(script) as server, pytest.raises(ServiceError) as caught:
        embedded(client_of(server.url, key="k"))
    assert caught.value.status == 307
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "localhost"])
def test_what_is_no_address_is_refused_at_once(url: str):
    with pytest.raises(ServiceError, match="no address"):
        Client(url)


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("-3", 0),
        (f"{NOW + timedelta(seconds=90):%a, %d %b %Y %H:%M:%S GMT}", 90),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_number_or_date(header: str | None, expected: float | None):
    assert retry_after_s(header, now=lambda: NOW) == expected


@given(
    num_failed=st.integers(1, 1_000),
    asked=st.none() | st.floats(0, 1e6),
    luck=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_the_longest(
    num_failed: int, asked: float | None, luck: float
):
    wait = Patience().wait_s(num_failed, retry_after_s=asked, luck=luck)
    assert wait > 0 if asked is None else wait >= asked
    assert wait <= (Patience().longest_wait_s if asked is None else asked * 1.25)
