"""The JSON routes, built from the callables that embed; no Ray, so a test calls them."""

import asyncio
import io
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from PIL import Image
from pydantic_core import to_json

from figclip.config import UsageError
from figclip.serving.answers import (
    EmbeddingsAnswer,
    HealthAnswer,
    ModelFacts,
    ModelsAnswer,
    embeddings_body,
    models_body,
)
from figclip.serving.dialects import EmbeddingsRequest, Item
from figclip.serving.door import Door, DoorConfig
from figclip.serving.errors import add_error_handlers, errors_of
from figclip.serving.fetching import FetchConfig, Resolve, fetch_image, resolve_by_system
from figclip.serving.keys import KeyRing, Scope
from figclip.serving.limits import Limits, Url, check_pixels, checked_file, sort_items
from figclip.serving.meter import Meter
from figclip.serving.openapi import describe
from figclip.serving.protocol import ApiError, Body, ModelCard, R, Refusal, Vector, parse_request
from figclip.serving.ticket import ticket_of

log = logging.getLogger(__name__)

EmbedTexts = Callable[[list[str]], Awaitable[Sequence[Vector | Refusal]]]
EmbedImages = Callable[[list[bytes]], Awaitable[Sequence[Vector | Refusal]]]
Probe = Callable[[], Awaitable[None]]

READY_TIMEOUT_S = 10.0
READY_FOR_S = 1.0
"""How long the answer of a probe stands, so that asking for it often costs nothing."""

IN_LINE_BYTES = 256 * 2**10
"""Bodies up to this are looked through at once; larger ones in a thread, to hold up nobody."""


@dataclass(frozen=True)
class Model:
    """A model that is served."""

    card: ModelCard
    embed_texts: EmbedTexts
    embed_images: EmbedImages


class Models:
    """All models of a service, by name and version: `encoder@2026.11`.

    A name without its version means the one that was made last.
    """

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {model.card.id: model for model in models}
        oldest_first = sorted(self._models.values(), key=lambda model: model.card.created)
        self._newest = {model.card.id.partition("@")[0]: model for model in oldest_first}
        if not self._models:
            raise UsageError("no model to serve: name at least one encoder")

    @property
    def cards(self) -> list[ModelCard]:
        return [model.card for model in self._models.values()]

    def find(self, name: str) -> Model:
        """A 404 `ApiError` names those that are here."""
        found = self._models.get(name) or self._newest.get(name)
        if found is None:
            here = ", ".join(map(repr, self._models))
            what = "the model here is" if len(self._models) == 1 else "the models here are"
            raise ApiError(404, f"{what} {here}", param="model", code="model_not_found")
        return found


@dataclass(frozen=True)
class Intake:
    """What a request may carry, and whose images are fetched."""

    limits: Limits = field(default_factory=Limits)
    fetch: FetchConfig = field(default_factory=FetchConfig)
    resolve: Resolve = resolve_by_system

    async def ready(self, items: Sequence[Item], *, is_large: bool = True) -> list[str | bytes]:
        """Every item as a text, or as an image file whose header was checked.

        `is_large` says whether looking at them would hold up others. An `ApiError` names the first
        item that is to blame.
        """
        if is_large:
            found = await asyncio.to_thread(sort_items, items, limits=self.limits)
        else:
            found = sort_items(items, limits=self.limits)
        urls = {one.url: one for one in found if isinstance(one, Url)}
        if not urls:
            return [one for one in found if not isinstance(one, Url)]
        images = await self._fetched(list(urls.values()))
        whole = [images[one.url] if isinstance(one, Url) else one for one in found]
        check_pixels((one for one in whole if isinstance(one, bytes)), limits=self.limits)
        return whole

    async def _fetched(self, urls: list[Url]) -> dict[str, bytes]:
        if len(urls) > self.fetch.per_request and self.fetch.hosts:
            message = f"{len(urls)} URLs, but a request may have {self.fetch.per_request}"
            raise ApiError(400, message, code="too_many_urls")
        free = asyncio.Semaphore(self.fetch.at_once)

        async def fetched(one: Url) -> bytes:
            async with free:
                data = await fetch_image(
                    one.url.strip(), config=self.fetch, resolve=self.resolve, param=one.param
                )
                return checked_file(data, limits=self.limits, param=one.param)

        async with asyncio.TaskGroup() as tasks:
            running = {one.url: tasks.create_task(_or_fault(fetched(one))) for one in urls}
        found = {url: task.result() for url, task in running.items()}
        for result in found.values():
            if isinstance(result, ApiError):
                raise result
        return {url: data for url, data in found.items() if isinstance(data, bytes)}


