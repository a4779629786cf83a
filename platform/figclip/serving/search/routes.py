"""`/api/search`: queries and results as JSON; `/api/export`: results as a file."""

import asyncio
import base64
from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi import Query as Words
from fastapi.responses import Response
from numpy.typing import NDArray

from figclip.serving.protocol import ApiError, SearchRequest, parse_request
from figclip.serving.routes.api import body_schema, read_body
from figclip.serving.routes.limits import Limits, checked_image
from figclip.serving.search.exporting import as_json, csv_file, json_file
from figclip.serving.search.queries import Filters, Query, Results, Weights
from figclip.serving.search.search import FigureSearch

Format = Literal["json", "csv"]
Several = Annotated[list[str] | None, Words()]
MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "csv": "text/csv; charset=utf-8"}


def search_router(search: FigureSearch, *, num_results: int) -> APIRouter:
    """Both routes take a body (`SearchRequest`), or the same by the words of a URL."""
    router = APIRouter()

    async def by_body(request: Request) -> Query:
        body = await read_body(request, max_bytes=search.limits.body_bytes)
        wanted = parse_request(SearchRequest, body)
        return await query_of(wanted, limits=search.limits, num_results=num_results)

    async def by_url(wanted: Annotated[SearchRequest, Depends(_request_of_url)]) -> Query:
        return await query_of(wanted, limits=search.limits, num_results=num_results)

    @router.post("/api/search", openapi_extra=body_schema(SearchRequest))
    async def search_by_body(request: Request) -> dict[str, Any]:
        return _body(await search.find(await by_body(request)))

    @router.get("/api/search")
    async def search_by_url(query: Annotated[Query, Depends(by_url)]) -> dict[str, Any]:
        return _body(await search.find(query))

    @router.post("/api/export", openapi_extra=body_schema(SearchRequest))
    async def export_by_body(request: Request, format: Format = "json") -> Response:
        return _file(await search.export(await by_body(request)), format)

    @router.get("/api/export")
    async def export_by_url(
        query: Annotated[Query, Depends(by_url)],
        format: Format = "json",
    ) -> Response:
        return _file(await search.export(query), format)

    return router


def _request_of_url(
    q: str | None = None,
    like: str | None = None,
    k: int | None = None,
    page: int | None = None,
    hybrid: bool = False,
    facets: bool = True,
    license: Several = None,
    journal: Several = None,
    image_type: Several = None,
    article_type: Several = None,
    part: Several = None,
    first_year: int | None = None,
    last_year: int | None = None,
) -> SearchRequest:
    words = {
        "text": q,
        "pair_id": like,
        "k": k,
        "page": page,
        "hybrid": hybrid,
        "facets": facets,
        "licenses": license,
        "journals": journal,
        "image_types": image_type,
        "article_types": article_type,
        "parts": part,
        "first_year": first_year,
        "last_year": last_year,
    }
    return parse_request(SearchRequest, {n: word for n, word in words.items() if word is not None})


async def query_of(wanted: SearchRequest, *, limits: Limits, num_results: int) -> Query:
    """A request as a query, its image checked; a 400 `ApiError` names what is to blame."""
    image = None
    if wanted.image is not None:
        image = await asyncio.to_thread(checked_image, wanted.image, limits=limits, param="image")
    types = [*wanted.image_types, *([wanted.image_type] if wanted.image_type else [])]
    weights = wanted.weights
    return Query(
        text=wanted.text or "",
        figure=wanted.pair_id or "",
        image=image,
        vector=None if wanted.vector is None else _vector(wanted.vector),
        weights=Weights(weights.text, weights.pair_id, weights.image, weights.vector),
        hybrid=wanted.hybrid,
        filters=Filters(
            licenses=tuple(wanted.licenses),
            first_year=wanted.first_year,
            last_year=wanted.last_year,
            journals=tuple(wanted.journals),
            image_types=tuple(types),
            article_types=tuple(wanted.article_types),
            parts=tuple(wanted.parts),
        ),
        page=wanted.page,
        size=num_results if wanted.k is None else wanted.k,
        facets=wanted.facets,
    )


def _vector(given: list[float] | str) -> NDArray[np.float32]:
    """Numbers, or base64 of little-endian float32, as `/v1/embeddings` gives them."""
    if isinstance(given, list):
        with np.errstate(over="ignore"):  # what is no float32 is refused as infinite
            return np.asarray(given, dtype=np.float64).astype(np.float32)
    try:
        data = base64.b64decode(given, validate=True)
        return np.frombuffer(data, dtype="<f4").astype(np.float32)
    except ValueError as error:
        message = "vector: no list of numbers, and no base64 of float32 numbers"
        raise ApiError(400, message, param="vector", code="invalid_vector") from error


def _body(results: Results) -> dict[str, Any]:
    return {
        "object": "list",
        "results": [as_json(found) for found in results.figures],
        "total": results.total,
        "page": results.page,
        "next_page": results.next_page,
        "facets": [asdict(facet) for facet in results.facets],
        "index": results.index_version,
    }


def _file(results: Results, kind: Format) -> Response:
    facts = {"total": results.total, "index": results.index_version}
    data = csv_file(results.figures) if kind == "csv" else json_file(results.figures, **facts)
    named = {"Content-Disposition": f'attachment; filename="figures.{kind}"'}
    return Response(data, media_type=MEDIA_TYPES[kind], headers=named)
