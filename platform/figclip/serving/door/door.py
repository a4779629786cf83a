"""The door of an application: who may enter, how many at once, how long they may take.

It stands before every route, so that whoever is turned away costs next to nothing: no body is read
for them. And it writes one line of the log for each request, without anything that was sent.
"""

import asyncio
import base64
import logging
import time
import traceback
from binascii import Error as BadBase64
from dataclasses import dataclass, field
from pathlib import PurePath

from pydantic import PositiveFloat, PositiveInt
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from figclip.config import Config
from figclip.serving.door.keys import Key, KeyRing, Scope
from figclip.serving.door.passing import Answer, Body
from figclip.serving.door.rates import Meters, Rates
from figclip.serving.door.ticket import PLACE, Ticket, request_id, request_span
from figclip.serving.meter import Meter, NoMeter
from figclip.serving.protocol import ApiError

log = logging.getLogger(__name__)

OPEN_PATHS = ("/healthz", "/readyz", "/openapi.json")
"""For everybody, without a key and however busy the server is."""

MIN_TIMEOUT_S = 0.1

CLIENT_IS_GONE = 499
"""In the log, as nginx has it."""


class DoorConfig(Config):
    """How long and how many."""

    timeout_s: PositiveFloat = 30.0
    """A request that takes longer is answered 408, unless its header `X-Timeout-S` says another
    number of seconds."""
    max_timeout_s: PositiveFloat = 120.0
    """The most that `X-Timeout-S` may say."""
    silence_s: PositiveFloat = 5.0
    """The longest wait for the next piece of a body."""
    body_bytes_per_s: PositiveFloat = 16_384.0
    """A body that comes slower than this, after its first 5 seconds, is given up."""
    concurrent_requests: PositiveInt = 512
    """Requests that a gateway answers at once; those beyond are answered 429."""
    held_bytes: PositiveInt = 512 * 2**20
    """Of all bodies that a gateway holds at once; those beyond are answered 429."""
    rates: Rates = Rates()
    """Of each key that has none of its own."""


