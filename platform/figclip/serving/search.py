"""Queries → figures: by words, by a figure of the index, by a picture; and its JSON routes."""

import asyncio
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from figclip.config import UsageError
from figclip.embedding.image_types import COLUMN
from figclip.embedding.index import Hit
from figclip.serving.api import EmbedImages, EmbedTexts, body_schema, embed_items, read_body
from figclip.serving.limits import Limits, checked_image, checked_text, decode_image
from figclip.serving.protocol import ApiError, SearchRequest, parse_request

THUMBNAIL_SIDE = 256
"""Pixels of the longest side of the preview of an uploaded picture."""


@dataclass(frozen=True)
class Found:
    """A figure of the index, as the page and the JSON show it."""

    pair_id: str
    pmcid: str
    doi: str | None
    title: str
    journal: str
    year: int | None
    license: str
    """Of the article."""
    figure_license: str
    """The figure's own permissions, where it states some."""
    label: str
    caption: str
    score: float
    """Cosine of the query and the figure's image."""
    image_type: str | None = None
    """Of `figclip.embedding.taxonomy`, where the index knows types."""


class Figures(Protocol):
    """What is searched: `figclip.embedding.index.FigureIndex`, or a test's few figures."""

    def search(
        self, vector: NDArray[np.float32], *, k: int, image_type: str | None = None
    ) -> list[Hit]: ...

    def get(self, pair_id: str) -> dict[str, Any] | None: ...

    def vector(self, pair_id: str) -> NDArray[np.float32] | None: ...


def found_of(row: Mapping[str, Any], *, score: float = 1.0) -> Found:
    """A row of the index as it is shown."""
    names = [field.name for field in fields(Found) if field.name not in ("score", COLUMN)]
    told = {name: row[name] for name in names}
    return Found(**told, score=score, image_type=row.get(COLUMN))


@dataclass(frozen=True)
class FigureSearch:
    """Figures, and the encoder that turns a query into their space."""

    figures: Figures
    embed_texts: EmbedTexts
    embed_images: EmbedImages
    limits: Limits

    async def by_text(self, text: str, *, k: int, image_type: str | None = None) -> list[Found]:
        """With an `image_type` those of it alone; a 400 `ApiError` where the index knows none."""
        checked = checked_text(text, limits=self.limits, param="text")
        return await self._nearest(checked, k=k, image_type=image_type)

    async def by_image(self, data: bytes, *, k: int, image_type: str | None = None) -> list[Found]:
        """`data` is an image file whose header was checked."""
        return await self._nearest(data, k=k, image_type=image_type)

    async def by_figure(
        self, pair_id: str, *, k: int, image_type: str | None = None
    ) -> list[Found]:
        """Figures like this one, without itself."""
        vector = await asyncio.to_thread(self.figures.vector, pair_id)
        if vector is None:
            raise _no_such_figure()
        found = await self._search(vector, k=self._allowed(k) + 1, image_type=image_type)
        return [figure for figure in found if figure.pair_id != pair_id][:k]

    async def figure(self, pair_id: str) -> Found:
        return found_of(await self._row(pair_id))

    async def picture(self, pair_id: str) -> bytes:
        """The figure's thumbnail, a JPEG file."""
        return (await self._row(pair_id))["thumbnail"]

    async def _row(self, pair_id: str) -> dict[str, Any]:
        row = await asyncio.to_thread(self.figures.get, pair_id)
        if row is None:
            raise _no_such_figure()
        return row

    async def _nearest(self, query: str | bytes, *, k: int, image_type: str | None) -> list[Found]:
        allowed = self._allowed(k)
        [vector] = await embed_items([query], self.embed_texts, self.embed_images, param="image")
        return await self._search(vector.values, k=allowed, image_type=image_type)

    async def _search(
        self, vector: NDArray[np.float32], *, k: int, image_type: str | None
    ) -> list[Found]:
        try:
            hits = await asyncio.to_thread(self.figures.search, vector, k=k, image_type=image_type)
        except UsageError as error:
            message = f"image_type: {error}"
            raise ApiError(400, message, param="image_type", code="invalid_image_type") from error
        return [found_of(hit.row, score=hit.score) for hit in hits]

    def _allowed(self, k: int) -> int:
        most = self.limits.results
        if not 1 <= k <= most:
            message = f"k: the number of figures must be 1 to {most}"
            raise ApiError(400, message, param="k", code="invalid_k")
        return k


def _no_such_figure() -> ApiError:
    message = "pair_id: the index has no such figure"
    return ApiError(404, message, param="pair_id", code="figure_not_found")


def thumbnail(data: bytes, *, limits: Limits) -> bytes:
    """A JPEG that fits a square of `THUMBNAIL_SIDE`; `ImageFault` where `data` is broken."""
    image = decode_image(data, limits=limits)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def article_url(found: Found) -> str:
    return f"https://pmc.ncbi.nlm.nih.gov/articles/{quote(found.pmcid)}/"


def doi_url(found: Found) -> str | None:
    return f"https://doi.org/{quote(found.doi)}" if found.doi else None


def image_path(found: Found) -> str:
    """Below the application's root."""
    return f"/images/{quote(found.pair_id)}"


def search_router(search: FigureSearch, *, num_results: int) -> APIRouter:
    """`/api/search`: text → figures, figure → figures, image → figures."""
    router = APIRouter()

    @router.post("/api/search", openapi_extra=body_schema(SearchRequest))
    async def search_by_body(request: Request) -> dict[str, Any]:
        body = await read_body(request, max_bytes=search.limits.body_bytes)
        return await answer(parse_request(SearchRequest, body))

    @router.get("/api/search")
    async def search_by_url(
        q: str | None = None,
        like: str | None = None,
        k: int | None = None,
        image_type: str | None = None,
    ) -> dict[str, Any]:
        words = {"text": q, "pair_id": like, "k": k, "image_type": image_type}
        return await answer(parse_request(SearchRequest, words))

    async def answer(wanted: SearchRequest) -> dict[str, Any]:
        k = num_results if wanted.k is None else wanted.k
        kind = wanted.image_type
        if wanted.text is not None:
            found = await search.by_text(wanted.text, k=k, image_type=kind)
        elif wanted.pair_id is not None:
            found = await search.by_figure(wanted.pair_id, k=k, image_type=kind)
        else:
            image = await asyncio.to_thread(
                checked_image, wanted.image or "", limits=search.limits, param="image"
            )
            found = await search.by_image(image, k=k, image_type=kind)
        return {"object": "list", "results": [_result(figure) for figure in found]}

    return router


def _result(found: Found) -> dict[str, Any]:
    return {
        **asdict(found),
        "article_url": article_url(found),
        "doi_url": doi_url(found),
        "image_path": image_path(found),
    }
