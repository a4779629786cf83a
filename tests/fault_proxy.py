"""A proxy in front of an S3 server that spoils some of its answers, by a plan that a seed decides.

In a test: `with FaultProxy(url, FaultPlan(seed=1)) as proxy: S3Bucket(..., endpoint=proxy.url)`.
As a process: `python tests/fault_proxy.py --upstream http://127.0.0.1:9000 --seed 1`; its first
line is its port, and `GET /_faults` of it is a JSON of what it has done so far. It ends when it is
told to (SIGTERM), and prints that JSON again.
"""

import argparse
import json
import random
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

KINDS = ("slow_down", "reset", "truncated", "delayed", "flipped")
SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
EXPECT = b"Expect: 100-continue\r\n"
PIECE_BYTES = 2**17


@dataclass(frozen=True)
class FaultPlan:
    """Which answers are spoilt, and how. The same seed spoils the same ones, in whatever order
    they are asked for: what counts is an object's name and how often it was asked for before."""

    seed: int = 0
    fraction: float = 0.05
    """Of the answers."""
    kinds: tuple[str, ...] = KINDS
    delay_s: float = 0.3
    """Of a delayed answer."""
    retry_after_s: int = 0
    """What a 503 asks for; 0 asks for nothing."""
    first_answers: int = 10**9
    """Only so many answers to each request may be spoilt."""

    def fault(self, request: str, number: int) -> str:
        """The kind for the `number`th answer (from 0) to a request; empty for none."""
        dice = random.Random(f"{self.seed}/{number}/{request}")
        if number >= self.first_answers or dice.random() >= self.fraction:
            return ""
        return dice.choice(self.kinds)


