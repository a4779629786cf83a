"""What the endpoints speak: OpenAI's `/v1/embeddings` for texts and pictures, and its errors."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

Modality = Literal["text", "image"]
R = TypeVar("R", bound=BaseModel)


class ApiError(Exception):
    """A request that is answered with an error; `param` names the part of it that is to blame."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """`{"error": {message, type, param, code}}`, as OpenAI's clients expect it."""
        if self.status == 429:
            kind = "rate_limit_error"
        else:
            kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        }


@dataclass(frozen=True)
class Vector:
    """One item embedded: a unit vector and, for a text, how much of it the model read."""

    values: NDArray[np.float32]
    num_tokens: int = 0
    """Tokens the model read; 0 for an image."""
    is_truncated: bool = False
    """The text was longer than the model's context, and its end was not read."""


@dataclass(frozen=True)
class Refusal:
    """An item that cannot be embedded, and why; its neighbours are not harmed."""

    reason: str
    """A sentence without its subject: `the file ends early`."""


@dataclass(frozen=True)
class ModelCard:
    """A model as `/v1/models` shows it."""

    id: str
    created: int
    """Seconds since 1970."""
    dim: int
    context_length: int
    """Tokens of a text that the model reads; the rest is cut and the answer says so."""


def _as_list_of_texts(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(item, int | list) for item in value):
        raise PydanticCustomError(
            "token_arrays", "token arrays are not supported: send the text itself, as a string"
        )
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PydanticCustomError(
            "not_texts", "must be a string, or a list of strings (texts and data: URIs of images)"
        )
    if not value:
        raise PydanticCustomError("empty", "must hold at least one text or image")
    return value


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EmbeddingsRequest(_Request):
    """The body of `POST /v1/embeddings`; images stand among the texts as data: URIs."""

    model: str
    input: Annotated[list[str], BeforeValidator(_as_list_of_texts)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: PositiveInt | None = None
    modality: Modality | None = None
    """What every item is; without it an item that begins with `data:image/` is an image."""
    user: str | None = None


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Year = Annotated[int, Field(ge=0, le=9_999)]
_LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
Values = Annotated[tuple[Annotated[str, Field(max_length=500)], ...], _LIST, Field(max_length=100)]
"""Alternatives of a filter."""
Parts = Annotated[tuple[Literal["figure", "panel"], ...], _LIST, Field(max_length=2)]


class SearchWeights(_Request):
    """How much each part of a search counts, beside the others; 0 or more."""

    text: Weight = 1.0
    pair_id: Weight = 1.0
    image: Weight = 1.0
    vector: Weight = 1.0


class SearchRequest(_Request):
    """The body of `POST /api/search`: `text`, `pair_id`, `image`, `vector`, or several of them."""

    text: str | None = None
    pair_id: str | None = None
    """A figure of the index, to find figures like it."""
    image: str | None = None
    """`data:image/...;base64,...`."""
    vector: Annotated[list[float], Field(min_length=1, max_length=16_384)] | str | None = None
    """Embedded by the client with the index's encoder: numbers, or base64 of float32."""
    weights: SearchWeights = SearchWeights()
    hybrid: bool = False
    """Whether captions and titles that hold the words of `text` count as well."""
    k: PositiveInt | None = None
    """Figures of a page."""
    page: PositiveInt = 1
    licenses: Values = ()
    first_year: Year | None = None
    last_year: Year | None = None
    journals: Values = ()
    image_type: str | None = None
    """One more of `image_types`."""
    image_types: Values = ()
    """Of `figclip.embedding.taxonomy`, where the index knows types."""
    article_types: Values = ()
    parts: Parts = ()
    """Whole figures, or panels cut from compound ones."""
    facets: bool = True
    """Whether figures are counted by licence, year, journal and so on."""

    @model_validator(mode="after")
    def _some_query(self) -> Self:
        if all(query is None for query in (self.text, self.pair_id, self.image, self.vector)):
            raise PydanticCustomError(
                "query", "needs one of `text`, `pair_id`, `image` and `vector` at least"
            )
        return self


def parse_request(kind: type[R], body: bytes | Mapping[str, Any]) -> R:
    """The body (JSON, or values) as a request; a 400 `ApiError` names its first fault.

    The error never repeats a value: a query may be private.
    """
    try:
        if isinstance(body, bytes):
            return kind.model_validate_json(body)
        return kind.model_validate(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    param = ".".join(map(str, fault["loc"])) or None
    message = f"{param}: {fault['msg']}" if param else f"the request: {fault['msg']}"
    raise ApiError(400, message, param=param, code=fault["type"])


def embeddings_body(
    request: EmbeddingsRequest, vectors: list[Vector], *, model: str
) -> dict[str, Any]:
    """The answer to `request`, `vectors` in the order of its items."""
    num_tokens = sum(vector.num_tokens for vector in vectors)
    return {
        "object": "list",
        "model": model,
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": encoded(vector.values, request.encoding_format),
                "truncated": vector.is_truncated,
            }
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
    }


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
        "dimensions": model.dim,
        "context_length": model.context_length,
    }
