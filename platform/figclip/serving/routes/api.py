"""The JSON routes, built from the callables that embed; no Ray, so a test calls them."""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from pydantic_core import to_json

from figclip.serving.door.door import Door, Entrance
from figclip.serving.door.errors import add_error_handlers, errors_of
from figclip.serving.door.openapi import describe
from figclip.serving.door.ticket import ticket_of
from figclip.serving.protocol import ApiError, Body, ModelCard, R, Refusal, Vector, parse_request
from figclip.serving.routes.answers import (
    EmbeddingsAnswer,
    ModelFacts,
    ModelsAnswer,
    embeddings_body,
    models_body,
)
from figclip.serving.routes.dialects import EmbeddingsRequest, Item
from figclip.serving.routes.intake import EmbedImages, EmbedTexts, Intake, Model, Models
from figclip.serving.routes.limits import Limits

IN_LINE_BYTES = 256 * 2**10
"""Bodies up to this are looked through at once; larger ones in a thread, to hold up nobody."""


def json_app(*routers: APIRouter, title: str, entrance: Entrance | None = None) -> FastAPI:
    """An application of these routes behind a door, which answers every error in OpenAI's shape.

    Without an `entrance` everybody may come in. Other origins' pages may not read the answers: no
    header allows it.
    """
    entrance = entrance or Entrance()
    # The interactive documentation would load scripts from third parties; /openapi.json stays.
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    for router in routers:
        app.include_router(router)
    add_error_handlers(app)
    app.add_middleware(Door, entrance=entrance)
    describe(app, entrance)
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
            openapi_extra=body_schema(EmbeddingsRequest, models),
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


def body_schema(kind: type[Body], models: Models | None = None) -> dict[str, Any]:
    """The `requestBody` of a route that reads its body itself; it names the models."""
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})
    inlined = _inlined(schema, definitions)
    if models is not None:
        _name_models(inlined.get("oneOf", [inlined]), models)
    content = {"application/json": {"schema": inlined}}
    return {"requestBody": {"required": True, "content": content}}


def _name_models(cases: list[dict[str, Any]], models: Models) -> None:
    for fields in (case["properties"] for case in cases):
        fields["model"] = {"enum": models.names}
        if "dimensions" in fields:
            sizes = sorted({card.dim for card in models.cards})
            fields["dimensions"] = {"enum": [*sizes, None]}


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