async def _or_fault(work: Awaitable[bytes]) -> bytes | ApiError:
    try:
        return await work
    except ApiError as fault:
        return fault


def json_app(
    *routers: APIRouter,
    title: str,
    scope: Scope = "embed",
    config: DoorConfig | None = None,
    keys: KeyRing | None = None,
    meter: Meter | None = None,
) -> FastAPI:
    """An application of these routes behind a door, which answers every error in OpenAI's shape.

    With `keys` a caller needs one of this `scope`. Other origins' pages may not read the answers:
    no header allows it.
    """
    # The interactive documentation would load scripts from third parties; /openapi.json stays.
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    for router in routers:
        app.include_router(router)
    add_error_handlers(app)
    config = config or DoorConfig()
    app.add_middleware(Door, config=config, scope=scope, keys=keys, meter=meter)
    describe(app, has_keys=keys is not None, max_timeout_s=config.max_timeout_s)
    return app


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The request's body; a 413 `ApiError` as soon as it is known to be too long."""
    too_long = ApiError(413, f"the body is longer than {max_bytes:,} bytes", code="body_too_long")
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > max_bytes:
        raise too_long
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_long
    return bytes(body)


async def read_json(request: Request, kind: type[R], *, limits: Limits) -> tuple[R, int]:
    """The body as a request, and its bytes; a 4xx `ApiError` where it is none."""
    _check_content_type(request)
    with ticket_of(request).stage("read"):
        body = await read_body(request, max_bytes=limits.body_bytes)
        return parse_request(kind, body), len(body)


def _check_content_type(request: Request) -> None:
    stated = request.headers.get("content-type", "application/json").lower()
    kind, *parameters = (part.strip() for part in stated.split(";"))
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise ApiError(415, "the body has to be JSON", code="not_json")
    charsets = [one.partition("=")[2].strip('"') for one in parameters if "charset" in one]
    if charsets not in ([], ["utf-8"], ["utf8"]):
        raise ApiError(415, "the body has to be in UTF-8", code="not_utf8")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ApiError(415, "the body has to be uncompressed", code="compressed_body")


def json_response(body: dict[str, Any]) -> Response:
    """By pydantic's writer, which is several times as fast with thousands of numbers."""
    return Response(to_json(body), media_type="application/json")


def embeddings_router(models: Models, *, intake: Intake) -> APIRouter:
    """`POST /v1/embeddings` and `GET /v1/models`; without `/v1` as well."""
    router = APIRouter()

    async def embeddings(request: Request) -> Response:
        wanted, num_bytes = await read_json(request, EmbeddingsRequest, limits=intake.limits)
        model = models.find(wanted.model)
        check_dimensions(wanted, model.card)
        vectors = await embed_request(
            request, wanted.items(), model, intake=intake, num_bytes=num_bytes
        )
        with ticket_of(request).stage("answer"):
            return json_response(embeddings_body(wanted, vectors, model=model.card.id))

    async def all_models() -> dict[str, Any]:
        return {"object": "list", "data": [models_body(card) for card in models.cards]}

    async def one_model(model_id: str) -> dict[str, Any]:
        return models_body(models.find(model_id).card)

    for prefix in ("/v1", ""):
        shown: dict[str, Any] = {"include_in_schema": bool(prefix)}
        router.add_api_route(
            f"{prefix}/embeddings",
            embeddings,
            methods=["POST"],
            response_model=EmbeddingsAnswer,
            responses=errors_of(*BODY_ERRORS),
            openapi_extra=body_schema(EmbeddingsRequest),
            **shown,
        )
        router.add_api_route(
            f"{prefix}/models",
            all_models,
            response_model=ModelsAnswer,
            responses=errors_of(429),
            **shown,
        )
        router.add_api_route(
            f"{prefix}/models/{{model_id:path}}",
            one_model,
            response_model=ModelFacts,
            responses=errors_of(404, 429),
            **shown,
        )
    return router


BODY_ERRORS = (400, 404, 408, 413, 415, 429, 503)
"""What a route may answer that is sent something to embed."""


def check_dimensions(request: EmbeddingsRequest, model: ModelCard) -> None:
    """A 400 `ApiError` where the request is for vectors of another length."""
    if request.dimensions not in (None, model.dim):
        raise ApiError(
            400,
            f"dimensions: {model.id} was trained to give {model.dim}, and gives no other number",
            param="dimensions",
            code="invalid_dimensions",
            remedy=f"leave `dimensions` out, or ask for {model.dim}",
        )


