"""The really running server under bad requests, slow ones, and many; and what it leaves behind."""

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
from bad_inputs import MODEL_ID, bad_inputs, uri
from embedding_server import Served, serving
from serving_fakes import image_bytes
from test_fetching import Listener, listening

from figclip.serving.door.keys import KeyFile, Scope, new_key, write_keys
from figclip.serving.door.rates import Rates

pytestmark = pytest.mark.timeout(240)

CANARY = "CanaryThatNobodyMayKeep"
BAD = bad_inputs()
KINDS = list(dict.fromkeys(bad.kind for bad in BAD))


class Keys:
    """The keys of the server, which are changed while it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: tuple = ()

    def add(self, name: str, *scopes: Scope, **rates: float) -> dict[str, str]:
        """A header with a new key."""
        key, text = new_key(name, scopes=scopes, now=datetime.now(UTC), rates=Rates(**rates))
        self._kept += (key,)
        write_keys(self.path, KeyFile(keys=self._kept))
        return {"Authorization": f"Bearer {text}"}

    def revoke(self, name: str) -> None:
        self._kept = tuple(key for key in self._kept if key.name != name)
        write_keys(self.path, KeyFile(keys=self._kept))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def key(keys: Keys) -> dict[str, str]:
    return keys.add("tests", "embed")


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, keys: Keys, key: dict[str, str], listener: Listener
) -> Iterator[Served]:
    """It fetches from every public host by http: the worst that an operator can choose."""
    fetch = {"hosts": ["*"], "allow_http": True, "ports": [1, listener.port], "timeout_s": 1.0}
    folder = tmp_path_factory.mktemp("served")
    settings = {"door": {"silence_s": 0.5}, "fetch": fetch, "keys": str(keys.path)}
    with serving(folder, **settings) as found:
        yield found


def embed(server: Served, key: dict[str, str], **words: object) -> httpx.Response:
    body = {"model": MODEL_ID, "input": ["a red disc"], **words}
    return httpx.post(f"{server.url}/v1/embeddings", json=body, headers=key, timeout=10)


def check_good(server: Served, key: dict[str, str], expected: list[float]) -> None:
    """The next good request is right, and within a second."""
    start = time.monotonic()
    answer = embed(server, key)
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - start < 1
    np.testing.assert_allclose(answer.json()["data"][0]["embedding"], expected, atol=1e-6)


@pytest.fixture(scope="module")
def expected(server: Served, key: dict[str, str]) -> list[float]:
    return embed(server, key).json()["data"][0]["embedding"]


def test_there_are_enough_bad_inputs_of_every_class():
    assert len(BAD) >= 200
    assert len(KINDS) + 1 == 12  # slow bodies stand below


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_request_is_answered_with_an_error_and_forgotten(
    kind: str, server: Served, key: dict[str, str], expected: list[float]
):
    before = server.rss_mb()
    with httpx.Client(base_url=server.url, timeout=10) as client:
        for bad in (bad for bad in BAD if bad.kind == kind):
            start = time.monotonic()
            headers = {"Content-Type": "application/json", **key, **bad.headers}
            answer = client.request(bad.method, bad.path, content=bad.body, headers=headers)
            assert 400 <= answer.status_code < 500, (bad.name, answer.text[:200])
            assert time.monotonic() - start < 2, bad.name
            if bad.method != "HEAD":
                error = answer.json()["error"]
                assert error["code"], bad.name
                assert error["message"], bad.name
                assert error["remedy"], bad.name
    assert server.rss_mb() - before < 200
    check_good(server, key, expected)


def test_one_bad_image_among_31_good_ones_is_named(server: Served, key: dict[str, str]):
    good = [uri(image_bytes(color=(n * 8, 90, 120))) for n in range(31)]
    cut = uri(image_bytes("JPEG", (64, 64))[:300])
    answer = embed(server, key, input=[*good[:15], cut, *good[15:]])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input[15]")
    alone = [embed(server, key, input=one).json()["data"][0]["embedding"] for one in good[:3]]
    together = embed(server, key, input=good).json()["data"]
    np.testing.assert_allclose([one["embedding"] for one in together[:3]], alone, atol=1e-5)


def said(server: Served, key: dict[str, str], *lines: str, body: bytes = b"") -> bytes:
    """A request's bytes, as written by hand."""
    authorization = f"Authorization: {key['Authorization']}"
    head = ["POST /v1/embeddings HTTP/1.1", "Host: a", authorization, *lines, "", ""]
    return "\r\n".join(head).encode() + body


