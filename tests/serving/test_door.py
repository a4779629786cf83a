"""Who is let in, how many at once, and what is told of them; no server and no model."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving_fakes import MODEL, FakeEncoder

from figclip.serving.door.door import DoorConfig, Entrance, secret_of
from figclip.serving.door.keys import KeyFile, KeyRing, new_key, write_keys
from figclip.serving.door.rates import Rates
from figclip.serving.meter import PlainMeter
from figclip.serving.protocol import Vector
from figclip.serving.routes.api import embeddings_router, json_app
from figclip.serving.routes.intake import Intake, Model, Models
from figclip.serving.routes.limits import Limits

Ask = Callable[..., Awaitable[httpx.Response]]


class Slow(FakeEncoder):
    """An encoder that waits for its gate; it remembers how many calls were given up."""

    def __init__(self, *, is_open: bool = False) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.num_given_up = 0
        self.num_waiting = 0
        if is_open:
            self.gate.set()

    async def embed_texts(self, texts: list[str]) -> list[Vector]:
        self.num_waiting += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.num_given_up += 1
            raise
        return await super().embed_texts(texts)


@asynccontextmanager
async def asking(encoder: FakeEncoder, *, limits: Limits | None = None, **words: Any):
    models = Models([Model(MODEL, encoder.embed_texts, encoder.embed_images)])
    app = json_app(
        embeddings_router(models, intake=Intake(limits or Limits())),
        title="test",
        entrance=Entrance(**words),
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:

        async def ask(text: Any = "a", **headers: str) -> httpx.Response:
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            body = {"model": MODEL.id, "input": text}
            return await client.post("/v1/embeddings", json=body, headers=told)

        yield ask


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_what_takes_too_long_is_given_up_and_not_computed_any_more():
    async def run() -> None:
        encoder = Slow()
        async with asking(encoder, config=DoorConfig(timeout_s=0.2)) as ask:
            assert code(await ask()) == (408, "deadline_exceeded")
            assert code(await ask(X_Timeout_S="0.1")) == (408, "deadline_exceeded")
            assert encoder.num_given_up == 2
            encoder.gate.set()
            assert (await ask()).status_code == 200

    asyncio.run(run())


def test_those_beyond_the_number_are_refused_at_once_and_the_others_answered():
    async def run() -> None:
        encoder = Slow()
        async with asking(encoder, config=DoorConfig(concurrent_requests=3)) as ask:
            first = [asyncio.create_task(ask()) for _ in range(3)]
            while encoder.num_waiting < 3:
                await asyncio.sleep(0)
            refused = await ask()
            assert code(refused) == (429, "busy")
            assert refused.headers["Retry-After"] == "1"
            encoder.gate.set()
            assert {(await answer).status_code for answer in first} == {200}
            assert (await ask()).status_code == 200

    asyncio.run(run())


def test_bodies_that_are_held_at_once_are_bounded_together():
    async def run() -> None:
        encoder = Slow()
        async with asking(encoder, config=DoorConfig(held_bytes=20_000)) as ask:
            first = asyncio.create_task(ask("a" * 15_000))
            while encoder.num_waiting < 1:
                await asyncio.sleep(0)
            assert code(await ask("a" * 15_000)) == (429, "busy")
            second = asyncio.create_task(ask("a"))
            encoder.gate.set()
            assert (await first).status_code == (await second).status_code == 200
            assert (await ask("a" * 15_000)).status_code == 200  # what was held is let go

    asyncio.run(run())


def test_each_key_has_a_rate_of_its_own(tmp_path: Path):
    now, path = datetime.now(UTC), tmp_path / "keys.json"
    few, few_text = new_key("few", scopes=["embed"], now=now, rates=Rates(items_per_minute=4))
    usual, usual_text = new_key("usual", scopes=["embed"], now=now)
    write_keys(path, KeyFile(keys=(few, usual)))

    async def run() -> None:
        config = DoorConfig(rates=Rates(requests_per_minute=3))
        async with asking(FakeEncoder(), config=config, keys=KeyRing(path)) as ask:
            headers = {"Authorization": f"Bearer {few_text}"}
            assert (await ask(["a"] * 6, **headers)).status_code == 200
            assert code(await ask("a", **headers)) == (429, "rate_of_items")
            others = {"Authorization": f"Bearer {usual_text}"}
            got = [(await ask("a", **others)).status_code for _ in range(4)]
            assert got == [200, 200, 200, 429]

    asyncio.run(run())


def test_one_of_two_gateways_counts_by_half(tmp_path: Path):
    key, text = new_key(
        "a", scopes=["embed"], now=datetime.now(UTC), rates=Rates(requests_per_minute=4)
    )
    write_keys(tmp_path / "keys.json", KeyFile(keys=(key,)))

    async def run() -> None:
        keys = KeyRing(tmp_path / "keys.json")
        async with asking(FakeEncoder(), keys=keys, share=0.5) as ask:
            headers = {"Authorization": f"Bearer {text}"}
            got = [(await ask("a", **headers)).status_code for _ in range(3)]
            assert got == [200, 200, 429]

    asyncio.run(run())


def test_a_refused_caller_costs_the_model_nothing(tmp_path: Path):
    path = tmp_path / "keys.json"
    write_keys(path, KeyFile())
    encoder = FakeEncoder()

    async def run() -> None:
        async with asking(encoder, keys=KeyRing(path)) as ask:
            for header in ("", "Bearer", "Bearer x", "Basic eA==", "Digest a"):
                answer = await ask(Authorization=header)
                assert answer.status_code == 401
                assert "Bearer" in answer.headers["WWW-Authenticate"]

    asyncio.run(run())
    assert encoder.calls == []


def test_a_browser_sends_its_key_as_a_password():
    assert secret_of(f"Basic {base64.b64encode(b'anybody:the:key').decode()}") == "the:key"
    assert secret_of("bearer  the-key ") == "the-key"
    assert secret_of("Basic ????") == secret_of("Digest the-key") == secret_of("") == ""


def test_pages_of_other_origins_may_read_nothing():
    async def run() -> None:
        async with asking(FakeEncoder()) as ask:
            answer = await ask(Origin="https://elsewhere.example")
            assert not [name for name in answer.headers if name.startswith("access-control")]

    asyncio.run(run())


@pytest.mark.parametrize("wished", ["", "a b", "a\tb", "x" * 65, "a;b", "<script>"])
def test_a_strange_request_id_is_replaced(wished: str):
    async def run() -> None:
        async with asking(FakeEncoder()) as ask:
            given = (await ask(X_Request_ID=wished)).headers["X-Request-ID"]
            assert given != wished
            assert len(given) == 32

    asyncio.run(run())


def test_numbers_are_kept_of_all_that_happens():
    meter = PlainMeter()

    async def run() -> None:
        async with asking(FakeEncoder(), meter=meter) as ask:
            await ask(["a b", "c"])
            await ask("")
            await ask("a", X_Timeout_S="soon")

    asyncio.run(run())
    assert meter.counts["figclip_requests", "/v1/embeddings", "200", ""] == 1
    assert meter.counts["figclip_rejections", "empty_text"] == 1
    assert meter.counts["figclip_rejections", "invalid_timeout"] == 1
    assert meter.counts["figclip_items", "text"] == 2
    assert meter.counts[("figclip_tokens",)] == 3
    assert meter.levels[("figclip_running_requests",)] == 0
    stages = {place[1] for place in meter.values if place[0] == "figclip_stage_ms"}
    assert stages == {"read", "check", "embed", "answer"}


def test_a_failure_is_logged_by_its_place_and_not_by_its_words(caplog: pytest.LogCaptureFixture):
    class Failing(FakeEncoder):
        async def embed_texts(self, texts: list[str]) -> list[Vector]:
            try:
                raise KeyError(f"inner {texts[0]}")
            except KeyError as error:
                raise RuntimeError(f"cannot embed {texts[0]}") from error

    async def run() -> None:
        async with asking(Failing()) as ask:
            answer = await ask("canary", X_Request_ID="mine")
            assert code(answer) == (500, "internal_error")
            assert "canary" not in answer.text

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert "canary" not in caplog.text
    assert "mine: RuntimeError at" in caplog.text
    assert "caused by KeyError at" in caplog.text


def test_a_request_and_its_stages_are_spans_of_its_callers_trace(monkeypatch: pytest.MonkeyPatch):
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    kept = export.InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(
        "figclip.serving.door.ticket._tracer", lambda: provider.get_tracer("figclip.serving")
    )
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    async def run() -> None:
        async with asking(FakeEncoder()) as ask:
            await ask("canary", traceparent=f"00-{trace}-00f067aa0ba902b7-01")

    asyncio.run(run())
    spans = {span.name: span for span in kept.get_finished_spans()}
    assert set(spans) == {"POST /v1/embeddings", "read", "check", "embed", "answer"}
    whole = spans["POST /v1/embeddings"]
    assert f"{whole.context.trace_id:032x}" == trace
    assert whole.attributes["http.response.status_code"] == 200
    assert {spans[name].parent.span_id for name in ("read", "embed")} == {whole.context.span_id}
    assert "canary" not in "".join(span.to_json() for span in spans.values())
