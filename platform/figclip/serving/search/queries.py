"""What is asked of a figure search and what it answers: values only, for the page and the JSON.

**Matching.** A query ranks figures, it excludes none: what matches is what the filters let through.
`Results.total` and the counts of the facets therefore speak of the filters alone, and are exact.
Pictures that were printed several times (near-duplicates, by the picture's fingerprint) are one
result, the best of them, with the others named under it; `total` counts them once, facets count
every figure.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from figclip.embedding.index.filters import Facet, FacetName, FacetValue, Filters, Part

__all__ = [
    "Facet",
    "FacetName",
    "FacetValue",
    "Filters",
    "Found",
    "Part",
    "Query",
    "Results",
    "Search",
    "Span",
    "Weights",
]

Span = tuple[int, int]
"""`(start, end)` in characters of a text, end exclusive."""


@dataclass(frozen=True)
class Weights:
    """How much each part of a query counts; not negative, not all of the given parts zero.

    The parts' unit vectors are added with these weights, which ranks figures by the weighted sum of
    their cosines to the parts.
    """

    text: float = 1.0
    figure: float = 1.0
    image: float = 1.0
    vector: float = 1.0


@dataclass(frozen=True)
class Query:
    """One search: at least one of `text`, `figure`, `image` and `vector`, or several together."""

    text: str = ""
    figure: str = ""
    """The `pair_id` of a figure of the index, to find more like it; it is no result itself."""
    image: bytes | None = field(default=None, repr=False)
    """An image file; it is embedded and forgotten."""
    vector: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """A query that was embedded by the client with the index's encoder, `[dim]`, of any length but
    zero: the picture or the words then never leave their machine."""
    weights: Weights = field(default_factory=Weights)
    hybrid: bool = False
    """Whether captions and titles that hold the words of `text` count as well: the ranking by
    vectors and the one by words are fused by their reciprocal ranks."""
    filters: Filters = field(default_factory=Filters)
    page: int = 1
    """From 1 on. Pages of one query do not overlap, as long as the index is the same."""
    size: int = 24
    """Results of a page."""
    facets: bool = True
    """Whether the facets are counted."""


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
    article_type: str = ""
    part: Part = "figure"
    panel_label: str = ""
    """Of a panel: the label printed on it, bare; empty where there is none."""
    figure_pair_id: str = ""
    """Of a panel: the pair it was cut from."""
    attribution: str = ""
    """What the figure says of its rights beside the licence; empty where it says nothing."""
    width: int = 0
    """Pixels of the stored image."""
    height: int = 0
    words_score: float | None = None
    """BM25 of the words in caption and title; `None` where words did not find it."""
    marks: tuple[Span, ...] = ()
    """Words of `caption` that the text asked for, in order and apart from one another."""
    folded: tuple[str, ...] = ()
    """`pair_id`s of near-duplicates of this picture among what was found, the best first."""


@dataclass(frozen=True)
class Results:
    """The answer to a query."""

    figures: tuple[Found, ...]
    """The best first."""
    total: int
    """Pictures that pass the filters, near-duplicates counted once."""
    page: int
    size: int
    next_page: int | None
    """`None` on the last page; a query is answered to a certain depth only, however large `total`
    is (`figclip.serving.search.answering.DEPTHS`)."""
    facets: tuple[Facet, ...] = ()
    """In the order of `FacetName`; without those that the index knows nothing of."""
    index_version: str = ""


class Search(Protocol):
    """What answers queries: `figclip.serving.search.search.FigureSearch`, or a test's few figures.

    Every method raises `ApiError`: 400 where the query is at fault, 404 where the index has no
    such figure, 503 where the index or the encoder does not answer.
    """

    async def find(self, query: Query) -> Results: ...

    async def export(self, query: Query) -> Results:
        """All that the query finds, as far as its pages go, in one."""
        ...

    async def image_vector(self, image: bytes) -> NDArray[np.float32]:
        """The unit vector of an image file whose header was checked."""
        ...

    async def figure(self, pair_id: str) -> Found: ...

    async def picture(self, pair_id: str) -> bytes:
        """The figure's thumbnail, a JPEG file."""
        ...
