"""A search as the service takes it, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from figclip.client.faults import ServiceError
from figclip.client.rows import Vectors, field_of


@dataclass(frozen=True)
class Neighbours:
    """What a search found."""

    figures: list[dict[str, Any]]
    """The best first, as `/api/search` gives them: `pair_id`, `score`, `caption`, `license`, ..."""
    total: int
    """Pictures that pass the filters."""
    next_page: int | None
    answer: Mapping[str, Any]
    """The whole answer, facets included."""


def neighbours_of(answer: Any) -> Neighbours:
    """`ServiceError` where the answer is none of a figure search."""
    return Neighbours(
        figures=field_of(answer, "results", list),
        total=field_of(answer, "total", int),
        next_page=answer.get("next_page"),
        answer=answer,
    )


def blended(parts: Mapping[str, Vectors], weights: Mapping[str, float]) -> tuple[Vectors, float]:
    """A unit vector and its weight, by which figures rank as by the parts with theirs.

    The parts are unit vectors; a weight that is not named is 1.
    """
    total = np.sum([weights.get(name, 1.0) * vector for name, vector in parts.items()], axis=0)
    weight = float(np.linalg.norm(total))
    if not weight:
        raise ServiceError(
            "no_query", "all parts of the query weigh nothing", remedy="give one a weight above 0"
        )
    return np.asarray(total / weight, np.float32), weight
