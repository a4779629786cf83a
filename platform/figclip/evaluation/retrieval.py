"""Recall@k between images and captions: exact, in tiles, and honest about ties.

A caption's score with an image is their dot product. Candidates of equal score have no order, and
an evaluation that sorts them anyway reports the order of its file. Here a query whose best right
answer ties with others counts by the probability that a random order of the tie puts a right one
among the first k; the bounds (every tie lost, every tie won) stand beside it.

The counts are those of float64; see `ranking`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from figclip.evaluation.ranking import SIDE, Ranking, rank_both_ways

Rank = Callable[..., tuple[Ranking, Ranking]]
"""`ranking.rank_both_ways`, or one that does the same elsewhere."""


@dataclass(frozen=True)
class Recall:
    """Share of the queries with a right answer among the first k, for each k; one direction."""

    expected: dict[int, float]
    """Over random orders of the ties."""
    pessimistic: dict[int, float]
    optimistic: dict[int, float]
    num_tied_queries: int
    """Queries whose best right answer ties with a wrong one."""
    median_rank: float
    """Of the best right answer, from 1; a tie counts with its mean place."""


@dataclass(frozen=True)
class RetrievalResult:
    """Both directions, and what a random order of the candidates would reach."""

    num_pairs: int
    image_to_text: Recall
    text_to_image: Recall
    chance: dict[int, float]


def recall(
    images: Float[np.ndarray, "n dim"],
    texts: Float[np.ndarray, "n dim"],
    *,
    ks: Sequence[int] = (1, 5, 10),
    groups: Int[np.ndarray, " n"] | None = None,
    tile: int = SIDE,
    device: str = "cpu",
    rank: Rank = rank_both_ways,
) -> RetrievalResult:
    """Recall@k of each image among all texts, and of each text among all images.

    `images` and `texts` are unit vectors, row i of one paired with row i of the other. With
    `groups` all rows of one group are right answers for each other (see `caption_groups`). Memory
    is `tile * tile` scores; `rank` does the work. `ValueError` where the
    vectors are no unit vectors or do not pair up.
    """
    check_vectors(images, texts)
    own = np.arange(len(images)) if groups is None else groups
    forth, back = rank(images, texts, groups=own, tile=tile, device=device)
    return result_of(forth, back, groups=own, ks=ks)


def result_of(
    forth: Ranking, back: Ranking, *, groups: Int[np.ndarray, " n"], ks: Sequence[int]
) -> RetrievalResult:
    """Of the rankings of images among texts, and of texts among images."""
    return RetrievalResult(
        num_pairs=len(groups),
        image_to_text=summary(forth, ks),
        text_to_image=summary(back, ks),
        chance={k: chance_recall(groups, k) for k in ks},
    )


def validate(
    images: Float[np.ndarray, "n dim"], texts: Float[np.ndarray, "n dim"]
) -> dict[str, float]:
    """Flat metrics for a training log: `image_to_text_recall_at_1`, `chance_at_1` and so on.

    `mean_recall` is that of both directions at 1, 5 and 10: one number to choose by.
    """
    result = recall(images, texts)
    metrics = {f"chance_at_{k}": value for k, value in result.chance.items()}
    directions = {"image_to_text": result.image_to_text, "text_to_image": result.text_to_image}
    for name, direction in directions.items():
        metrics |= {f"{name}_recall_at_{k}": value for k, value in direction.expected.items()}
        metrics[f"{name}_median_rank"] = direction.median_rank
    recalls = [value for way in directions.values() for value in way.expected.values()]
    metrics["mean_recall"] = sum(recalls) / len(recalls)
    return metrics


def caption_groups(captions: Sequence[str]) -> Int[np.ndarray, " n"]:
    """One number a distinct caption: whoever asks with it must accept each of its images."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(caption, len(numbers)) for caption in captions], dtype=int)


def summary(ranking: Ranking, ks: Sequence[int]) -> Recall:
    """The mean over the queries, for each k."""
    greater, tied, right = ranking.num_greater, ranking.num_tied, ranking.num_right_tied
    return Recall(
        expected={k: float(hit_probability(k - greater, tied, right).mean()) for k in ks},
        pessimistic={k: float((greater + tied - right < k).mean()) for k in ks},
        optimistic={k: float((greater < k).mean()) for k in ks},
        num_tied_queries=int((tied > right).sum()),
        median_rank=float(np.median(greater + 1 + (tied - right) / (right + 1))),
    )


def hit_probability(
    num_drawn: Int[np.ndarray, " n"],
    num_candidates: Int[np.ndarray, " n"],
    num_right: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """That `num_drawn` of the candidates, drawn without return, hold a right one.

    `1 - C(candidates - right, drawn) / C(candidates, drawn)`, as a product over the right ones:
    each in turn is missed with `(candidates - drawn - i) / (candidates - i)`.
    """
    drawn = np.clip(num_drawn, 0, num_candidates)
    missed = np.ones(len(drawn))
    for i in range(int(num_right.max(initial=0))):
        left = np.maximum(num_candidates - drawn - i, 0) / np.maximum(num_candidates - i, 1)
        missed = np.where(i < num_right, missed * left, missed)
    return 1 - missed


def chance_recall(groups: Int[np.ndarray, " n"], k: int) -> float:
    """What a random order of the candidates reaches."""
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    num_right = sizes[which]
    total = np.full(len(groups), len(groups))
    return float(hit_probability(np.full(len(groups), k), total, num_right).mean())


def check_vectors(images: np.ndarray, texts: np.ndarray) -> None:
    """`ValueError` where there are none, or one is no unit vector."""
    if len(images) == 0:
        raise ValueError("there are no pairs to rank: is the split empty?")
    for name, vectors in (("images", images), ("texts", texts)):
        norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # without a matrix of squares
        bad = np.flatnonzero(~(np.abs(norms - 1) < 1e-3))
        if len(bad):
            raise ValueError(
                f"{name} are no unit vectors: row {bad[0]} has length {norms[bad[0]]} "
                f"({len(bad)} such rows)"
            )
