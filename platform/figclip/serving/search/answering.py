"""An open index and a query's vector → a page of results; no waiting, no network."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figclip.embedding.index.filters import Filters
from figclip.embedding.index.lance import COLUMNS
from figclip.embedding.index.opened import FigureIndex
from figclip.serving.search.queries import Found, Query, Results
from figclip.serving.search.ranking import folded, fused
from figclip.serving.search.words import marks, query_words

log = logging.getLogger(__name__)

DEPTHS = (100, 400, 1_000)
"""So many of the nearest figures are asked for, until a page is full; the last is as far as one can
turn pages. A deeper search may find a near figure that the first has missed: what it finds comes
after what was found before, so that no page changes when a later one is asked for."""


@dataclass(frozen=True)
class Ranking:
    """Figures as they were found, near-duplicates together."""

    groups: list[list[int]]
    """Places; the first of each group is shown, the others are told under it."""
    cosines: dict[int, float]
    words_scores: dict[int, float]


def answer(
    index: FigureIndex,
    query: Query,
    vector: NDArray[np.float32],
    *,
    figure: int | None = None,
    version: str = "",
) -> Results:
    """The page of results that the query asks for.

    `vector` is all of its parts in one; `figure` is the place of the figure that it asks to find
    others like. `UsageError` where the filters ask for what the index knows nothing of.
    """
    start, end = (query.page - 1) * query.size, query.page * query.size
    words = query_words(query.text)
    ranking = ranked(index, query, vector, num_groups=end + 1, skipped=figure)
    shown = ranking.groups[start:end]
    has_more = len(ranking.groups) > end
    return Results(
        figures=told(index, shown, ranking, vector, words),
        total=num_pictures(index, query.filters, figure),
        page=query.page,
        size=query.size,
        next_page=query.page + 1 if has_more else None,
        facets=index.facets(query.filters) if query.facets else (),
        index_version=version,
    )


def ranked(
    index: FigureIndex,
    query: Query,
    vector: NDArray[np.float32],
    *,
    num_groups: int,
    skipped: int | None,
) -> Ranking:
    """The first `num_groups` pictures at least, where there are so many to be found."""
    words = query_words(query.text) if query.hybrid else ()
    num_matching = index.matching(query.filters).num_figures
    order: dict[int, None] = {}
    cosines: dict[int, float] = {}
    words_scores: dict[int, float] = {}
    groups: list[list[int]] = []
    for depth in DEPTHS:
        near = index.nearest(vector, k=depth, filters=query.filters)
        cosines |= dict(zip(near.places.tolist(), near.scores.tolist(), strict=True))
        places = near.places.tolist()
        if words:
            having = index.worded(words, k=depth, filters=query.filters)
            words_scores |= dict(zip(having.places.tolist(), having.scores.tolist(), strict=True))
            places = fused(places, having.places.tolist())
        order |= dict.fromkeys(place for place in places if place != skipped)
        groups = folded(order, index.facts.pictures)
        if len(groups) >= num_groups or num_matching <= depth:
            break
    return Ranking(groups, cosines, words_scores)


def told(
    index: FigureIndex,
    groups: list[list[int]],
    ranking: Ranking,
    vector: NDArray[np.float32],
    words: tuple[str, ...],
) -> tuple[Found, ...]:
    """The groups as they are shown."""
    places = [place for group in groups for place in group]
    names = dict(
        zip(places, (row["pair_id"] for row in index.told(places, ["pair_id"])), strict=True)
    )
    firsts = [group[0] for group in groups]
    cosines = ranking.cosines | _cosines(
        index, [p for p in firsts if p not in ranking.cosines], vector
    )
    return tuple(
        found_of(
            row,
            score=cosines[group[0]],
            words_score=ranking.words_scores.get(group[0]),
            marks=marks(row["caption"], words),
            folded=tuple(names[place] for place in group[1:]),
        )
        for group, row in zip(groups, index.rows(firsts), strict=True)
    )


def _cosines(
    index: FigureIndex, places: list[int], vector: NDArray[np.float32]
) -> dict[int, float]:
    """Of figures that only words have found."""
    column = COLUMNS["image"]
    unit = vector / np.linalg.norm(vector)
    vectors = (np.asarray(row[column]) for row in index.told(places, [column]))
    return {place: float(found @ unit) for place, found in zip(places, vectors, strict=True)}


def num_pictures(index: FigureIndex, filters: Filters, skipped: int | None) -> int:
    """Pictures that pass the filters, without the figure that others are to be like."""
    matching = index.matching(filters)
    if skipped is None:
        return matching.num_pictures
    pictures = index.facts.pictures
    same = np.flatnonzero(pictures == pictures[skipped])
    if matching.mask is not None:
        same = same[matching.mask[same]]
    return matching.num_pictures - int(same.tolist() == [skipped])


def found_of(row: Mapping[str, Any], *, score: float = 1.0, **more: Any) -> Found:
    """A row of the index as it is shown."""
    named = {field.name for field in fields(Found)} & row.keys()
    told = {name: row[name] for name in named if row[name] is not None}
    attribution = row.get("figure_attribution") or ""
    nothing = {"doi": None, "year": None, "label": "", "attribution": attribution}
    return Found(**{**nothing, **told}, score=score, **more)
