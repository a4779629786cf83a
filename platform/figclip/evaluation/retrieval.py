"""Recall@k between images and captions: exact, in tiles, and honest about ties.

A caption's score with an image is their dot product. Candidates of equal score have no order, and
an evaluation that sorts them anyway reports the order of its file. Here a query whose best right
answer ties with others counts by the probability that a random order of the tie puts a right one
among the first k; the bounds (every tie lost, every tie won) stand beside it.

Scores are computed in float64, where the rounding of a dot product of unit float32 vectors stays
below `dim * 2**-53`. Two scores tie where they differ by no more than `TIE`: that is well above the
rounding, so equal vectors always tie whatever tile they fall in, and well below what one changed
bit of a float32 coordinate does to a score.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

TIE = 1e-12


@dataclass(frozen=True)
class Ranking:
    """Where each query's best right answer stands among all candidates; arrays of length n."""

    num_greater: Int[np.ndarray, " n"]
    """Candidates that score above it: all of them are wrong."""
    num_tied: Int[np.ndarray, " n"]
    """Candidates that score the same, itself included."""
    num_right_tied: Int[np.ndarray, " n"]
    """Those among the tied that are right."""


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
    tile: int = 2048,
    device: str = "cpu",
) -> RetrievalResult:
    """Recall@k of each image among all texts, and of each text among all images.

    `images` and `texts` are unit vectors, row i of one paired with row i of the other. With
    `groups` all rows of one group are right answers for each other (see `caption_groups`). Memory
    is `tile * tile` scores. `ValueError` where the vectors are no unit vectors or do not pair up.
    """
    _check(images, texts)
    own = np.arange(len(images)) if groups is None else groups
    forth, back = rank_both_ways(images, texts, groups=own, tile=tile, device=device)
    return RetrievalResult(
        num_pairs=len(images),
        image_to_text=summary(forth, ks),
        text_to_image=summary(back, ks),
        chance={k: chance_recall(own, k) for k in ks},
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


def rank_both_ways(
    images: Float[np.ndarray, "n dim"],
    texts: Float[np.ndarray, "n dim"],
    *,
    groups: Int[np.ndarray, " n"],
    tile: int,
    device: str,
) -> tuple[Ranking, Ranking]:
    """The ranking of images' texts, and of texts' images; each score is computed twice in all.

    The first pass finds each query's best right score, the second counts against it.
    """
    n, where = len(images), torch.device(device)
    image, text, group = (torch.tensor(array, device=where) for array in (images, texts, groups))
    best = torch.full((2, n), -torch.inf, dtype=torch.float64, device=where)
    counts = torch.zeros((2, 3, n), dtype=torch.int64, device=where)
    is_alone = len(np.unique(groups)) == n
    for rows, columns in _tiles(n, tile):
        if is_alone and rows != columns:
            continue
        right = group[rows, None] == group[None, columns]
        scores = _scores(image[rows], text[columns]).masked_fill(~right, -torch.inf)
        best[0, rows] = torch.maximum(best[0, rows], scores.amax(1))
        best[1, columns] = torch.maximum(best[1, columns], scores.amax(0))
    for rows, columns in _tiles(n, tile):
        right = group[rows, None] == group[None, columns]
        scores = _scores(image[rows], text[columns])
        counts[0, :, rows] += _counts(scores, right, best[0, rows])
        counts[1, :, columns] += _counts(scores.T, right.T, best[1, columns])
    forth, back = counts.cpu().numpy()
    return Ranking(*forth), Ranking(*back)


def _tiles(n: int, tile: int) -> Iterator[tuple[slice, slice]]:
    cuts = [slice(start, min(start + tile, n)) for start in range(0, n, tile)]
    return ((rows, columns) for rows in cuts for columns in cuts)


def _scores(image: Float[Tensor, "a dim"], text: Float[Tensor, "b dim"]) -> Float[Tensor, "a b"]:
    return image.double() @ text.double().T


def _counts(
    scores: Float[Tensor, "a b"], right: Shaped[Tensor, "a b"], best: Float[Tensor, " a"]
) -> Int[Tensor, "3 a"]:
    """For each row: how many score above `best`, how many tie with it, how many of those are right.

    A right answer never counts as above, though rounding may lift it a little.
    """
    gap = scores - best[:, None]
    tied = gap.abs() <= TIE
    return torch.stack([(gap > TIE).sum(1), tied.sum(1), (tied & right).sum(1)])


def _check(images: np.ndarray, texts: np.ndarray) -> None:
    if len(images) == 0:
        raise ValueError("there are no pairs to rank: is the split empty?")
    for name, vectors in (("images", images), ("texts", texts)):
        norms = np.linalg.norm(vectors, axis=1)
        bad = np.flatnonzero(~(np.abs(norms - 1) < 1e-3))
        if len(bad):
            raise ValueError(
                f"{name} are no unit vectors: row {bad[0]} has length {norms[bad[0]]} "
                f"({len(bad)} such rows)"
            )
