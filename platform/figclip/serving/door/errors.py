"""Every error of a route as the JSON that all endpoints answer with."""

from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from figclip.serving.protocol import ApiError


class ErrorFacts(BaseModel):
    """What went wrong, and what to do about it."""

    message: str
    type: Annotated[str, Field(description="OpenAI's word for the kind of error.")]
    param: Annotated[str | None, Field(description="The part of the request that is to blame.")]
    code: Annotated[str, Field(description="A word for programs.")]
    remedy: Annotated[str, Field(description="What to do about it.")]


class ErrorBody(BaseModel):
    """The body of every answer above 399."""

    error: ErrorFacts


WHEN = {
    400: "The request, or an item of it, cannot be used.",
    401: "No key, or none that is known here.",
    403: "The key has not the scope of this route.",
    404: "There is no such model, figure or route.",
    408: "The request came too slowly, or was not answered in its time.",
    413: "The request is too large.",
    415: "The body is not JSON.",
    429: "Too much was asked for; Retry-After says when to ask again.",
    503: "No model can answer now; Retry-After says when to ask again.",
}


def errors_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route's `responses` say of its errors."""
    retry = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return {
        status: {
            "model": ErrorBody,
            "description": WHEN[status],
            **({"headers": retry} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def add_error_handlers(app: FastAPI) -> None:
    """What goes wrong without an `ApiError`'s knowledge is the door's (`door.door`)."""
    for kind in (ApiError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    match error:
        case ApiError():
            return error_response(error)
        case RequestValidationError():
            first = error.errors()[0]
            param = str(first["loc"][-1])
            fault = ApiError(400, f"{param}: {first['msg']}", param=param, code=first["type"])
            return error_response(fault)
        case HTTPException():
            message = f"{request.method} {request.url.path}: {error.detail}"
            return error_response(ApiError(error.status_code, message, headers=error.headers))
        case _:
            raise error


def error_response(fault: ApiError) -> Response:
    """The code stands in a header as well, for the log and for clients that read no body."""
    headers = {**fault.headers, "X-Error-Code": fault.code}
    return JSONResponse(fault.body(), status_code=fault.status, headers=headers)
