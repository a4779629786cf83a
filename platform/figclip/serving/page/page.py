"""The search page: plain HTML, made here; it needs no script and loads nothing from elsewhere.

A picture comes by POST and its answer is that request's: to redirect to an address would ask for
the picture to be kept. The answer's forms carry its vector and a small preview instead, so that
more words, filters, pages and exports need neither the picture again nor anything kept here.
"""

import asyncio
import base64
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from figclip.serving.door.door import Entrance
from figclip.serving.page.asked import (
    MOST_PAIRS,
    Asked,
    address,
    asked_of,
    filter_pairs,
    query_of,
    vector_text,
)
from figclip.serving.page.refining import chips_of, groups_of, years_of
from figclip.serving.page.tiles import name_of, picture_path, tile_of
from figclip.serving.protocol import REMEDIES, ApiError
from figclip.serving.routes.api import json_app, read_body
from figclip.serving.routes.limits import Limits, checked_file
from figclip.serving.search.exporting import csv_file, json_file
from figclip.serving.search.queries import Filters, Found, Results, Search
from figclip.serving.search.routes import search_router
from figclip.serving.search.search import FigureSearch, thumbnail

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
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
About = Callable[[], str]
"""The line at the foot of the page, where it changes."""
PREVIEWS_AT_ONCE = 2
"""Each decodes a whole picture, in this process."""
NOT_KEPT = {"Cache-Control": "no-store"}
"""Of answers that hold a private picture's preview: not even the browser is to keep them."""


def search_app(
    search: FigureSearch,
    *routers: APIRouter,
    about: str | About,
    num_results: int,
    entrance: Entrance | None = None,
) -> FastAPI:
    """The page, `/api/search`, the images, and `routers`; safe headers on every answer.

    `about` is the line at the foot of the page; `num_results` is how many figures a search
    answers with that names no number; `entrance` is `json_app`'s.
    """
    page = Page(search, limits=search.limits, about=about, size=num_results)
    routers = (search_router(search, num_results=num_results), *routers)
    return page_app(page, *routers, entrance=entrance)


def page_app(page: "Page", *routers: APIRouter, entrance: Entrance | None = None) -> FastAPI:
    """The page and `routers`."""
    app = json_app(page_router(page), *routers, title="figclip search", entrance=entrance)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    for kind in (ApiError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, page.for_people(app.exception_handlers[kind]))
    app.add_middleware(SafeHeaders)
    return app


