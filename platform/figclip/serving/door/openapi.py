"""The document of an API, as truthful as its tests: FastAPI's, with the door's part."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from figclip.serving.door.door import MIN_TIMEOUT_S, Entrance
from figclip.serving.door.errors import ErrorBody, errors_of

KEY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of `python -m serve_apps.keys add`.",
}
WITHOUT_KEY = ("/healthz", "/readyz")


def describe(app: FastAPI, entrance: Entrance) -> None:
    """Let `app.openapi()` tell what the door answers, too."""

    def document() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _document(
                app, entrance.keys is not None, entrance.config.max_timeout_s
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI documents it


def _document(app: FastAPI, has_keys: bool, max_timeout_s: float) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    error = ErrorBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= error.pop("$defs") | {"ErrorBody": error}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # ours are 400
            if path not in WITHOUT_KEY:
                _add_door(operation, has_keys, max_timeout_s)
    if has_keys:
        found["components"]["securitySchemes"] = {"key": KEY_SCHEME}
    return found


def _add_door(operation: dict[str, Any], has_keys: bool, max_timeout_s: float) -> None:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    for status, facts in errors_of(400, 408, 429, *((401, 403) if has_keys else ())).items():
        told = {key: value for key, value in facts.items() if key != "model"}
        operation["responses"].setdefault(str(status), {**told, "content": content})
    operation.setdefault("parameters", []).extend(_headers(max_timeout_s))
    if has_keys:
        operation["security"] = [{"key": []}]


def _headers(max_timeout_s: float) -> list[dict[str, Any]]:
    """What every route takes."""
    return [
        {
            "name": "X-Timeout-S",
            "in": "header",
            "required": False,
            "description": "Seconds in which the answer is of use.",
            "schema": {"type": "number", "minimum": MIN_TIMEOUT_S, "maximum": max_timeout_s},
        },
        {
            "name": "X-Request-ID",
            "in": "header",
            "required": False,
            "description": "Comes back with the answer, and stands in the server's log.",
            "schema": {"type": "string"},
        },
    ]
