"""Two rankings made one, and a ranking made pages: over places of figures, without an index."""

from collections.abc import Iterable, Sequence

import numpy as np

DAMPING = 60
"""Of reciprocal rank fusion: how little the first ranks count more than the next. Cormack, Clarke
and Büttcher, "Reciprocal rank fusion outperforms Condorcet" (SIGIR 2009), found 60."""


def fused(*rankings: Sequence[int]) -> list[int]:
    """The places by the sum of 1 / (60 + rank) over the rankings that have them, ranks from 1 on.

    Of equal sums the one that stands first in the first ranking comes first.
    """
    sums: dict[int, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, 1):
            sums[place] = sums.get(place, 0.0) + 1 / (DAMPING + rank)
    return sorted(sums, key=lambda place: -sums[place])


def folded(places: Iterable[int], pictures: np.ndarray) -> list[list[int]]:
    """Places, the best first → those of each picture together, by their first, in order.

    `pictures[place]` is equal for near-duplicates.
    """
    groups: dict[int, list[int]] = {}
    for place in places:
        groups.setdefault(int(pictures[place]), []).append(place)
    return list(groups.values())
