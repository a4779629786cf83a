"""A figure search by hash: queries and figures are unit vectors, ranked by brute force."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from serving_fakes import image_bytes, unit

from figclip.serving.protocol import ApiError
from figclip.serving.routes.limits import ImageFault, Limits, decode_image
from figclip.serving.search.queries import Facet, FacetName, FacetValue, Found, Query, Results

FACETS: tuple[FacetName, ...] = ("license", "year", "journal", "image_type", "article_type", "part")


def figure(number: int, **changes: Any) -> Found:
    """A figure of the index."""
    found = Found(
        pair_id=f"PMC{number}.1/fig-1/a b&{number}.jpg",
        pmcid=f"PMC{number}",
        doi=f"10.1000/j<{number}>",
        title=f"Article {number}",
        journal="Annals of Examples",
        year=2010 + number % 8,
        license="CC BY",
        figure_license="",
        label="Figure 1.",
        caption=f"Caption {number}.",
        score=0,
        image_type="X-ray" if number % 2 else "ultrasound",
        article_type="research-article",
    )
    return replace(found, **changes)


@dataclass
class FakeSearch:
    """Figures in memory; remembers what it was asked."""

    figures: Sequence[Found]
    queries: list[Query] = field(default_factory=list)

    async def find(self, query: Query) -> Results:
        self.queries.append(query)
        admitted = [one for one in self.figures if self._admits(query, one)]
        aim = self._aim(query)
        scored = [replace(one, score=float(unit(one.pair_id.encode()) @ aim)) for one in admitted]
        best = sorted(scored, key=lambda one: -one.score)
        start, end = (query.page - 1) * query.size, query.page * query.size
        return Results(
            figures=tuple(best[start:end]),
            total=len(best),
            page=query.page,
            size=query.size,
            next_page=query.page + 1 if len(best) > end else None,
            facets=tuple(self._facets(query, admitted)) if query.facets else (),
            index_version="tiny",
        )

    async def export(self, query: Query) -> Results:
        return await self.find(replace(query, page=1, size=1_000))

    async def image_vector(self, image: bytes) -> np.ndarray:
        try:
            return unit(decode_image(image, limits=Limits()).tobytes())
        except ImageFault as error:
            raise ApiError(400, f"image: {error}", param="image", code="bad_image") from error

    async def figure(self, pair_id: str) -> Found:
        for one in self.figures:
            if one.pair_id == pair_id:
                return one
        raise ApiError(404, "pair_id: the index has no such figure", param="pair_id")

    async def picture(self, pair_id: str) -> bytes:
        number = self.figures.index(await self.figure(pair_id))
        return image_bytes("JPEG", (120, 90), (number * 37 % 255, 90, 120))

    def _aim(self, query: Query) -> np.ndarray:
        weights = query.weights
        parts = [(weights.text, unit(query.text.encode()))] if query.text else []
        parts += [(weights.figure, unit(query.figure.encode()))] if query.figure else []
        parts += [(weights.vector, query.vector)] if query.vector is not None else []
        return np.sum([weight * vector for weight, vector in parts], axis=0)

    def _admits(self, query: Query, one: Found) -> bool:
        values = {name: str(getattr(one, name) or "") for name in FACETS}
        passes = all(query.filters.admits(name, value) for name, value in values.items())
        return passes and one.pair_id != query.figure

    def _facets(self, query: Query, admitted: Sequence[Found]) -> list[Facet]:
        facets = []
        for name in FACETS:
            counts = Counter(str(getattr(one, name) or "") for one in admitted)
            values = [
                FacetValue(value, count, query.filters.chooses(name, value))
                for value, count in counts.most_common()
            ]
            facets.append(Facet(name, tuple(values)))
        return facets