def conversation(server: Served, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """What the server says until it closes, or stops for a second."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as peer:
        try:
            for piece in pieces:
                peer.sendall(piece)
                time.sleep(pause_s)
        except OSError:
            pass  # it has heard enough
        found = b""
        try:
            while part := peer.recv(65_536):
                found += part
        except OSError:
            pass
        return found


JSON = "Content-Type: application/json"


@pytest.mark.parametrize("pieces", [1, 2, 8])
def test_a_body_that_stalls_or_drips_is_cut(
    pieces: int, server: Served, key: dict[str, str], expected: list[float]
):
    """Nothing after the headers, half a body, or a byte every now and then."""
    head = said(server, key, JSON, "Content-Length: 4000")
    start = time.monotonic()
    heard = conversation(server, head, *[b"{"] * (pieces - 1), pause_s=0.2)
    assert heard.startswith(b"HTTP/1.1 408"), heard[:100]
    assert b'"code":"slow_body"' in heard
    assert time.monotonic() - start < 5
    check_good(server, key, expected)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 99999999999999999999",),
        ("Content-Length: 999999999",),
        ("Content-Length: -5",),
        ("Content-Length: five",),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked",),
        ("Content-Length: 5", f"X-Long: {'a' * 200_000}"),
        ("Content-Length: 5", *(f"X-{n}: a" for n in range(5_000))),
        ("Content-Length: 5", "X-Bad\0: a"),
        ("Content-Length: 5", "Expect: 100-continue"),
        ("Content-Length: 5", "Upgrade: websocket", "Connection: Upgrade"),
        ("Content-Length: 5", "Authorization: Basic ????"),
    ],
)
def test_headers_that_lie_are_refused_or_cut(
    lines: tuple[str, ...], server: Served, key: dict[str, str], expected: list[float]
):
    heard = conversation(server, said(server, key, JSON, *lines, body=b"ZZ\r\n{"))
    for line in heard.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 "):
            assert line[9:10] in (b"4", b"1"), line
    check_good(server, key, expected)


def test_a_client_that_sends_too_much_still_reads_the_answer(
    server: Served, key: dict[str, str], expected: list[float]
):
    """It would not, if the connection were closed while it writes."""
    body = b'{"model": "' + b"a" * 36 * 2**20
    answer = httpx.post(
        f"{server.url}/v1/embeddings",
        content=body,
        headers={"Content-Type": "application/json", **key},
        timeout=10,
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_long")
    check_good(server, key, expected)


def test_two_hundred_half_open_connections_stop_nobody(
    server: Served, key: dict[str, str], expected: list[float]
):
    openings = (
        b"",
        b"POST /v1/embe",
        b"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\n",
        said(server, key, JSON, "Content-Length: 90"),
        said(server, key, JSON, "Content-Length: 90", body=b'{"model": '),
    )
    with ExitStack() as stack:
        for number in range(200):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            peer.sendall(openings[number % len(openings)])
        for _ in range(5):
            check_good(server, key, expected)
    check_good(server, key, expected)


def test_no_url_reached_the_local_listener(server: Served, key: dict[str, str], listener: Listener):
    from bad_inputs import URLS

    for url in URLS:
        spelled = url.format(port=listener.port)
        answer = embed(server, key, input=[{"image": spelled}])
        assert answer.status_code == 400, spelled
    assert listener.num_connections == 0


def test_the_openai_client_works_as_it_is(server: Served, key: dict[str, str]):
    secret = key["Authorization"].removeprefix("Bearer ")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0)
    answer = client.embeddings.create(model=MODEL_ID, input=["a", uri(image_bytes()), "b c"])
    assert [item.index for item in answer.data] == [0, 1, 2]
    norms = np.linalg.norm([item.embedding for item in answer.data], axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)
    assert [model.id for model in client.models.list()] == [MODEL_ID]
    stranger = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.embeddings.create(model=MODEL_ID, input="a")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="gpt", input="a")
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL_ID, input="")
    assert caught.value.code == "empty_text"


def test_keys_come_and_go_while_the_server_runs(server: Served, keys: Keys):
    assert embed(server, {}).status_code == 401
    other = keys.add("other", "search")
    late = keys.add("late", "embed")
    time.sleep(1.2)
    refused = embed(server, other)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
    assert embed(server, late).status_code == 200
    keys.revoke("late")
    time.sleep(1.2)
    answer = embed(server, late)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_key")
    assert "WWW-Authenticate" in answer.headers


def test_a_key_that_asks_too_often_is_told_when_to_come_back(server: Served, keys: Keys):
    slow = keys.add("slow", "embed", requests_per_minute=2)
    time.sleep(1.2)
    answers = [embed(server, slow) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 30
    assert answers[2].json()["error"]["code"] == "rate_of_requests"


def test_nothing_that_was_sent_is_found_afterwards(server: Served, key: dict[str, str]):
    """In no file below the server's working directory, home and temporary folder, and in no log:
    of texts, of pictures good and bad, of names of models, URLs and paths."""
    good = image_bytes() + CANARY.encode()
    bad = image_bytes("JPEG")[:400] + CANARY.encode()
    for words in (
        {"input": CANARY},
        {"input": [uri(good), uri(bad), CANARY]},
        {"input": uri(good)},
        {"input": uri(bad)},
        {"input": [{"image": f"http://{CANARY}.example/{CANARY}"}]},
        {"model": CANARY},
        {"input": [5, CANARY]},
        {CANARY: CANARY},
        {"user": CANARY},
    ):
        embed(server, key, **words)
    pictures = {"images": [uri(good)], "classes": [CANARY, "b"]}
    for path, body in {
        "/v1/zero-shot": pictures,
        "/v1/similarity": {"left": [CANARY], "right": [uri(bad)]},
        f"/{CANARY}": {},
        f"/v1/models/{CANARY}?q={CANARY}": {},
    }.items():
        httpx.post(server.url + path, json={"model": MODEL_ID, **body}, headers=key, timeout=10)
    httpx.get(f"{server.url}/v1/models/{CANARY}?q={CANARY}", headers=key, timeout=10)
    httpx.get(server.url, headers={"Authorization": f"Bearer {CANARY}"}, timeout=10)
    files = [path for path in server.folder.rglob("*") if path.is_file()]
    assert any(path.name == "log" for path in files)
    in_base64 = [base64.b64encode(f"{pad}{CANARY}".encode())[4:24] for pad in ("", "a", "ab")]
    picture = base64.b64encode(good)[:60]
    for path in files:
        found = path.read_bytes()
        for trace in (CANARY.encode(), good[40:120], picture, *in_base64):
            assert trace not in found, path


def test_the_log_tells_of_every_request_by_its_id(server: Served, key: dict[str, str]):
    answer = httpx.post(
        f"{server.url}/v1/embeddings",
        json={"model": MODEL_ID, "input": ["a", uri(image_bytes())]},
        headers={"X-Request-ID": "my-own.1", **key},
        timeout=10,
    )
    assert answer.headers["X-Request-ID"] == "my-own.1"
    lines = [one for one in (server.folder / "log").read_text().splitlines() if one[0] == "{"]
    [line] = [one for one in map(json.loads, lines) if one.get("request_id") == "my-own.1"]
    assert (line["route"], line["status"], line["num_items"]) == ("/v1/embeddings", 200, 2)
    assert line["key"] == "tests"
    assert set(line["stages_ms"]) == {"read", "check", "embed", "answer"}
