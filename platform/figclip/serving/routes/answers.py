"""What the endpoints answer, as bodies and as the document of the API tells it."""

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from figclip.serving.protocol import ModelCard, Vector
from figclip.serving.routes.dialects import EmbeddingsRequest, SimilarityRequest, ZeroShotRequest


class Embedding(BaseModel):
    """An item as a unit vector."""

    object: Literal["embedding"]
    index: Annotated[int, Field(description="The item's number in the request.")]
    embedding: Annotated[
        list[float] | str, Field(description="Numbers, or base64 of little-endian float32.")
    ]
    truncated: Annotated[
        bool, Field(description="The text is longer than the context: its end was not read.")
    ]
    tokens: Annotated[int, Field(description="Tokens that were read; 0 of an image.")]


class Usage(BaseModel):
    """Tokens of all texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """OpenAI's shape; `truncated` and `tokens` are ours."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: Usage


class ModelFacts(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: Annotated[int, Field(description="Seconds since 1970.")]
    owned_by: str
    version: Annotated[str | None, Field(description="The id's part behind its @.")]
    dimensions: int
    context_length: Annotated[int, Field(description="Tokens of a text that are read.")]
    logit_scale: Annotated[float, Field(description="Of cosines, before a softmax over classes.")]


class ModelsAnswer(BaseModel):
    """All models; a name without version means the one that was made last."""

    object: Literal["list"]
    data: list[ModelFacts]


class Classification(BaseModel):
    """What an image is taken for."""

    object: Literal["classification"]
    index: int
    label: Annotated[str, Field(description="The most probable class.")]
    probabilities: Annotated[list[float], Field(description="In the order of `classes`; sum 1.")]


class ZeroShotAnswer(BaseModel):
    """Probabilities of each image over the classes."""

    object: Literal["list"]
    model: str
    classes: list[str]
    logit_scale: float
    data: list[Classification]
    truncated_prompts: Annotated[
        int, Field(description="Prompts longer than the context, whose ends were not read.")
    ]
    usage: Usage


class SimilarityAnswer(BaseModel):
    """Cosines: a row for each of the left, or a number for each pair."""

    object: Literal["similarity"]
    model: str
    pairs: bool
    data: list[list[float]] | list[float]
    usage: Usage


class HealthAnswer(BaseModel):
    """One word."""

    status: str


def embeddings_body(
    request: EmbeddingsRequest, vectors: Sequence[Vector], *, model: str
) -> dict[str, Any]:
    """The answer to `request`, `vectors` in the order of its items."""
    return {
        "object": "list",
        "model": model,
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": encoded(vector.values, request.encoding_format),
                "truncated": vector.is_truncated,
                "tokens": vector.num_tokens,
            }
            for index, vector in enumerate(vectors)
        ],
        "usage": usage_of(vectors),
    }


def zero_shot_body(
    request: ZeroShotRequest,
    probabilities: NDArray[np.float64],
    prompts: Sequence[Vector],
    *,
    model: ModelCard,
) -> dict[str, Any]:
    """`probabilities` has a row for each image."""
    names = request.names()
    return {
        "object": "list",
        "model": model.id,
        "classes": names,
        "logit_scale": model.logit_scale,
        "data": [
            {
                "object": "classification",
                "index": index,
                "label": names[int(row.argmax())],
                "probabilities": row.tolist(),
            }
            for index, row in enumerate(probabilities)
        ],
        "truncated_prompts": sum(prompt.is_truncated for prompt in prompts),
        "usage": usage_of(prompts),
    }


def similarity_body(
    request: SimilarityRequest,
    cosines: NDArray[np.float64],
    vectors: Sequence[Vector],
    *,
    model: str,
) -> dict[str, Any]:
    return {
        "object": "similarity",
        "model": model,
        "pairs": request.pairs is not None,
        "data": cosines.tolist(),
        "usage": usage_of(vectors),
    }


def usage_of(vectors: Sequence[Vector]) -> dict[str, int]:
    num_tokens = sum(vector.num_tokens for vector in vectors)
    return {"prompt_tokens": num_tokens, "total_tokens": num_tokens}


def encoded(
    values: NDArray[np.float32], encoding_format: Literal["float", "base64"]
) -> list[float] | str:
    """A vector as JSON numbers, or as base64 of little-endian float32."""
    if encoding_format == "base64":
        return base64.b64encode(values.astype("<f4").tobytes()).decode()
    return values.astype(float).tolist()


def models_body(model: ModelCard) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": "figclip",
        "version": model.id.partition("@")[2] or None,
        "dimensions": model.dim,
        "context_length": model.context_length,
        "logit_scale": model.logit_scale,
    }
