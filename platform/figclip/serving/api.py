"""The JSON routes, built from the callables that embed and search; no Ray, so a test calls them."""

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from PIL import Image
from starlette.exceptions import HTTPException

from figclip.serving.limits import Limits, sort_items
from figclip.serving.protocol import (
    ApiError,
    EmbeddingsRequest,
    ModelCard,
    Refusal,
    Vector,
    embeddings_body,
    models_body,
    parse_request,
)

log = logging.getLogger(__name__)

EmbedTexts = Callable[[list[str]], Awaitable[list[Vector]]]
EmbedImages = Callable[[list[bytes]], Awaitable[list[Vector | Refusal]]]
Probe = Callable[[], Awaitable[None]]

READY_TIMEOUT_S = 10.0


def json_app(*routers: APIRouter, title: str) -> FastAPI:
    """An application of these routes that answers every error in OpenAI's shape."""
    # The interactive documentation would load scripts from third parties; /openapi.json stays.
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_exception_handler(Exception, _answer_error)
    return app


async def _answer_error(request: Request, error: Exception) -> Response:
    match error:
        case ApiError():
            fault = error
        case RequestValidationError():
            first = error.errors()[0]
            param = str(first["loc"][-1])
            fault = ApiError(400, f"{param}: {first['msg']}", param=param, code=first["type"])
        case HTTPException():
            fault = ApiError(error.status_code, f"{request.url.path}: {error.detail}")
        case _:
            fault = ApiError(500, "the server failed; its log says why", code="internal_error")
    headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else None
    return JSONResponse(fault.body(), status_code=fault.status, headers=headers)


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The request's body; a 413 `ApiError` as soon as it is known to be too long."""
    too_long = ApiError(
        413, f"the body is longer than {max_bytes:,} bytes: send several", code="body_too_long"
    )
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > max_bytes:
        raise too_long
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_long
    return bytes(body)


def embeddings_router(
    model: ModelCard, embed_texts: EmbedTexts, embed_images: EmbedImages, *, limits: Limits
) -> APIRouter:
    """`POST /v1/embeddings` and `GET /v1/models`, for one model."""
    router = APIRouter()

    @router.post("/v1/embeddings", openapi_extra=body_schema(EmbeddingsRequest))
    async def embeddings(request: Request) -> JSONResponse:
        body = await read_body(request, max_bytes=limits.body_bytes)
        wanted = parse_request(EmbeddingsRequest, body)
        check_model(wanted, model)
        items = await asyncio.to_thread(
            sort_items, wanted.input, modality=wanted.modality, limits=limits
        )
        vectors = await embed_items(items, embed_texts, embed_images)
        return JSONResponse(embeddings_body(wanted, vectors, model=model.id))

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [models_body(model)]}

    @router.get("/v1/models/{model_id:path}")
    async def one_model(model_id: str) -> dict[str, Any]:
        if model_id != model.id:
            raise _no_such_model(model)
        return models_body(model)

    return router


def check_model(request: EmbeddingsRequest, model: ModelCard) -> None:
    """`ApiError` where the request is for another model, or for vectors of another length."""
    if request.model != model.id:
        raise _no_such_model(model)
    if request.dimensions not in (None, model.dim):
        raise ApiError(
            400,
            f"dimensions: {model.id} was trained to give {model.dim}, and gives no other number",
            param="dimensions",
            code="invalid_dimensions",
        )


def _no_such_model(model: ModelCard) -> ApiError:
    return ApiError(404, f"the model here is {model.id!r}", param="model", code="model_not_found")


async def embed_items(
    items: list[str | bytes],
    embed_texts: EmbedTexts,
    embed_images: EmbedImages,
    *,
    param: str = "input[{}]",
) -> list[Vector]:
    """Texts and images embedded together, in the order of `items`.

    A 400 `ApiError` names the first image that could not be read: `param`, with its number.
    """
    texts = [item for item in items if isinstance(item, str)]
    images = [item for item in items if isinstance(item, bytes)]
    of_texts, of_images = await asyncio.gather(
        embed_texts(texts) if texts else _nothing(), embed_images(images) if images else _nothing()
    )
    by_kind = {str: iter(of_texts), bytes: iter(of_images)}
    vectors: list[Vector] = []
    for index, item in enumerate(items):
        found = next(by_kind[type(item)])
        if isinstance(found, Refusal):
            name = param.format(index)
            raise ApiError(400, f"{name}: {found.reason}", param=name, code="bad_image")
        vectors.append(found)
    return vectors


async def _nothing() -> list[Any]:
    return []


def health_router(probe: Probe) -> APIRouter:
    """`GET /healthz` (this process answers) and `GET /readyz` (`probe` really embeds)."""
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> dict[str, str]:
        try:
            await asyncio.wait_for(probe(), READY_TIMEOUT_S)
        except Exception as error:  # whatever it is: this server cannot embed now
            log.warning("not ready: %r", error)
            raise ApiError(503, "not ready: embedding fails", code="not_ready") from error
        return {"status": "ready"}

    return router


def embedding_probe(embed_texts: EmbedTexts, embed_images: EmbedImages) -> Probe:
    """A probe that embeds a word and a small picture, and fails where either is refused."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "gray").save(picture, "PNG")

    async def probe() -> None:
        await embed_items(["ready", picture.getvalue()], embed_texts, embed_images)

    return probe


def body_schema(kind: Any) -> dict[str, Any]:
    schema = kind.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
