"""What the endpoints speak: models, vectors and, for whatever goes wrong, one shape of error."""

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

CODES = {
    400: "bad_request",
    401: "no_key",
    403: "scope_missing",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "not_json",
    422: "unprocessable",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
"""Status → the code of an error that has none of its own."""

REMEDIES = {
    400: "correct the part that `param` names, and send the request again",
    401: "send a key of this server: `Authorization: Bearer KEY`",
    403: "use a key with this scope; the server's operator makes one with `serve_apps.keys`",
    404: "ask /v1/models for the models and /openapi.json for the routes",
    405: "use a method that the header Allow names",
    408: "send it in one go; or ask for fewer items, or allow more time by X-Timeout-S",
    413: "divide it among several requests",
    415: "send JSON in UTF-8, uncompressed, with `Content-Type: application/json`",
    422: "correct the part that `param` names, and send the request again",
    429: "wait as many seconds as Retry-After says, then send the request again",
    500: "send it again; if it fails again, give the server's operator the X-Request-ID",
    503: "wait as many seconds as Retry-After says, then send the request again",
}
"""Status → what to do about an error that names no remedy of its own."""

RETRY_AFTER_S = 1
"""Of a 429 or 503 that says nothing else."""


class ApiError(Exception):
    """A request that is answered with an error; `param` names the part of it that is to blame.

    Code, remedy and Retry-After are those of the status where none are given.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        remedy: str | None = None,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        family = 400 if status < 500 else 500
        self.status = status
        self.message = message
        self.param = param
        self.code = code or CODES.get(status, CODES[family])
        self.remedy = remedy or REMEDIES.get(status, REMEDIES[family])
        if retry_after_s is None and status in (429, 503):
            retry_after_s = RETRY_AFTER_S
        self.retry_after_s = retry_after_s
        told = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self.headers = {**told, **(headers or {})}

    def body(self) -> dict[str, Any]:
        """`{"error": {message, type, param, code, remedy}}`: OpenAI's shape, and a remedy."""
        return {
            "error": {
                "message": self.message,
                "type": _type_of(self.status),
                "param": self.param,
                "code": self.code,
                "remedy": self.remedy,
            }
        }


def _type_of(status: int) -> str:
    match status:
        case 401:
            return "authentication_error"
        case 403:
            return "permission_error"
        case 429:
            return "rate_limit_error"
        case _:
            return "invalid_request_error" if status < 500 else "server_error"


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
    logit_scale: float
    """Inverse temperature: by what cosines are multiplied before a softmax over classes."""


class Body(BaseModel):
    """The JSON body of a request: an unknown key, or a value of another type, is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Year = Annotated[int, Field(ge=0, le=9_999)]
_LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
Values = Annotated[tuple[Annotated[str, Field(max_length=500)], ...], _LIST, Field(max_length=100)]
"""Alternatives of a filter."""
Parts = Annotated[tuple[Literal["figure", "panel"], ...], _LIST, Field(max_length=2)]


class SearchWeights(Body):
    """How much each part of a search counts, beside the others; 0 or more."""

    text: Weight = 1.0
    pair_id: Weight = 1.0
    image: Weight = 1.0
    vector: Weight = 1.0


class SearchRequest(Body):
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
        fault = error.errors(include_input=False, include_url=False)[0]
    param = ".".join(map(str, fault["loc"])) or fault.get("ctx", {}).get("param")
    message = f"{param}: {fault['msg']}" if param else f"the request: {fault['msg']}"
    raise ApiError(400, message, param=param, code=fault["type"])
