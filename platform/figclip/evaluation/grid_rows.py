"""What a grid of retrieval shows: some captions of a split, and the figures nearest to each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from figclip.embedding.vectors import Embeddings, num_rows, read_table, split_files
from figclip.evaluation.grid import GridRow
from figclip.store import Folder

IMAGES_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class RankedQuery:
    """A caption, by its number, and the numbers of the figures nearest to it."""

    query: int
    shown: tuple[int, ...]
    scores: tuple[float, ...]
    rank: int
    """Place of its own figure, from 1; of equal scores the lower number comes first."""


def grid_queries(captions: Sequence[str], *, num: int, seed: int) -> list[int]:
    """The numbers of some captions, no two alike, drawn by the seed."""
    _, distinct = np.unique(captions, return_index=True)
    random = np.random.default_rng(seed)
    chosen = random.choice(np.sort(distinct), min(num, len(distinct)), replace=False)
    return [int(number) for number in chosen]


def grid_ranking(found: Embeddings, queries: Sequence[int], *, num_shown: int) -> list[RankedQuery]:
    """The figures nearest to each of these captions."""
    ranked = []
    for query in queries:
        scores = exact_scores(found.images, found.texts[query])
        order = np.argsort(-scores, kind="stable")
        shown = order[:num_shown]
        rank = int(np.flatnonzero(order == query)[0]) + 1
        ranked.append(
            RankedQuery(query, tuple(shown.tolist()), tuple(scores[shown].tolist()), rank)
        )
    return ranked


def exact_scores(
    images: Float[np.ndarray, "n dim"], text: Float[np.ndarray, " dim"]
) -> Float[np.ndarray, " n"]:
    """In float64, without a copy of all images in it."""
    exact = text.astype(np.float64)
    parts = [
        images[start : start + IMAGES_AT_ONCE].astype(np.float64) @ exact
        for start in range(0, len(images), IMAGES_AT_ONCE)
    ]
    return np.concatenate(parts)


def split_captions(pairs: Folder, split: str) -> list[str]:
    """Every caption of a split, in the order of its pairs."""
    names = split_files(pairs, [split])
    return [text for name in names for text in read_table(pairs, name, ["caption"])[0].to_pylist()]


def split_images(pairs: Folder, split: str, numbers: set[int]) -> dict[int, bytes]:
    """The images of some pairs of a split, by their numbers; other files are not read."""
    images: dict[int, bytes] = {}
    start = 0
    for name in split_files(pairs, [split]):
        end = start + num_rows(pairs, name)
        here = sorted(number for number in numbers if start <= number < end)
        if here:
            column = read_table(pairs, name, ["image"])[0]
            images |= {number: column[number - start].as_py() for number in here}
        start = end
    return images


def grid_rows(
    ranked: Mapping[str, Sequence[RankedQuery]], pairs: Folder, split: str, captions: Sequence[str]
) -> list[GridRow]:
    """Of the same queries by several encoders, query by query; of one alone its name is not told.

    A figure whose caption reads the same is right as well.
    """
    numbers = {number for rows in ranked.values() for row in rows for number in row.shown}
    images = split_images(pairs, split, numbers)
    return [
        GridRow(
            caption=captions[row.query],
            images=tuple(images[number] for number in row.shown),
            scores=row.scores,
            is_right=tuple(captions[number] == captions[row.query] for number in row.shown),
            rank=row.rank,
            num_candidates=len(captions),
            encoder=name if len(ranked) > 1 else "",
        )
        for of_query in zip(*ranked.values(), strict=True)
        for name, row in zip(ranked, of_query, strict=True)
    ]
