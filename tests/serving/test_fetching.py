"""Images by URL: what is fetched, and that nothing inside one's own network can be reached."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from bad_inputs import URLS
from serving_fakes import image_bytes

from figclip.serving.protocol import ApiError
from figclip.serving.routes import fetching
from figclip.serving.routes.fetching import (
    FetchConfig,
    NotFetched,
    checked_target,
    fetch_image,
    is_allowed,
    is_public,
    resolve_by_system,
)

PUBLIC = "93.184.215.14"
NOT_PUBLIC = """
127.0.0.1 127.255.0.9 0.0.0.0 0.1.2.3 10.1.2.3 172.31.255.1 192.168.4.4 169.254.169.254
100.64.0.1 100.127.255.255 192.0.0.8 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1
224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:93.184.215.14
::127.0.0.1 64:ff9b::7f00:1 64:ff9b::5db8:d70e 64:ff9b:1::1 2002:7f00:1:: 2002:5db8:d70e::
2001::1 2001:db8::1 3fff::1 fe80::1 fe80::1%lo fc00::1 fd12::1 fec0::1 ff02::1 100::1 5f00::1
localhost x
"""


@dataclass
class Listener:
    """A real HTTP server on loopback that counts who connects, and answers as it is told."""

    port: int
    answers: dict[str, bytes] = field(default_factory=dict)
    """Path → the whole answer."""
    num_connections: int = 0


@contextmanager
def listening() -> Iterator[Listener]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        found = Listener(server.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                found.num_connections += 1
                with peer:
                    path = peer.recv(4096).split(b" ")[1:2]
                    peer.sendall(found.answers.get(b"".join(path).decode(), b""))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield found
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def answer(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def config_of(port: int, **words: object) -> FetchConfig:
    return FetchConfig(**{"hosts": ("*",), "ports": (port,), "allow_http": True, **words})


def fetched(url: str, config: FetchConfig, *addresses: str) -> bytes:
    """By a resolver that answers with these addresses, or by the machine's own."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    chosen = resolve if addresses else resolve_by_system
    return asyncio.run(fetch_image(url, config=config, resolve=chosen, param="input[0]"))


def refused(url: str, config: FetchConfig, *addresses: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        fetched(url, config, *addresses)
    assert (caught.value.status, caught.value.code) == (400, "url_not_fetched")
    return caught.value


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback counts as public: so the listener stands for a host of the internet."""
    monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")


def test_no_spelling_reaches_a_local_listener(listener: Listener):
    assert len(set(URLS)) >= 40
    config = config_of(listener.port, timeout_s=5.0)
    for url in URLS:
        refused(url.format(port=listener.port), config)
    assert listener.num_connections == 0


@pytest.mark.usefixtures("near")
def test_the_listener_would_have_noticed(listener: Listener):
    config = config_of(listener.port)
    listener.answers["/"] = answer(b"here")
    assert fetched(f"http://127.1:{listener.port}/", config) == b"here"
    assert listener.num_connections == 1


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_an_address_of_no_public_host_is_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_are_public(address: str):
    assert is_public(address)


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "fd00::1"])
def test_one_private_address_among_public_ones_is_enough(inside: str, listener: Listener):
    config = config_of(listener.port)
    refused(f"http://images.example:{listener.port}/", config, PUBLIC, inside)
    refused(f"http://images.example:{listener.port}/", config, inside)
    assert listener.num_connections == 0


def test_the_name_is_resolved_once_and_the_connection_goes_to_that_address():
    """A resolver that says something else the second time (rebinding) is not asked again."""
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

    config = config_of(443)
    target = asyncio.run(checked_target("https://a.example/x", config=config, resolve=resolve))
    assert (target.host, target.address, asked) == ("a.example", PUBLIC, ["a.example"])


@pytest.mark.usefixtures("near")
def test_a_redirect_is_checked_as_the_first_url(listener: Listener):
    inner = f"http://127.0.0.2:{listener.port}/secret"
    listener.answers |= {
        "/away": answer(b"", f"Location: {inner}", status="302 Found"),
        "/near": answer(b"", "Location: /there", status="307 Temporary Redirect"),
        "/there": answer(b"picture"),
        "/round": answer(b"", "Location: /round", status="301 Moved"),
        "/file": answer(b"", "Location: file:///etc/passwd", status="302 Found"),
    }
    config = config_of(listener.port)
    base = f"http://127.0.0.1:{listener.port}"
    assert fetched(f"{base}/near", config) == b"picture"
    for path in ("/away", "/round", "/file"):
        refused(base + path, config)
    assert listener.num_connections == 2 + 1 + 4 + 1


@pytest.mark.usefixtures("near")
def test_answers_that_are_too_much_or_none_are_refused(listener: Listener):
    listener.answers |= {
        "/long": answer(b"x" * 2_000),
        "/lying": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "/endless": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000,
        "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nx",
        "/zipped": answer(b"x", "Content-Encoding: gzip"),
        "/gone": answer(b"x", status="404 Not Found"),
        "/nonsense": b"\x16\x03\x01\x02\x00",
        "/nothing": b"",
    }
    config = config_of(listener.port, max_bytes=1_000)
    for path in listener.answers:
        refused(f"http://127.0.0.1:{listener.port}{path}", config)


@pytest.mark.usefixtures("near")
def test_a_host_that_says_nothing_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        refused(f"http://127.0.0.1:{port}/", config_of(port, timeout_s=0.3))


@pytest.mark.usefixtures("near")
def test_a_picture_comes_as_it_is(listener: Listener):
    picture = image_bytes("JPEG")
    listener.answers["/a.jpg?b=c"] = answer(picture)
    assert (
        fetched(f"http://127.0.0.1:{listener.port}/a.jpg?b=c", config_of(listener.port)) == picture
    )


def test_as_it_stands_nothing_is_fetched():
    assert "fetches no URLs" in refused("https://images.example/", FetchConfig()).message


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example/",
        "https://images.example:444/",
        "https://other.example/",
        "https://images.example.evil.org/",
        "https://deep.images.example/",
        "https://ⓘmages.example/",
        "https://images.example/" + "a" * 3_000,
    ],
)
def test_what_is_not_on_the_list_is_not_even_resolved(url: str):
    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError("asked for")

    config = FetchConfig(hosts=("images.example", "*.images.test"))
    with pytest.raises(NotFetched):
        asyncio.run(checked_target(url, config=config, resolve=resolve))


def test_a_star_allows_what_is_below_and_nothing_beside():
    hosts = ("*.images.test", "One.example")
    assert is_allowed("a.b.images.test", hosts)
    assert is_allowed("one.EXAMPLE", hosts)
    for other in ("images.test", "evilimages.test", "images.test.evil.org", "a.one.example"):
        assert not is_allowed(other, hosts), other


def test_an_error_does_not_tell_what_is_inside(listener: Listener):
    """Whether something listens there, or nothing, or the name is unknown: one answer."""
    config = config_of(listener.port)
    texts = {
        str(refused(url, config, *addresses).body())
        for url, addresses in (
            (f"http://127.0.0.1:{listener.port}/", ()),
            (f"http://10.0.0.1:{listener.port}/", ()),
            (f"http://a.example:{listener.port}/", ("10.0.0.1",)),
            (f"http://a.example:{listener.port + 1}/", ("127.0.0.1",)),
        )
    }
    assert len(texts) == 1