@dataclass(frozen=True)
class Entrance:
    """Who may come in, and where it is counted."""

    scope: Scope = "embed"
    """What a key has to open."""
    keys: KeyRing | None = None
    """None: everybody may come in."""
    config: DoorConfig = field(default_factory=DoorConfig)
    meter: Meter = field(default_factory=NoMeter)
    share: float = 1.0
    """Of every rate: where n gateways share the requests, each counts by 1/n."""


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, entrance: Entrance) -> None:
        self.app = app
        self.config = entrance.config
        self.meter = entrance.meter
        self._scope: Scope = entrance.scope
        self._keys = entrance.keys
        self._share = entrance.share
        self._meters: dict[tuple[str, Rates], Meters] = {}
        self._num_running = 0
        self._held_bytes = 0

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        ticket = Ticket(id=request_id(headers.get("x-request-id")), meter=self.meter)
        scope[PLACE] = ticket
        body = Body(
            receive,
            headers,
            silence_s=self.config.silence_s,
            bytes_per_s=self.config.body_bytes_per_s,
            hold=self._hold,
        )
        answer = Answer(send, body, ticket)
        with request_span(headers, ticket.id) as name_span:
            try:
                await self._let_in(scope, headers, body, answer)
            except ApiError as fault:
                await answer.refuse(fault)
            except ClientDisconnect:
                answer.status = answer.status or CLIENT_IS_GONE
            except Exception as error:
                log.error("%s: %s", ticket.id, _where(error))
                await answer.refuse(ApiError(500, "the server failed; its log says where"))
            finally:
                self._tell(scope, ticket, answer)
                name_span(f"{scope['method']} {_route(scope)}", answer.status)

    async def _let_in(self, scope: AsgiScope, headers: Headers, body: Body, answer: Answer) -> None:
        if route_path(scope) in OPEN_PATHS:
            await self.app(scope, body.receive, answer.send)
            return
        self._check_caller(headers, answer.ticket)
        timeout_s = self._timeout_s(headers.get("x-timeout-s"))
        if self._num_running >= self.config.concurrent_requests:
            raise ApiError(429, "the server is busy", code="busy")
        self._running(+1)
        try:
            async with asyncio.timeout(timeout_s) as patience:
                answer.at_start = lambda: patience.reschedule(None)
                await self.app(scope, body.receive, answer.send)
        except TimeoutError as error:
            if not patience.expired():
                raise
            message = f"the request was not answered within {timeout_s:g} s"
            raise ApiError(408, message, code="deadline_exceeded") from error
        finally:
            answer.at_start = None
            self._running(-1)
            self._held_bytes -= body.num_held

    def _hold(self, number: int) -> None:
        """Bytes of a body; a 429 `ApiError` where the bodies of all requests get too many."""
        self._held_bytes += number
        if self._held_bytes > self.config.held_bytes:
            raise ApiError(429, "the server is busy with other large requests", code="busy")

    def _running(self, change: int) -> None:
        self._num_running += change
        self.meter.level("figclip_running_requests", self._num_running)

    def _check_caller(self, headers: Headers, ticket: Ticket) -> None:
        """A 401, 403 or 429 `ApiError` where the caller may not enter, or not now."""
        if self._keys is None:
            return
        key = self._keys.find(secret_of(headers.get("authorization", "")))
        if key is None:
            raise _no_key("authorization" in headers)
        ticket.key = key
        if self._scope not in key.scopes:
            message = f"this key has no scope {self._scope!r}"
            raise ApiError(403, message, code="scope_missing")
        ticket.meters = self._meters_of(key)
        now = time.monotonic()
        if wait := ticket.meters.wait_s(now):
            seconds, kind = wait
            message = f"this key may ask for no more {kind} in this minute"
            raise ApiError(429, message, code=f"rate_of_{kind}", retry_after_s=seconds)
        ticket.meters.take("requests", 1, now)

    def _meters_of(self, key: Key) -> Meters:
        """A key whose rates are changed in the file begins anew."""
        rates = key.rates if key.rates != Rates() else self.config.rates
        place = (key.id, rates)
        if place not in self._meters:
            self._meters[place] = Meters(rates.divided(self._share), time.monotonic())
        return self._meters[place]

    def _timeout_s(self, wished: str | None) -> float:
        if wished is None:
            return self.config.timeout_s
        try:
            seconds = float(wished)
        except ValueError:
            seconds = float("nan")
        if not MIN_TIMEOUT_S <= seconds <= self.config.max_timeout_s:
            raise ApiError(
                400,
                f"X-Timeout-S: seconds, from {MIN_TIMEOUT_S} to {self.config.max_timeout_s:g}",
                param="X-Timeout-S",
                code="invalid_timeout",
            )
        return seconds

    def _tell(self, scope: AsgiScope, ticket: Ticket, answer: Answer) -> None:
        route, status = _route(scope), answer.status
        passed = 1000 * (time.monotonic() - ticket.started)
        self.meter.count("figclip_requests", route=route, status=str(status), key=ticket.caller)
        self.meter.observe("figclip_request_ms", passed, route=route)
        if status >= 400:
            self.meter.count("figclip_rejections", reason=answer.code or str(status))
        facts = {
            "request_id": ticket.id,
            "method": scope["method"] if scope["method"].isalpha() else "?",
            "route": route,
            "status": status,
            "code": answer.code,
            "ms": round(passed, 1),
            "stages_ms": {name: round(took, 1) for name, took in ticket.stages.items()},
            "num_items": ticket.num_items,
            "num_tokens": ticket.num_tokens,
            "key": ticket.caller,
        }
        log.info("%s %d in %.1f ms", route, status, passed, extra={"facts": facts})


def secret_of(authorization: str) -> str:
    """The key of `Bearer KEY`, or of `Basic`, where a browser puts it as the password."""
    way, _, rest = authorization.strip().partition(" ")
    match way.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            try:
                return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
            except (BadBase64, UnicodeDecodeError):
                return ""
        case _:
            return ""


def _no_key(is_wrong: bool) -> ApiError:
    headers = {"WWW-Authenticate": 'Bearer realm="figclip", Basic realm="figclip"'}
    if is_wrong:
        return ApiError(401, "this key is not known here", code="invalid_key", headers=headers)
    return ApiError(401, "a key is needed here", code="no_key", headers=headers)


def route_path(scope: AsgiScope) -> str:
    """Below the application's own root."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _route(scope: AsgiScope) -> str:
    """The route's own pattern: a path can hold what somebody looks for."""
    path = getattr(scope.get("route"), "path", "") or "(none)"
    return f"{scope.get('root_path', '')}{path}" if path != "(none)" else path


def _where(error: BaseException) -> str:
    """Kind and place of a failure, and of what caused it; messages can hold what was sent."""
    kinds: list[str] = []
    one: BaseException | None = error
    while one is not None and len(kinds) < 5:
        frames = traceback.extract_tb(one.__traceback__)[-4:]
        places = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames)
        kinds.append(f"{type(one).__name__} at {places or 'another process'}")
        one = one.__cause__ or one.__context__
    return ", caused by ".join(kinds)
