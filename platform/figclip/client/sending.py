"""One request to the service: sent until it is answered, or until patience is at its end."""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2

from figclip.client.faults import ServiceError, fault_of
from figclip.client.patience import RETRIED, Patience, retry_after_s

CONNECT_S = 10.0
"""Nobody who listens takes longer."""


@dataclass(frozen=True)
class Clock:
    """What a test replaces: time, sleep and chance."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    luck: Callable[[], float] = random.random
    today: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


class Sender:
    """A pool of connections to one service; any number of threads may use it at once."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None,
        patience: Patience,
        num_connections: int,
        clock: Clock | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ServiceError(
                "bad_url",
                f"{url!r} is no address of a service",
                remedy="one looks like http://127.0.0.1:8000",
            )
        self.url = url.rstrip("/")
        self._patience = patience
        self._clock = clock or Clock()
        self._http = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx2.Limits(
                max_connections=num_connections, max_keepalive_connections=num_connections
            ),
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        """The JSON answer; `ServiceError` as in `post`."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a JSON body, which asking twice does not change.

        `ServiceError` where the server refuses it, or does not answer before the deadline.
        """
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, content: bytes | None) -> Any:
        end = self._clock.now() + self._patience.deadline_s
        num_failed = 0
        while True:
            answer = self._try(method, path, content, end)
            if not isinstance(answer, _Passing):
                return answer
            num_failed += 1
            wait = self._patience.wait_s(
                num_failed, retry_after_s=answer.retry_after_s, luck=self._clock.luck()
            )
            if self._clock.now() + wait >= end:
                raise answer.error
            self._clock.sleep(wait)

    def _try(self, method: str, path: str, content: bytes | None, end: float) -> Any:
        """The JSON answer, or a fault that may pass."""
        left = max(end - self._clock.now(), 0.001)
        timeout = httpx2.Timeout(left, connect=min(left, CONNECT_S))
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            with self._http.stream(
                method, self.url + path, content=content, headers=headers, timeout=timeout
            ) as answer:
                body = self._read(answer, end)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            return _Passing(_lost(self.url, error))
        parsed = _json(body)
        if answer.status_code == 200 and parsed is not None:
            return parsed
        if answer.status_code == 200:
            fault = "the answer is cut short, or no JSON"
            return _Passing(ServiceError("bad_answer", fault, status=200, remedy=NO_SERVICE))
        fault_told = fault_of(answer.status_code, parsed)
        if answer.status_code not in RETRIED:
            raise fault_told
        told = answer.headers.get("retry-after")
        return _Passing(fault_told, retry_after_s(told, now=self._clock.today))

    def _read(self, answer: httpx2.Response, end: float) -> bytes:
        """The whole body: one that drips is given up at the deadline."""
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if self._clock.now() > end:
                raise httpx2.ReadTimeout("the answer takes too long")
        return bytes(body)


@dataclass(frozen=True)
class _Passing:
    """A failure that another try may not meet."""

    error: ServiceError
    retry_after_s: float | None = None


NO_SERVICE = "see whether this is the address of the service itself, without /v1"


def _lost(url: str, error: Exception) -> ServiceError:
    return ServiceError(
        "unreachable",
        f"{url} does not answer ({type(error).__name__}: {error})",
        remedy="see that the server runs there, and that this machine may reach it",
    )


def _json(body: bytes) -> Any | None:
    try:
        return json.loads(body)
    except ValueError:
        return None
