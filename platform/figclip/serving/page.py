"""The search page: plain HTML, made here; it needs no script and loads nothing from elsewhere."""

import asyncio
import base64
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware.base import RequestResponseEndpoint

from figclip.serving.api import json_app, read_body
from figclip.serving.exporting import article_url, doi_url, image_path
from figclip.serving.limits import checked_file
from figclip.serving.protocol import ApiError
from figclip.serving.queries import Found, Query
from figclip.serving.search import FigureSearch, thumbnail
from figclip.serving.search_routes import search_router

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
EXAMPLES = (
    "chest CT with a nodule",
    "H&E stained tissue section",
    "western blot",
    "survival curve of two groups",
    "green fluorescent neurons",
    "MRI of the brain",
    "flow diagram of a study",
)
SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def search_app(search: FigureSearch, *routers: APIRouter, about: str, num_results: int) -> FastAPI:
    """The page, `/api/search`, the images, and `routers`; safe headers on every answer.

    `about` is the line at the foot of the page; `num_results` is how many figures a search
    without `k` answers with.
    """
    app = json_app(
        search_router(search, num_results=num_results),
        page_router(search, about=about, num_results=num_results),
        *routers,
        title="figclip search",
    )
    app.mount("/static", StaticFiles(directory=HERE / "static"))

    @app.middleware("http")
    async def with_safe_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers.update(SAFE_HEADERS)
        return response

    return app


def page_router(search: FigureSearch, *, about: str, num_results: int) -> APIRouter:
    """`GET /?q=&like=&k=`, `POST /` with a picture, and `GET /images/{pair_id}`."""
    router = APIRouter(include_in_schema=False)
    page = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")

    def show(request: Request, status: int = 200, **facts: Any) -> HTMLResponse:
        values = {**NOTHING_ASKED, "root": request.scope.get("root_path", ""), "about": about}
        return HTMLResponse(page.render({**values, **facts}), status_code=status)

    @router.get("/")
    async def ask(request: Request, q: str = "", like: str = "", k: str = "") -> HTMLResponse:
        try:
            count = _count(k, default=num_results)
            if like:
                facts = await _like_figure(search, like, k=count, root=request.scope["root_path"])
            elif q.strip():
                facts = await _like_text(search, q, k=count)
            else:
                facts = {}
        except ApiError as error:
            return show(request, error.status, asked=True, q=q, error=_sentence(error))
        return show(request, **facts)

    @router.post("/")
    async def ask_with_picture(request: Request) -> HTMLResponse:
        try:
            data = await uploaded(request, max_bytes=search.limits.body_bytes)
            checked_file(data, limits=search.limits, param="image")
            query = Query(image=data, size=num_results, facets=False)
            found = [*(await search.find(query)).figures]
            small = await asyncio.to_thread(thumbnail, data, limits=search.limits)
        except ApiError as error:
            return show(request, error.status, asked=True, error=_sentence(error))
        preview = f"data:image/jpeg;base64,{base64.b64encode(small).decode()}"
        heading = "Figures like your picture"
        return show(request, **_answered(found, heading=heading, query_picture=preview))

    @router.get("/images/{pair_id:path}")
    async def image(pair_id: str) -> Response:
        picture = await search.picture(pair_id)
        headers = {"Cache-Control": "max-age=3600"}
        return Response(picture, media_type="image/jpeg", headers=headers)

    return router


NOTHING_ASKED: dict[str, Any] = {
    "asked": False,
    "q": "",
    "error": "",
    "examples": EXAMPLES,
    "heading": "",
    "query_picture": "",
    "query_caption": "",
    "tiles": (),
    "more_url": "",
}


async def _like_text(search: FigureSearch, q: str, *, k: int) -> dict[str, Any]:
    found = [*(await search.find(Query(text=q, size=k, facets=False))).figures]
    more = _more_url({"q": q}, found, k=k, most=search.limits.results)
    return _answered(found, heading=f"Figures for “{_cut(q)}”", q=q, more_url=more)


async def _like_figure(search: FigureSearch, like: str, *, k: int, root: str) -> dict[str, Any]:
    found = [*(await search.find(Query(figure=like, size=k, facets=False))).figures]
    figure = await search.figure(like)
    return _answered(
        found,
        heading=f"Figures like {_name(figure)}",
        query_picture=root + image_path(figure),
        query_caption=figure.caption,
        more_url=_more_url({"like": like}, found, k=k, most=search.limits.results),
    )


def _answered(found: list[Found], **facts: str) -> dict[str, Any]:
    return {"asked": True, "tiles": [_tile(figure) for figure in found], **facts}


def _tile(found: Found) -> dict[str, Any]:
    return {
        **asdict(found),
        "label": found.label.rstrip(".: "),
        "name": _name(found),
        "alt": f"{_name(found)}: {_cut(found.caption)}",
        "image": image_path(found),
        "article_url": article_url(found),
        "doi_url": doi_url(found),
    }


def _name(found: Found) -> str:
    return f"{found.label.rstrip('.: ') or 'a figure'} of {found.pmcid}"


def _sentence(error: ApiError) -> str:
    """The message for people, who know no field by its name."""
    words = error.message.removeprefix(f"{error.param}: ")
    return f"{words[:1].upper()}{words[1:]}."


def _cut(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()}…"


def _more_url(query: dict[str, str], found: list[Found], *, k: int, most: int) -> str:
    """Where twice as many figures are; empty where there are no more, or not allowed."""
    if len(found) < k or k >= most:
        return ""
    return "?" + urlencode({**query, "k": min(2 * k, most)})


def _count(k: str, *, default: int) -> int:
    if not k:
        return default
    if not (k.isascii() and k.isdigit() and len(k) < 6):
        raise ApiError(
            400, "k: the number of figures must be a number", param="k", code="invalid_k"
        )
    return int(k)


class _MemoryParser(MultiPartParser):
    spool_max_size = 0
    """Never to disk: a query picture leaves no trace."""


async def uploaded(request: Request, *, max_bytes: int) -> bytes:
    """The file of the form's field `image`; a 4xx `ApiError` where there is none."""
    body = await read_body(request, max_bytes=max_bytes)

    async def stream() -> Any:
        yield body

    try:
        parser = _MemoryParser(request.headers, stream(), max_files=1, max_fields=4)
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise ApiError(400, "the form could not be read: send multipart/form-data") from error
    file = form.get("image")
    if not isinstance(file, UploadFile):
        raise ApiError(400, "image: choose a picture first", param="image")
    return await file.read()
