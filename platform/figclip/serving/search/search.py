"""Queries → figures: by words, a picture, a figure of the index, a vector, or by several."""

import asyncio
import io
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from figclip.config import UsageError
from figclip.embedding.index.opened import FigureIndex
from figclip.serving.protocol import ApiError
from figclip.serving.routes.api import embed_items
from figclip.serving.routes.intake import EmbedImages, EmbedTexts
from figclip.serving.routes.limits import Limits, checked_text, decode_image
from figclip.serving.search.answering import DEPTHS, answer, found_of
from figclip.serving.search.queries import Found, Query, Results, Weights

log = logging.getLogger(__name__)

T = TypeVar("T")

THUMBNAIL_SIDE = 256
"""Pixels of the longest side of the preview of an uploaded picture."""
NUM_THREADS = 8
"""Searches at once. With a store that hangs no more threads than these hang with it."""
DEADLINE_S = 15.0
"""Of reading the index; later the answer is a 503."""


class Leases(Protocol):
    """What holds the index: `figclip.serving.search.holder.IndexHolder`, or `Always`."""

    def lease(self) -> AbstractContextManager[tuple[FigureIndex, str]]: ...


@dataclass(frozen=True)
class Always:
    """One index for ever."""

    index: FigureIndex
    version: str = ""

    @contextmanager
    def lease(self) -> Iterator[tuple[FigureIndex, str]]:
        yield self.index, self.version


class FigureSearch:
    """Figures, and the encoder that turns a query into their space: a `queries.Search`."""

    def __init__(
        self,
        figures: Leases,
        embed_texts: EmbedTexts,
        embed_images: EmbedImages,
        limits: Limits,
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.limits = limits
        self._figures = figures
        self._embed_texts = embed_texts
        self._embed_images = embed_images
        self._deadline_s = deadline_s
        self._threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="index")

    async def find(self, query: Query) -> Results:
        """The page of results that the query asks for."""
        self._check_page(query)
        given = await self._embedded(query)
        return await self._read(lambda index, version: _answer(index, version, query, given))

    async def export(self, query: Query) -> Results:
        """All that a query finds, as far as its pages go, in one."""
        given = await self._embedded(query)
        whole = replace(query, page=1, size=DEPTHS[-1])
        return await self._read(lambda index, version: _answer(index, version, whole, given))

    async def image_vector(self, image: bytes) -> NDArray[np.float32]:
        """The unit vector of an image file, which is embedded and forgotten."""
        [vector] = await embed_items([image], self._embed_texts, self._embed_images, param="image")
        return vector.values

    async def figure(self, pair_id: str) -> Found:
        """What is told of one figure."""
        return found_of(await self._read(lambda index, _: _there(index.get(pair_id))))

    async def picture(self, pair_id: str) -> bytes:
        """The figure's thumbnail, a JPEG file."""
        return await self._read(lambda index, _: _there(index.thumbnail(pair_id)))

    def _check_page(self, query: Query) -> None:
        most = self.limits.results
        if not 1 <= query.size <= most:
            message = f"k: the number of figures must be 1 to {most}"
            raise ApiError(400, message, param="k", code="invalid_k")
        if not 1 <= query.page <= DEPTHS[-1] // query.size + 1:
            message = f"page: pages go as deep as {DEPTHS[-1]:,} figures: filter, or ask for others"
            raise ApiError(400, message, param="page", code="invalid_page")

    async def _embedded(self, query: Query) -> dict[str, NDArray[np.float32]]:
        """The vectors of the query's own parts by their names."""
        items: dict[str, str | bytes] = {}
        if query.text:
            items["text"] = checked_text(query.text, limits=self.limits, param="text")
        if query.image is not None:
            items["image"] = query.image
        if not items and not query.figure and query.vector is None:
            raise ApiError(400, "the query is empty: say what to look for", code="empty_query")
        vectors = await embed_items(
            [*items.values()], self._embed_texts, self._embed_images, param="image"
        )
        given = dict(zip(items, (vector.values for vector in vectors), strict=True))
        return given if query.vector is None else given | {"vector": query.vector}

    async def _read(self, read: Callable[[FigureIndex, str], T]) -> T:
        """What `read` finds in the current index, in a thread, before the deadline."""

        def leased() -> T:
            with self._figures.lease() as (index, version):
                return read(index, version)

        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(
                loop.run_in_executor(self._threads, leased), self._deadline_s
            )
        except TimeoutError as error:
            log.warning("the index did not answer in %s s", self._deadline_s)
            message = "the index does not answer in time: try again"
            raise ApiError(503, message, code="index_slow", retry_after_s=5) from error
        except (OSError, RuntimeError) as error:
            log.exception("the index cannot be read")
            message = "the index cannot be read now: try again"
            raise ApiError(503, message, code="index_unreadable", retry_after_s=5) from error


def _answer(
    index: FigureIndex, version: str, query: Query, given: dict[str, NDArray[np.float32]]
) -> Results:
    place = None
    if query.figure:
        place = _there(index.place(query.figure))
        given = given | {"figure": _there(index.vector(query.figure))}
    vector = together(given, query.weights, dim=index.dim)
    try:
        return answer(index, query, vector, figure=place, version=version)
    except UsageError as error:
        message = f"image_type: {error}"
        raise ApiError(400, message, param="image_type", code="invalid_image_type") from error


def together(
    given: dict[str, NDArray[np.float32]], weights: Weights, *, dim: int
) -> NDArray[np.float32]:
    """The unit vectors added with their weights, as one unit vector [dim].

    A 400 `ApiError` where a vector or a weight is none, or the sum has no direction.
    """
    total = np.zeros(dim)
    for name, vector in given.items():
        weight = float(getattr(weights, name))
        if not (np.isfinite(weight) and weight >= 0):
            message = f"weights.{name}: a weight must be a number, 0 or more"
            raise ApiError(400, message, param=f"weights.{name}", code="invalid_weights")
        if vector.shape != (dim,) or not np.isfinite(vector).all() or not vector.any():
            message = f"{name}: the index takes vectors of {dim} numbers that are not all zero"
            raise ApiError(400, message, param=name, code="invalid_vector")
        exact = vector.astype(np.float64)
        total += weight * exact / np.linalg.norm(exact)
    length = np.linalg.norm(total)
    if length < 1e-6:
        message = "weights: the parts cancel one another out: give one of them more weight"
        raise ApiError(400, message, param="weights", code="invalid_weights")
    return (total / length).astype(np.float32)


def _there(found: T | None) -> T:
    if found is None:
        message = "pair_id: the index has no such figure"
        raise ApiError(404, message, param="pair_id", code="figure_not_found")
    return found


def thumbnail(data: bytes, *, limits: Limits) -> bytes:
    """A JPEG that fits a square of `THUMBNAIL_SIDE`; `ImageFault` where `data` is broken."""
    image = decode_image(data, limits=limits)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()
