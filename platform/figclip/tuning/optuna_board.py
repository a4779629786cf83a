"""optuna-dashboard as a process: `python -m figclip.tuning.optuna_board HOST PORT`.

It asks for no password. A page elsewhere must not reach it through the reader's own browser, so a
request counts only where it comes by an address of this server and from no other page.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from figclip.tuning.storage import open_storage

STORAGE = "FIGCLIP_BOARD_STORAGE"
"""The storage's URL, in the environment: a command line shows its password to everybody."""

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def guarded(app: App, allowed: Iterable[str] | None) -> App:
    """The application for who asks for one of these hosts, from its own pages or none.

    Other names that lead here (DNS rebinding) and forms of other pages are answered 403. With
    None any host will do, as behind a proxy.
    """
    hosts = None if allowed is None else {host.lower() for host in allowed}

    def guard(environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        host = environment.get("HTTP_HOST", "")
        origin = environment.get("HTTP_ORIGIN")
        is_known = hosts is None or (urlsplit(f"//{host}").hostname or "") in hosts
        if is_known and (origin is None or urlsplit(origin).netloc == host):
            return app(environment, start)
        start("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"not from here\n"]

    return guard


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *words: Any) -> None:
        """A line for every request would bury the sweep's own."""


def main(host: str, port: int) -> None:
    from optuna_dashboard import wsgi

    app = wsgi(open_storage(os.environ.pop(STORAGE)))
    loopback = {"127.0.0.1", "localhost", "::1", host}
    allowed = loopback if host in ("localhost", "::1") or host.startswith("127.") else None
    kind = _Server6 if ":" in host else _Server
    make_server(host, port, guarded(app, allowed), kind, _Quiet).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
