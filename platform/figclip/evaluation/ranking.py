"""How many candidates stand above each query's right answer: exact, at the price of float32.

A matrix of scores is computed once, tile by tile, in float32, and serves both directions: its rows
are images that look for texts, its columns texts that look for images. Nothing is sorted. A query
asks only how many candidates score above its best right answer, whose own score is known before,
in float64. A float32 score that lies further from it than rounding can carry is decided; the few
others are computed again in float64. The counts are those of float64 throughout.

Two scores tie where they differ by no more than `TIE` in float64: that is well above the rounding
of a dot product of unit float32 vectors (below `dim * 2**-53`), so equal vectors always tie
whatever tile they fall in, and well below what one changed bit of a float32 coordinate does.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

TIE = 1e-12
SIDE = 2_040
"""Of a tile: 16 MB of scores, and 255 words of eight flags in a row."""
MOST_GATHERED = 1 / 64
"""Share of a tile's scores beyond which all of them are computed in float64."""
GATHERED_AT_ONCE = 8_192

Vectors = Float[np.ndarray, "n dim"]
Groups = Int[np.ndarray, " n"]


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
class Answers:
    """What is right, before anything is searched; rows: of images, of texts."""

    best: Float[np.ndarray, "2 n"]
    """float64 score of each query's best right answer."""
    num_tied: Int[np.ndarray, "2 n"]
    """Right answers with that score."""


@dataclass(frozen=True)
class Counts:
    """What some images and all texts found in each other; rows: greater, tied."""

    of_images: Int[np.ndarray, "2 rows"]
    """Of these images among all texts: whole."""
    of_texts: Int[np.ndarray, "2 n"]
    """Of all texts among these images: the sum over all images is whole."""


def rank_both_ways(
    images: Vectors, texts: Vectors, *, groups: Groups, tile: int = SIDE, device: str = "cpu"
) -> tuple[Ranking, Ranking]:
    """The ranking of images' texts, and of texts' images.

    Row i of `images` belongs to row i of `texts`; both are float32 unit vectors. All rows of one
    group are right answers for each other. Memory is `tile * tile` scores and two flags of each.
    """
    answers = right_answers(images, texts, groups, tile=tile)
    counts = counted(images, texts, answers, slice(0, len(images)), tile=tile, device=device)
    return rankings(counts, answers)


def rankings(counts: Counts, answers: Answers) -> tuple[Ranking, Ranking]:
    """Of the counts of all images."""
    forth, back = (
        Ranking(num_greater=greater, num_tied=tied, num_right_tied=right)
        for (greater, tied), right in zip(
            (counts.of_images, counts.of_texts), answers.num_tied, strict=True
        )
    )
    return forth, back


def right_answers(images: Vectors, texts: Vectors, groups: Groups, *, tile: int = SIDE) -> Answers:
    """Each query's best right answer; the work is that of the pairs within groups alone."""
    n = len(images)
    best = np.empty((2, n))
    for rows in _cuts(n, tile):
        products = images[rows].astype(np.float64) * texts[rows].astype(np.float64)
        best[:, rows] = products.sum(axis=1)
    num_tied = np.ones((2, n), dtype=np.int64)
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    for members in np.split(order, edges):
        if len(members) > 1:
            best[:, members], num_tied[:, members] = _best_of_group(
                images[members], texts[members], tile
            )
    return Answers(best, num_tied)


def counted(
    images: Vectors,
    texts: Vectors,
    answers: Answers,
    rows: slice,
    *,
    tile: int = SIDE,
    device: str = "cpu",
) -> Counts:
    """What the images of `rows` and all texts find in each other: a share of the whole work."""
    where = torch.device(device)
    image, text, best = (_tensor(each, where) for each in (images[rows], texts, answers.best))
    low, high = doubtful(best, images.shape[1])
    counts = [torch.zeros((2, n), dtype=torch.int64, device=where) for n in (len(image), len(text))]
    with _whole_float32():
        for across in _cuts(len(image), tile):
            queries = slice(rows.start + across.start, rows.start + across.stop)
            for down in _cuts(len(text), tile):
                square = _Tile(image[across], text[down])
                for way, own, place in ((0, queries, across), (1, down, down)):
                    counts[way][:, place] += square.counts(
                        best[way, own], low[way, own], high[way, own], candidates_along=1 - way
                    )
    of_images, of_texts = (each.cpu().numpy() for each in counts)
    return Counts(of_images, of_texts)


def doubtful(
    best: Float[Tensor, "2 n"], dim: int
) -> tuple[Float32[Tensor, "2 n"], Float32[Tensor, "2 n"]]:
    """Float32 ends of the interval of scores that may tie with `best`, or lie on its other side.

    A float32 dot product of `dim` terms in any order errs by at most `dim * u / (1 - dim * u)`
    times the sum of the terms' sizes, u = 2**-24 (Higham 2002, Accuracy and Stability of Numerical
    Algorithms, section 3.1); that sum is at most the product of the lengths, which are 1 within a
    thousandth.
    """
    u = dim * 2.0**-24
    margin = 1.01 * u / (1 - u) + TIE
    low, high = (best - margin).float(), (best + margin).float()
    far = torch.full_like(low, torch.inf)
    return torch.nextafter(low, -far), torch.nextafter(high, far)