async def embed_request(
    request: Request, items: Sequence[Item], model: Model, *, intake: Intake, num_bytes: int
) -> list[Vector]:
    """The items of a request as vectors, in their order; timed, and counted for the caller."""
    ticket = ticket_of(request)
    with ticket.stage("check"):
        ready = await intake.ready(items, is_large=num_bytes > IN_LINE_BYTES)
    num_texts = sum(isinstance(one, str) for one in ready)
    ticket.count_items(texts=num_texts, images=len(ready) - num_texts)
    with ticket.stage("embed"):
        places = [item.param for item in items]
        vectors = await embed_items(ready, model.embed_texts, model.embed_images, param=places)
    ticket.count_tokens(sum(vector.num_tokens for vector in vectors))
    return vectors


async def embed_items(
    items: Sequence[str | bytes],
    embed_texts: EmbedTexts,
    embed_images: EmbedImages,
    *,
    param: Sequence[str] | str,
) -> list[Vector]:
    """Texts and images embedded together, in the order of `items`.

    A 400 `ApiError` names the first item that could not be embedded: by its name in `param`, or by
    the one name of all.
    """
    params = [param] * len(items) if isinstance(param, str) else param
    texts = [item for item in items if isinstance(item, str)]
    images = [item for item in items if isinstance(item, bytes)]
    of_texts, of_images = await asyncio.gather(
        embed_texts(texts) if texts else _nothing(), embed_images(images) if images else _nothing()
    )
    by_kind = {str: iter(of_texts), bytes: iter(of_images)}
    vectors: list[Vector] = []
    for item, name in zip(items, params, strict=True):
        found = next(by_kind[type(item)])
        if isinstance(found, Refusal):
            code = "bad_image" if isinstance(item, bytes) else "bad_text"
            raise ApiError(400, f"{name}: {found.reason}", param=name, code=code)
        vectors.append(found)
    return vectors


async def _nothing() -> list[Any]:
    return []


def health_router(probe: Probe) -> APIRouter:
    """`GET /healthz` (this process answers) and `GET /readyz` (`probe` really embeds).

    Whoever asks while a probe runs, or within a second after it, shares its answer.
    """
    router = APIRouter()
    shared = _SharedProbe(probe)

    @router.get("/healthz", response_model=HealthAnswer)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", response_model=HealthAnswer, responses=errors_of(503))
    async def readyz() -> dict[str, str]:
        if not await shared.is_ready():
            raise ApiError(503, "not ready: embedding fails", code="not_ready")
        return {"status": "ready"}

    return router


class _SharedProbe:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._lock = asyncio.Lock()
        self._known: tuple[float, bool] = (-READY_FOR_S, False)

    async def is_ready(self) -> bool:
        asked_at = time.monotonic()
        async with self._lock:
            known_at, is_ready = self._known
            if known_at < asked_at - READY_FOR_S:
                is_ready = await self._ask()
                self._known = time.monotonic(), is_ready
            return is_ready

    async def _ask(self) -> bool:
        try:
            await asyncio.wait_for(self._probe(), READY_TIMEOUT_S)
        except Exception as error:  # whatever it is: this server cannot embed now
            log.warning("not ready: %s", type(error).__name__)
            return False
        return True


def embedding_probe(embed_texts: EmbedTexts, embed_images: EmbedImages) -> Probe:
    """A probe that embeds a word and a small picture, and fails where either is refused.

    Both are new each time, so that no cache answers for the model.
    """

    async def probe() -> None:
        picture = io.BytesIO()
        Image.frombytes("L", (8, 8), os.urandom(64)).save(picture, "PNG")
        both: list[str | bytes] = [f"ready {os.urandom(8).hex()}", picture.getvalue()]
        await embed_items(both, embed_texts, embed_images, param="probe")

    return probe


def models_probe(models: Models) -> Probe:
    """A probe of every model."""
    probes = [
        embedding_probe(model.embed_texts, model.embed_images)
        for model in map(models.find, (card.id for card in models.cards))
    ]

    async def probe() -> None:
        await asyncio.gather(*(one() for one in probes))

    return probe


def body_schema(kind: type[Body]) -> dict[str, Any]:
    """The `requestBody` of a route that reads its body itself."""
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})
    content = {"application/json": {"schema": _inlined(schema, definitions)}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Without references, which in an OpenAPI document would point elsewhere."""
    match schema:
        case {"$ref": str(name)}:
            return _inlined(definitions[name.rpartition("/")[2]], definitions)
        case dict():
            return {
                key: _inlined(value, definitions)
                for key, value in schema.items()
                if key != "discriminator"
            }
        case list():
            return [_inlined(one, definitions) for one in schema]
        case _:
            return schema
