"""Images from URLs: only from hosts that are allowed, and never from inside one's own network.

A URL is a way to make this server speak to others in its name (server-side request forgery). So a
host has to stand on a list; its name is resolved once, every address it resolves to has to be a
public one, and the connection goes to that very address. A redirect begins all that anew.
"""

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, urljoin, urlsplit

import h11
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from figclip.config import Config
from figclip.serving.protocol import ApiError

log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → all its addresses."""

REDIRECTS = (301, 302, 303, 307, 308)
CHUNK = 65_536

NEVER_4 = tuple(map(IPv4Network, ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24")))
"""Beside what `ipaddress` says is not global: "this" network, carriers' NAT, protocol assignments,
and the way to 6to4."""

GLOBAL_6 = IPv6Network("2000::/3")
NEVER_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Within the global ones: Teredo and other assignments, examples, 6to4 (an IPv4 address inside).
Addresses that map or translate IPv4 (`::ffff:0:0/96`, `64:ff9b::/96`) are not global ones."""


class FetchConfig(Config):
    """Which images are fetched; as it stands none are."""

    hosts: tuple[str, ...] = ()
    """Names of hosts, `*.example.org` for all below one, `*` for every public host."""
    ports: tuple[PositiveInt, ...] = (443,)
    allow_http: bool = False
    """Fetch `http://` as well, where anybody on the way can change the image."""
    max_bytes: PositiveInt = 20 * 2**20
    """Of one image."""
    timeout_s: PositiveFloat = 10.0
    """For one image, redirects and all."""
    max_redirects: NonNegativeInt = 3
    per_request: PositiveInt = 32
    """URLs in one request."""
    at_once: PositiveInt = 8
    """Images that are fetched at the same time for one request."""


class NotFetched(Exception):
    """Why there is no image; the text is for the log and holds nothing of the URL."""


@dataclass(frozen=True)
class Target:
    """A URL that may be asked for, and the address that was checked."""

    url: SplitResult
    host: str
    port: int
    address: str

    @property
    def is_https(self) -> bool:
        return self.url.scheme == "https"


async def fetch_image(url: str, *, config: FetchConfig, resolve: Resolve, param: str) -> bytes:
    """The bytes behind a URL, which may be anything.

    A 400 `ApiError` where the list does not allow it, or it could not be had. It does not say what
    the name resolved to or what answered there: that would map the network around this server.
    """
    if not config.hosts:
        raise ApiError(
            400,
            f"{param}: this server fetches no URLs",
            param=param,
            code="url_not_fetched",
            remedy="send the image itself, as a data: URI",
        )
    try:
        async with asyncio.timeout(config.timeout_s):
            return await _follow(url, config, resolve)
    except (NotFetched, TimeoutError, OSError, h11.ProtocolError, ssl.SSLError) as error:
        log.info("an image was not fetched: %s", error if _is_ours(error) else type(error).__name__)
        raise ApiError(
            400,
            f"{param}: no image could be fetched from this URL",
            param=param,
            code="url_not_fetched",
            remedy="send the image itself, as a data: URI; or name a public https:// URL of a host "
            "that this server's operator allows",
        ) from None


def _is_ours(error: Exception) -> bool:
    return isinstance(error, NotFetched)


async def _follow(url: str, config: FetchConfig, resolve: Resolve) -> bytes:
    was_https = False
    for _ in range(config.max_redirects + 1):
        target = await checked_target(url, config=config, resolve=resolve)
        if was_https and not target.is_https:
            raise NotFetched("a redirect from https to http")
        was_https = target.is_https
        found = await _get(target, max_bytes=config.max_bytes)
        if isinstance(found, bytes):
            return found
        url = urljoin(url, found.location)
    raise NotFetched("too many redirects")