class _Tile:
    """The scores of some images and some texts."""

    def __init__(self, images: Float32[Tensor, "a dim"], texts: Float32[Tensor, "b dim"]) -> None:
        self._images, self._texts = images, texts
        self._scores = images @ texts.T

    def counts(
        self,
        best: Float[Tensor, " m"],
        low: Float32[Tensor, " m"],
        high: Float32[Tensor, " m"],
        *,
        candidates_along: int,
    ) -> Int[Tensor, "2 m"]:
        """Candidates above each query's best right answer, and those that tie with it."""
        dim = candidates_along
        is_near = self._scores >= low.unsqueeze(dim)
        is_greater = self._scores > high.unsqueeze(dim)
        places = places_of(is_near, is_greater)
        query = places[:, 1 - dim]
        gap = self._exact(places) - best[query]
        greater = num_true(is_greater, dim)
        found = torch.stack([greater, torch.zeros_like(greater)])
        found[0].index_add_(0, query, (gap > TIE).long())
        found[1].index_add_(0, query, (gap.abs() <= TIE).long())
        return found

    def _exact(self, places: Int[Tensor, "k 2"]) -> Float[Tensor, " k"]:
        """Scores in float64: one by one, or all of the tile where that is less work."""
        if len(places) > MOST_GATHERED * self._scores.numel():
            return self._all_exact[places[:, 0], places[:, 1]]
        some = [
            (self._images[image].double() * self._texts[text].double()).sum(1)
            for image, text in (part.T for part in places.split(GATHERED_AT_ONCE))
        ]
        return torch.cat(some)

    @cached_property
    def _all_exact(self) -> Float[Tensor, "a b"]:
        return self._images.double() @ self._texts.double().T


def places_of(first: Bool[Tensor, "a b"], second: Bool[Tensor, "a b"]) -> Int[Tensor, "k 2"]:
    """Row and column of each flag that is set in one alone; mostly there are few."""
    if first.shape[1] % 8:
        return (first ^ second).nonzero()
    words = first.view(torch.int64) ^ second.view(torch.int64)
    places = words.nonzero()
    flags = words[places[:, 0], places[:, 1]].view(torch.uint8).view(-1, 8).nonzero()
    row, word = places[flags[:, 0]].T
    return torch.stack([row, 8 * word + flags[:, 1]], 1)


def num_true(flags: Bool[Tensor, "a b"], dim: int) -> Int[Tensor, " n"]:
    """How many are set along `dim`.

    Flags are bytes, and eight of them one word: up to 255 words add up without a carry from one
    byte into the next, which is over ten times as fast as to add flags.
    """
    if flags.shape[1] % 8 or not flags.is_contiguous():
        return flags.sum(dim)
    words = flags.view(torch.int64)
    sums = [part.sum(dim).view(torch.uint8) for part in words.split(255, dim)]
    if dim == 1:
        return torch.stack(sums, 1).view(len(flags), -1).sum(1)
    return torch.stack(sums).sum(0)


def _best_of_group(
    images: Vectors, texts: Vectors, tile: int
) -> tuple[Float[np.ndarray, "2 n"], Int[np.ndarray, "2 n"]]:
    """Among themselves, each one's best score both ways, and how many reach it."""
    n = len(images)
    best, num = np.full((2, n), -np.inf), np.zeros((2, n), dtype=np.int64)
    cuts = list(_cuts(n, tile))
    tiles = [(rows, columns) for rows in cuts for columns in cuts]
    for rows, columns in tiles:
        scores = _exact_scores(images[rows], texts[columns])
        best[0, rows] = np.maximum(best[0, rows], scores.max(axis=1))
        best[1, columns] = np.maximum(best[1, columns], scores.max(axis=0))
    for rows, columns in tiles:
        scores = _exact_scores(images[rows], texts[columns])
        num[0, rows] += (scores >= best[0, rows, None] - TIE).sum(axis=1)
        num[1, columns] += (scores >= best[1, None, columns] - TIE).sum(axis=0)
    return best, num


def _exact_scores(
    images: Float[np.ndarray, "a dim"], texts: Float[np.ndarray, "b dim"]
) -> Float[np.ndarray, "a b"]:
    return images.astype(np.float64) @ texts.astype(np.float64).T


def _tensor(array: Float[np.ndarray, "..."], device: torch.device) -> Float[Tensor, "..."]:
    """Without a copy on the CPU; it is only read, so that an array that cannot be written to (of
    Arrow, or shared by Ray) is as good."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)


def _cuts(n: int, tile: int) -> Iterator[slice]:
    return (slice(start, min(start + tile, n)) for start in range(0, n, tile))


@contextmanager
def _whole_float32() -> Iterator[None]:
    """Products of float32 are of float32, also where training allows shorter ones."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