class SafeHeaders:
    """ASGI middleware: `SAFE_HEADERS` on every answer, whoever gives it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SAFE_HEADERS)
            await send(message)

        await self.app(scope, receive, send_safely)


class Page:
    """Questions → HTML."""

    def __init__(self, search: Search, *, limits: Limits, about: str | About, size: int) -> None:
        """`about` is the line at its foot, `size` how many figures it shows."""
        self._search = search
        self._limits = limits
        self._about = about
        self._size = size
        self._previewing = asyncio.Semaphore(PREVIEWS_AT_ONCE)
        self._page = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        ).get_template("page.html")

    async def answer(self, request: Request, asked: Asked) -> HTMLResponse:
        """The first page, or what was found; errors become pages by `for_people`."""
        if asked.is_empty:
            return self._show(request, asked=asked)
        results = await self._search.find(query_of(asked, size=self._size))
        figure = await self._search.figure(asked.figure) if asked.figure else None
        facts = _answered(asked, results, figure, root=request.scope["root_path"])
        return self._show(request, asked=asked, results=results, **facts)

    async def asked_by_form(self, request: Request) -> Asked:
        """The question of a form; a new picture in it takes the place of what was asked before.

        `ApiError` where form or picture cannot be read.
        """
        form = await read_form(request, max_bytes=self._limits.body_bytes)
        pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        file = form.get("image")
        if isinstance(file, UploadFile):
            return await self._with_picture(asked_of(pairs), await file.read())
        asked = asked_of(pairs)
        if asked.is_empty:
            raise ApiError(400, "image: choose a picture first", param="image", code="no_image")
        return asked

    async def _with_picture(self, asked: Asked, data: bytes) -> Asked:
        checked_file(data, limits=self._limits, param="image")
        vector = await self._search.image_vector(data)
        async with self._previewing:
            small = await asyncio.to_thread(thumbnail, data, limits=self._limits)
        return replace(
            asked,
            figure="",
            vector=vector_text(vector),
            preview=base64.b64encode(small).decode(),
            page=1,
        )

    async def picture(self, pair_id: str) -> bytes:
        return await self._search.picture(pair_id)

    async def every(self, asked: Asked) -> Results:
        """All that an export holds."""
        query = query_of(asked, size=self._size)
        return await self._search.export(replace(query, facets=False))

    def for_people(self, answer: Any) -> Any:
        """A handler of errors that answers a browser with a page, and a program as before."""

        async def shown(request: Request, error: Exception) -> Response:
            response: Response = await answer(request, error)
            if not wants_html(request):
                return response
            told = error if isinstance(error, ApiError) else None
            words = _sentence(told) if told else _NOT_THERE.get(response.status_code, _FAILED)
            html = self._show(
                request,
                response.status_code,
                asked=_asked_before(request),
                error=words,
                remedy=_remedy(told),
            )
            kept = ("content-length", "content-type")
            html.headers.update({k: v for k, v in response.headers.items() if k not in kept})
            return html

        return shown

    def _show(self, request: Request, status: int = 200, **facts: Any) -> HTMLResponse:
        values = {
            "root": request.scope.get("root_path", ""),
            "about": self._about if isinstance(self._about, str) else self._about(),
            "examples": EXAMPLES,
            "results": None,
            "error": "",
            "remedy": "",
            "filter_pairs": filter_pairs(facts["asked"].filters),
            **facts,
        }
        headers = NOT_KEPT if facts["asked"].vector else {}
        return HTMLResponse(self._page.render(values), status_code=status, headers=headers)


PEOPLES_REMEDIES = {
    400: "Mend it, and search again.",
    404: "It may have gone with an update: search for it by words.",
    413: "Choose a smaller picture.",
    429: "Many people are searching: wait a moment, then search again.",
    503: "Wait a moment, then search again.",
}
_FAILED = "The server failed. Try again in a moment."
_NOT_THERE = {404: "There is no such page here.", 405: "This page cannot be asked in that way."}


def page_router(page: Page) -> APIRouter:
    """`GET /?q=&figure=...`, `POST /` with a picture, exports, and `GET /images/{pair_id}`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def ask(request: Request) -> HTMLResponse:
        return await page.answer(request, asked_of(request.query_params.multi_items()))

    @router.post("/")
    async def ask_by_form(request: Request) -> HTMLResponse:
        return await page.answer(request, await page.asked_by_form(request))

    async def exported(kind: str, asked: Asked) -> Response:
        if asked.is_empty:
            raise ApiError(400, "q: say what to look for", param="q", code="empty_query")
        results = await page.every(asked)
        facts = {"total": results.total, "index": results.index_version}
        is_csv = kind == "csv"
        data = csv_file(results.figures) if is_csv else json_file(results.figures, **facts)
        return Response(
            data,
            media_type="text/csv" if is_csv else "application/json",
            headers={"Content-Disposition": f'attachment; filename="figures.{kind}"', **NOT_KEPT},
        )

    @router.get("/export.{kind}")
    async def export(request: Request, kind: Literal["json", "csv"]) -> Response:
        return await exported(kind, asked_of(request.query_params.multi_items()))

    @router.post("/export.{kind}")
    async def export_form(request: Request, kind: Literal["json", "csv"]) -> Response:
        return await exported(kind, await page.asked_by_form(request))

    @router.get("/images/{pair_id:path}")
    async def image(pair_id: str) -> Response:
        picture = await page.picture(pair_id)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(picture, media_type="image/jpeg", headers=headers)

    return router


def wants_html(request: Request) -> bool:
    """Whether a person's browser asks, rather than a program; at `/` there is nothing but HTML."""
    return (
        "text/html" in request.headers.get("accept", "")
        or request.url.path.removeprefix(request.scope.get("root_path", "")) == "/"
    )


