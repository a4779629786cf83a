"""What a graph of near neighbours finds of what an exact search finds.

Serving searches by an approximate index; an evaluation says what that loses. The graph is HNSW
(Malkov and Yashunin 2018, arXiv 1603.09320), held in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from pydantic import PositiveInt

from figclip.config import Config
from figclip.evaluation.datasets.pictures import extra
from figclip.evaluation.retrieval import RetrievalResult


class Graph(Config):
    """Of one index."""

    links: PositiveInt = 32
    """Neighbours that a vector is linked to."""
    breadth_built: PositiveInt = 200
    """Candidates looked at for each vector as it is put in."""
    breadth: PositiveInt = 128
    """Candidates looked at for each query."""


@dataclass(frozen=True)
class ApproximateRecall:
    """Recall@k of both directions, and how far it lies below the exact one's."""

    image_to_text: dict[int, float]
    text_to_image: dict[int, float]
    loss: dict[int, float]
    """The larger of the two directions' losses; below 0 where ties fell well."""


def approximate_recall(
    images: Float[np.ndarray, "n dim"],
    texts: Float[np.ndarray, "n dim"],
    exact: RetrievalResult,
    *,
    groups: Int[np.ndarray, " n"],
    graph: Graph,
) -> ApproximateRecall:
    """Of the ks of the exact result; `UsageError` where faiss is not installed."""
    ks = sorted(exact.chance)
    forth = found_shares(images, texts, groups=groups, ks=ks, graph=graph)
    back = found_shares(texts, images, groups=groups, ks=ks, graph=graph)
    loss = {
        k: max(
            exact.image_to_text.expected[k] - forth[k], exact.text_to_image.expected[k] - back[k]
        )
        for k in ks
    }
    return ApproximateRecall(forth, back, loss)


def found_shares(
    queries: Float[np.ndarray, "n dim"],
    candidates: Float[np.ndarray, "n dim"],
    *,
    groups: Int[np.ndarray, " n"],
    ks: Sequence[int],
    graph: Graph,
) -> dict[int, float]:
    """Share of the queries that have a candidate of their own group among the first k."""
    faiss = extra("faiss")
    index = faiss.IndexHNSWFlat(candidates.shape[1], graph.links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = graph.breadth_built
    index.hnsw.efSearch = max(graph.breadth, *ks)
    index.add(np.ascontiguousarray(candidates))
    _, nearest = index.search(np.ascontiguousarray(queries), max(ks))
    is_right = (groups[nearest] == groups[:, None]) & (nearest >= 0)
    return {k: float(is_right[:, :k].any(axis=1).mean()) for k in ks}