class FaultProxy:
    """A thread for each connection; bytes pass through as they come."""

    def __init__(self, upstream: str, plan: FaultPlan, *, port: int = 0) -> None:
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.plan = plan
        self.counts: Counter[str] = Counter()
        """Answers by kind of fault, beside those that were `fine` and all of them, `answers`."""
        self.asked: Counter[str] = Counter()
        """How often each object was asked for, by `GET /bucket/key`."""
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", port), backlog=256)
        self._connections: set[socket.socket] = set()
        self.port: int = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "FaultProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        _hang_up(self._server)  # else `accept` would go on waiting
        self._server.close()
        for connection in list(self._connections):
            _hang_up(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return  # closed
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        upstream = _Upstream(self.upstream)
        try:
            incoming = _Incoming(client)
            while head := incoming.head():
                if not self._answer(client, incoming, upstream, head):
                    return
        except OSError:
            return  # either side has gone
        finally:
            upstream.close()
            client.close()
            self._connections.discard(client)

    def _answer(
        self, client: socket.socket, incoming: "_Incoming", upstream: "_Upstream", head: bytes
    ) -> bool:
        """Pass a request on and its answer back; whether the connection lives on."""
        request = head.split(b"\r\n", 1)[0].decode("latin-1").rpartition(" ")[0]
        if EXPECT in head:  # boto asks for leave before it sends a body
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = head.replace(EXPECT, b"")
        body = b"".join(incoming.body(head, of_request=True))
        if request == "GET /_faults":
            client.sendall(_message(b"200 OK", json.dumps(self.counts).encode()))
            return True
        number, fault = self._next_fault(request)
        if fault == "slow_down":
            extra = b"Retry-After: %d\r\n" % self.plan.retry_after_s
            text = SLOW_DOWN
            client.sendall(
                _message(b"503 Slow Down", text, extra if self.plan.retry_after_s else b"")
            )
            return True
        if fault == "reset":
            # With no time to linger, closing sends RST instead of FIN.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault == "delayed":
            time.sleep(self.plan.delay_s)
        answer, answered = upstream.ask(head + body)
        return self._pass_back(client, answer, answered, fault, f"{number}/{request}")

    def _pass_back(
        self,
        client: socket.socket,
        answer: bytes,
        answered: "_Incoming",
        fault: str,
        numbered: str,
    ) -> bool:
        request = numbered.partition("/")[2]
        size = _length(answer) or 0
        has_body = size > 0 and not request.startswith("HEAD ") and _status(answer) == 200
        is_object = has_body and "list-type=" not in request
        if fault == "truncated" and not has_body:
            fault = "fine instead of truncated"
        if fault == "flipped" and not is_object:
            fault = "fine instead of flipped"
        if fault != "delayed":
            self._count(fault or "fine")
        client.sendall(answer)
        left = size // 2 if fault == "truncated" else size
        # No wire errs alike twice: another byte each time that the object is asked for.
        at = random.Random(f"{self.plan.seed}/{numbered}").randrange(size) if size else 0
        pieces = answered.body(answer, of_request=False, is_head=request.startswith("HEAD "))
        for piece in pieces:
            if fault == "flipped" and 0 <= at < len(piece):
                piece = piece[:at] + bytes([piece[at] ^ 0x20]) + piece[at + 1 :]
            at -= len(piece)
            if fault == "truncated":
                piece = piece[:left]
                left -= len(piece)
                client.sendall(piece)
                if not left:
                    return False
            else:
                client.sendall(piece)
        return b"connection: close" not in answer.lower()

    def _next_fault(self, request: str) -> tuple[int, str]:
        """How often the request was made before, and what becomes of its answer."""
        with self._lock:
            number = self.asked[request]
            self.asked[request] += 1
        fault = self.plan.fault(request, number)
        if fault in ("slow_down", "reset", "delayed"):  # those that need no answer to spoil
            self._count(fault)
        return number, fault

    def _count(self, fault: str) -> None:
        with self._lock:
            self.counts["answers"] += 1
            self.counts[fault] += 1


class _Incoming:
    """HTTP messages of one connection: heads as they are, bodies piece by piece."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""

    def head(self) -> bytes:
        """Up to and with the empty line; empty at the end of the connection."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return b""
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def body(self, head: bytes, *, of_request: bool, is_head: bool = False) -> Iterator[bytes]:
        """What follows a head, framing included."""
        if is_head or _status(head) in (204, 304):
            return
        length = _length(head)
        if b"transfer-encoding: chunked" in head.lower():
            yield from self._chunks()
        elif length is not None:
            yield from self._bytes(length)
        elif not of_request:
            while self.buffer or self._more():
                yield self._taken(len(self.buffer))

    def _chunks(self) -> Iterator[bytes]:
        while True:
            while b"\r\n" not in self.buffer:
                if not self._more():
                    raise OSError("broke off")
            size = int(self.buffer.partition(b"\r\n")[0].partition(b";")[0], 16)
            line = self.buffer.index(b"\r\n") + 2
            yield from self._bytes(line + size + 2)  # no trailers
            if not size:
                return

    def _bytes(self, length: int) -> Iterator[bytes]:
        while length > 0:
            if not self.buffer and not self._more():
                raise OSError("broke off")
            piece = self._taken(length)
            length -= len(piece)
            yield piece

    def _taken(self, length: int) -> bytes:
        piece, self.buffer = self.buffer[:length], self.buffer[length:]
        return piece

    def _more(self) -> bool:
        data = self.connection.recv(PIECE_BYTES)
        self.buffer += data
        return bool(data)


class _Upstream:
    """The connection to the server behind, opened again whenever the server has closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.connection: socket.socket | None = None
        self.incoming: _Incoming | None = None

    def ask(self, message: bytes) -> tuple[bytes, _Incoming]:
        for _ in range(3):
            is_fresh = self.incoming is None
            incoming = self.incoming or self._open()
            try:
                incoming.connection.sendall(message)
                if answer := incoming.head():
                    if b"connection: close" in answer.lower():
                        self.incoming = None  # this one answer still comes on it
                    return answer, incoming
            except OSError:
                if is_fresh:
                    raise
            self.close()
        raise OSError("the server behind does not answer")

    def _open(self) -> _Incoming:
        self.close()
        self.connection = socket.create_connection(self.address, timeout=60)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming = _Incoming(self.connection)
        return self.incoming

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = self.incoming = None


def _status(head: bytes) -> int:
    parts = head.split(b" ", 2)
    return int(parts[1]) if head.startswith(b"HTTP/") and parts[1].isdigit() else 0


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return None


def _message(status: bytes, body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, extra, len(body), body)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has gone already


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    for name, value in asdict(FaultPlan()).items():
        if name != "kinds":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    words = vars(parser.parse_args())
    upstream, port = words.pop("upstream"), words.pop("port")
    plan = FaultPlan(**{**words, "kinds": tuple(words["kinds"])})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with FaultProxy(upstream, plan, port=port) as proxy:
        print(proxy.port, flush=True)
        try:
            threading.Event().wait()
        except (KeyboardInterrupt, SystemExit):
            print(json.dumps(proxy.counts), flush=True)


if __name__ == "__main__":
    main()