def _answered(asked: Asked, results: Results, figure: Found | None, *, root: str) -> dict[str, Any]:
    """What the results' template is told."""
    chips = chips_of(asked)
    return {
        "tiles": [tile_of(found) for found in results.figures],
        "subject": _subject(asked, figure, root=root),
        "heading": _heading(asked, figure),
        "counted": _counted(results),
        "nothing": _nothing(results, has_filters=bool(chips)),
        "groups": groups_of(results.facets),
        "years": years_of(results.facets, asked.filters),
        "chips": chips,
        "here": address(asked),
        "without_filters": address(asked, filters=Filters()),
        "without_subject": address(asked, figure="", vector="") if asked.text else "",
        "previous_page": asked.page - 1 if asked.page > 1 else None,
        "previous_address": address(asked, page=asked.page - 1),
        "next_page": results.next_page,
        "next_address": address(asked, page=results.next_page or 1),
        "address_of_figure": lambda pair_id: address(Asked(figure=pair_id)),
        "picture_path": picture_path,
    }


def _subject(asked: Asked, figure: Found | None, *, root: str) -> dict[str, str] | None:
    """The picture that was searched with."""
    if figure is not None:
        name = name_of(figure)
        return {
            "image": root + picture_path(figure.pair_id),
            "alt": name,
            "caption": figure.caption,
        }
    if asked.preview:
        image = f"data:image/jpeg;base64,{asked.preview}"
        return {"image": image, "alt": "Your picture", "caption": ""}
    return None


def _heading(asked: Asked, figure: Found | None) -> str:
    words = f"“{_cut(asked.text)}”" if asked.text else ""
    like = f"like {name_of(figure)}" if figure else "like your picture" if asked.vector else ""
    if like and words:
        return f"Figures {like} and for {words}"
    return f"Figures {like or f'for {words}'}"


def _counted(results: Results) -> str:
    """`1,234 figures match the filters; these are 1 to 24, the best first`."""
    if not results.figures:
        return ""
    first = (results.page - 1) * results.size + 1
    last = first + len(results.figures) - 1
    return f"{first:,} to {last:,} of {results.total:,}, the best first"


def _nothing(results: Results, *, has_filters: bool) -> dict[str, str]:
    """What to say and to do where no figure is shown."""
    if results.page > 1:
        return {"title": "No more figures", "remedy": "Go back, or ask in other words."}
    if has_filters:
        remedy = "Take a filter away: no figure passes all of them."
        return {"title": "No figure was found", "remedy": remedy}
    return {"title": "No figure was found", "remedy": "The index holds none: build it anew."}


def _sentence(error: ApiError) -> str:
    """The message for people, who know no field by its name."""
    words = error.message.removeprefix(f"{error.param}: ").rstrip(".")
    return f"{words[:1].upper()}{words[1:]}."


def _remedy(error: ApiError | None) -> str:
    """What a person can do; a program's remedy speaks of fields and headers."""
    if error is None:
        return ""
    words = PEOPLES_REMEDIES.get(error.status, "")
    if error.remedy != REMEDIES.get(error.status):
        words = error.remedy.rstrip(".") + "."
    return f"{words[:1].upper()}{words[1:]}"


def _asked_before(request: Request) -> Asked:
    """The words of an address that led to an error, so that they can be mended."""
    return Asked(text=request.query_params.get("q", "").strip()[:2_000])


def _cut(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()}…"


class _MemoryParser(MultiPartParser):
    spool_max_size = 0
    """Never to disk: a query picture leaves no trace."""


async def read_form(request: Request, *, max_bytes: int) -> FormData:
    """The form, all of it in memory; a 4xx `ApiError` where it cannot be read."""
    body = await read_body(request, max_bytes=max_bytes)

    async def stream() -> Any:
        yield body

    try:
        parser = _MemoryParser(request.headers, stream(), max_files=1, max_fields=MOST_PAIRS)
        return await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        message = "the form could not be read: send multipart/form-data"
        raise ApiError(400, message, code="bad_form") from error