async def checked_target(url: str, *, config: FetchConfig, resolve: Resolve) -> Target:
    """The URL with an address that may be connected to; `NotFetched` where there is none."""
    if len(url) > 2_048 or not url.isascii() or not url.isprintable() or set(url) & set(' \\<>"'):
        raise NotFetched("characters that no URL has")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise NotFetched("no URL") from error
    if parts.scheme not in ("https", *(["http"] if config.allow_http else [])):
        raise NotFetched("a scheme that is not allowed")
    if parts.username is not None or parts.password is not None:
        raise NotFetched("a name or password in the URL")
    if not host or not is_allowed(host, config.hosts):
        raise NotFetched("a host that is not on the list")
    port = port or (443 if parts.scheme == "https" else 80)
    if port not in config.ports:
        raise NotFetched("a port that is not on the list")
    addresses = await resolve(host, port)
    if not addresses or not all(map(is_public, addresses)):
        raise NotFetched("a host with an address that is not public")
    return Target(parts, host, port, addresses[0])


def is_allowed(host: str, hosts: tuple[str, ...]) -> bool:
    """`*.example.org` allows what is below it, and not itself."""
    name = host.lower()
    return any(
        entry == "*" or name == entry or (entry.startswith("*.") and name.endswith(entry[1:]))
        for entry in map(str.lower, hosts)
    )


def is_public(address: str) -> bool:
    """An address of the internet at large: not private, loopback, link-local, shared, multicast,
    reserved, and no IPv6 spelling of such a one."""
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not one.is_global or one.is_multicast or one.is_reserved or one.is_unspecified:
        return False
    if isinstance(one, IPv4Address):
        return not any(one in network for network in NEVER_4)
    return _is_public_6(one)


def _is_public_6(one: IPv6Address) -> bool:
    return one in GLOBAL_6 and not any(one in network for network in NEVER_6)


async def resolve_by_system(host: str, port: int) -> list[str]:
    """By the machine's resolver, which also knows `2130706433`, `0x7f.1` and `127.1`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


@dataclass(frozen=True)
class _Redirect:
    location: str


async def _get(target: Target, *, max_bytes: int) -> bytes | _Redirect:
    """One request over a connection to the checked address, and to no other."""
    context = ssl.create_default_context() if target.is_https else None
    reader, writer = await asyncio.open_connection(
        target.address,
        target.port,
        ssl=context,
        server_hostname=target.host if context else None,
    )
    try:
        connection = h11.Connection(our_role=h11.CLIENT)
        writer.write(_request(connection, target))
        await writer.drain()
        return await _read_answer(connection, reader, max_bytes)
    finally:
        writer.close()


def _request(connection: h11.Connection, target: Target) -> bytes:
    path = target.url.path or "/"
    request = h11.Request(
        method="GET",
        target=f"{path}?{target.url.query}" if target.url.query else path,
        headers=[
            ("Host", target.url.netloc),
            ("Accept", "image/*"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "figclip"),
            ("Connection", "close"),
        ],
    )
    return (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")


async def _read_answer(
    connection: h11.Connection, reader: asyncio.StreamReader, max_bytes: int
) -> bytes | _Redirect:
    body = bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(CHUNK))
            case h11.Response() as response:
                headers = {name.lower(): value for name, value in response.headers}
                if response.status_code in REDIRECTS:
                    return _Redirect(headers.get(b"location", b"").decode("ascii", "replace"))
                _check_headers(response.status_code, headers, max_bytes)
            case h11.Data(data=data):
                body += data
                if len(body) > max_bytes:
                    raise NotFetched("too many bytes")
            case h11.InformationalResponse():
                pass
            case _:
                return bytes(body)


def _check_headers(status: int, headers: dict[bytes, bytes], max_bytes: int) -> None:
    if status != 200:
        raise NotFetched(f"status {status}")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise NotFetched("a compressed answer")
    length = headers.get(b"content-length", b"0")
    if len(length) > 15 or int(length) > max_bytes:
        raise NotFetched("too many bytes")
