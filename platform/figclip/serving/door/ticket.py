"""What is known of one request while it is answered: who asks, how long, what it took.

Nothing here holds what was sent: a ticket becomes a log line.
"""

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from figclip.serving.door.keys import Key
from figclip.serving.door.rates import Meters
from figclip.serving.meter import Meter, NoMeter

try:
    from opentelemetry import propagate, trace
except ImportError:  # without it there are no traces, and all else is as it was
    trace = None  # type: ignore[assignment]

PLACE = "figclip.ticket"
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


@dataclass
class Ticket:
    """A request on its way."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    key: Key | None = None
    meters: Meters | None = None
    meter: Meter = field(default_factory=NoMeter)
    started: float = field(default_factory=time.monotonic)
    num_items: int = 0
    num_tokens: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    """Stage → milliseconds."""

    @property
    def caller(self) -> str:
        return self.key.name if self.key else ""

    def count_items(self, *, texts: int, images: int) -> None:
        """Against the caller's rate, and for the record."""
        self.num_items += texts + images
        for kind, number in (("text", texts), ("image", images)):
            if number:
                self.meter.count("figclip_items", number, kind=kind)
        self._take("items", texts + images)

    def count_tokens(self, number: int) -> None:
        self.num_tokens += number
        self.meter.count("figclip_tokens", number)
        self._take("tokens", number)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a part of the work; it is a span of the trace as well."""
        start = time.perf_counter()
        try:
            with span(name):
                yield
        finally:
            passed = 1000 * (time.perf_counter() - start)
            self.stages[name] = self.stages.get(name, 0.0) + passed
            self.meter.observe("figclip_stage_ms", passed, stage=name)

    def _take(self, kind: Any, number: int) -> None:
        if self.meters is not None:
            self.meters.take(kind, number, time.monotonic())


def ticket_of(request: Request) -> Ticket:
    """That of the door; behind no door a new one."""
    return request.scope.setdefault(PLACE, Ticket())


def request_id(wished: str | None) -> str:
    """The caller's own, where it is short and plain; else a new one."""
    return wished if wished and REQUEST_ID.fullmatch(wished) else uuid.uuid4().hex


def span(name: str) -> AbstractContextManager[Any]:
    """A span below the one that is open; nothing where OpenTelemetry is not installed."""
    return nullcontext() if trace is None else _tracer().start_as_current_span(name)


@contextmanager
def request_span(
    headers: Mapping[str, str], request_id: str
) -> Iterator[Callable[[str, int], None]]:
    """The span of a request, below the one that its `traceparent` names; it is told its name and
    the answer's status in the end."""
    if trace is None:
        yield lambda name, status: None
        return
    context = propagate.extract(headers) if "traceparent" in headers else None
    kind = trace.SpanKind.SERVER
    with _tracer().start_as_current_span("request", context=context, kind=kind) as open_span:

        def name_it(name: str, status: int) -> None:
            open_span.update_name(name)
            open_span.set_attribute("http.response.status_code", status)
            open_span.set_attribute("figclip.request_id", request_id)

        yield name_it


def _tracer() -> Any:
    return trace.get_tracer("figclip.serving")
