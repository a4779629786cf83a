"""A server that does to each request what the script says, and keeps every byte it was sent."""

import json
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

CLOSED = b""
"""Closes the connection and answers nothing."""


def reply(body: object, status: int = 200, **headers: str) -> bytes:
    """An answer in JSON; `reply(...)[:-20]` is one that ends early."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in names.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


@dataclass
class Scripted:
    """A running one."""

    url: str
    requests: list[bytes] = field(default_factory=list)
    """Head and body of each, in the order in which they came."""


@contextmanager
def scripted_server(script: Sequence[bytes]) -> Iterator[Scripted]:
    """One connection a request; the last line of the script answers all that follow."""
    listening = socket.create_server(("127.0.0.1", 0))
    seen = Scripted(f"http://127.0.0.1:{listening.getsockname()[1]}")
    lock = threading.Lock()

    def answer(connection: socket.socket) -> None:
        with connection:
            request = read_request(connection)
            if not request:
                return
            with lock:
                line = script[min(len(seen.requests), len(script) - 1)]
                seen.requests.append(request)
            connection.sendall(line)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # the test has ended
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield seen
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def read_request(connection: socket.socket) -> bytes:
    """Head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        some = connection.recv(65536)
        if not some:
            return data
        data += some
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
