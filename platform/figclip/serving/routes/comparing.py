"""Zero-shot classes of images, and the similarity of texts and images, as routes."""

import asyncio
from collections.abc import Sequence

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from figclip.embedding.classes import ensemble, logits, probabilities
from figclip.serving.door.errors import errors_of
from figclip.serving.door.ticket import ticket_of
from figclip.serving.protocol import Vector
from figclip.serving.routes.answers import (
    SimilarityAnswer,
    ZeroShotAnswer,
    similarity_body,
    zero_shot_body,
)
from figclip.serving.routes.api import (
    BODY_ERRORS,
    body_schema,
    embed_items,
    embed_request,
    json_response,
    read_json,
)
from figclip.serving.routes.dialects import SimilarityRequest, ZeroShotRequest
from figclip.serving.routes.intake import Intake, Model, Models
from figclip.serving.routes.limits import Limits, checked_text, too_many


def comparing_router(models: Models, *, intake: Intake) -> APIRouter:
    """`POST /v1/zero-shot` and `POST /v1/similarity`."""
    router = APIRouter()
    errors = errors_of(*BODY_ERRORS)

    @router.post(
        "/v1/zero-shot",
        response_model=ZeroShotAnswer,
        responses=errors,
        openapi_extra=body_schema(ZeroShotRequest, models),
    )
    async def zero_shot(request: Request) -> Response:
        wanted, num_bytes = await read_json(request, ZeroShotRequest, limits=intake.limits)
        model = models.find(wanted.model)
        prompts = checked_prompts(wanted, limits=intake.limits)
        texts = [text for of_class in prompts for text in of_class]
        images, of_prompts = await asyncio.gather(
            embed_request(request, wanted.items(), model, intake=intake, num_bytes=num_bytes),
            _embed_prompts(request, texts, model),
        )
        sizes = [len(of_class) for of_class in prompts]
        found = class_probabilities(images, of_prompts, sizes, scale=model.card.logit_scale)
        return json_response(zero_shot_body(wanted, found, of_prompts, model=model.card))

    @router.post(
        "/v1/similarity",
        response_model=SimilarityAnswer,
        responses=errors,
        openapi_extra=body_schema(SimilarityRequest, models),
    )
    async def similarity(request: Request) -> Response:
        wanted, num_bytes = await read_json(request, SimilarityRequest, limits=intake.limits)
        model = models.find(wanted.model)
        vectors = await embed_request(
            request, wanted.items(), model, intake=intake, num_bytes=num_bytes
        )
        cosines = cosines_of(wanted, matrix(vectors)).clip(-1, 1)
        return json_response(similarity_body(wanted, cosines, vectors, model=model.card.id))

    return router


async def _embed_prompts(request: Request, texts: list[str], model: Model) -> list[Vector]:
    ticket = ticket_of(request)
    ticket.count_items(texts=len(texts), images=0)
    vectors = await embed_items(texts, model.embed_texts, model.embed_images, param="classes")
    ticket.count_tokens(sum(vector.num_tokens for vector in vectors))
    return vectors


def checked_prompts(request: ZeroShotRequest, *, limits: Limits) -> list[list[str]]:
    """The prompts of each class; a 400 `ApiError` where they are too many, or one is no text."""
    prompts = request.prompts()
    number = sum(map(len, prompts))
    if number > limits.prompts:
        raise too_many(number, limits.prompts, param="classes")
    for place, of_class in enumerate(prompts):
        for text in of_class:
            checked_text(text, limits=limits, param=f"classes[{place}]")
    return prompts


def class_probabilities(
    images: Sequence[Vector], prompts: Sequence[Vector], sizes: Sequence[int], *, scale: float
) -> NDArray[np.float64]:
    """A row for each image, a column for each class; the class n has the next `sizes[n]` of the
    prompts."""
    ends = np.cumsum(sizes)[:-1]
    classes = [ensemble(of_class[None])[0] for of_class in np.split(matrix(prompts), ends)]
    return probabilities(logits(matrix(images), np.stack(classes), scale))


def cosines_of(request: SimilarityRequest, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the request's items as unit vectors: a row for each of the left, or a number for each
    pair."""
    if request.pairs:
        return (vectors[::2] * vectors[1::2]).sum(axis=1)
    left, right = np.split(vectors, [len(request.left or [])])
    return left @ (right if len(right) else left).T


def matrix(vectors: Sequence[Vector]) -> NDArray[np.float64]:
    return np.stack([vector.values for vector in vectors]).astype(np.float64)
