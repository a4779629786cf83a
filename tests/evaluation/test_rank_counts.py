import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.evaluation.ranking import (
    TIE,
    Counts,
    counted,
    doubtful,
    num_true,
    places_of,
    rank_both_ways,
    rankings,
    right_answers,
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def units(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def confusable(n: int, dim: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and texts that all lie within `spread` of a few directions; some are copies, and
    some differ by a bit."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, dim))[rng.integers(0, 3, n)]
    images, texts = (units(centres + spread * rng.normal(size=(n, dim))) for _ in range(2))
    texts[rng.integers(0, n, n // 4)] = texts[rng.integers(0, n, n // 4)]
    changed = rng.integers(0, n, n // 4)
    texts[changed] = texts[rng.integers(0, n, n // 4)]
    texts[changed, 0] = np.nextafter(texts[changed, 0], np.float32(2))
    return images, texts


def by_definition(images, texts, groups) -> list[tuple[list[int], list[int], list[int]]]:
    """Of each direction: how many are greater, tie, and tie and are right, by whole rows of float64
    scores."""
    scores = images.astype(np.float64) @ texts.astype(np.float64).T
    ways = []
    for matrix in (scores, scores.T):
        rows: tuple[list[int], list[int], list[int]] = ([], [], [])
        for query, row in enumerate(matrix):
            right = groups == groups[query]
            gap = row - row[right].max()
            tied = np.abs(gap) <= TIE
            for found, flags in zip(rows, (gap > TIE, tied, tied & right), strict=True):
                found.append(int(flags.sum()))
        ways.append(rows)
    return ways


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4, 1e-6, 0.0])
@pytest.mark.parametrize(("n", "tile"), [(200, 64), (203, 64), (90, 37), (40, 2_040)])
def test_counts_are_those_of_float64_however_close_the_scores(spread: float, n: int, tile: int):
    for seed in range(3):
        images, texts = confusable(n, 48, spread, seed)
        groups = np.random.default_rng(seed).integers(0, n, n)
        for given_groups in (np.arange(n), groups):
            found = rank_both_ways(images, texts, groups=given_groups, tile=tile)
            for ranking, rows in zip(
                found, by_definition(images, texts, given_groups), strict=True
            ):
                assert ranking.num_greater.tolist() == rows[0]
                assert ranking.num_tied.tolist() == rows[1]
                assert ranking.num_right_tied.tolist() == rows[2]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.data())
def test_shares_of_the_images_add_up_to_the_whole(n: int, data: st.DataObject):
    images, texts = confusable(n, 16, 1e-3, seed=n)
    groups = np.array(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)))
    cuts = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=4))})
    answers = right_answers(images, texts, groups, tile=16)
    parts = [
        counted(images, texts, answers, slice(start, end), tile=16)
        for start, end in itertools.pairwise(cuts)
    ]
    joined = Counts(
        np.concatenate([part.of_images for part in parts], axis=1),
        sum(part.of_texts for part in parts),
    )
    whole = rank_both_ways(images, texts, groups=groups, tile=16)
    for mine, other in zip(rankings(joined, answers), whole, strict=True):
        np.testing.assert_array_equal(mine.num_greater, other.num_greater)
        np.testing.assert_array_equal(mine.num_tied, other.num_tied)
        np.testing.assert_array_equal(mine.num_right_tied, other.num_right_tied)


@pytest.mark.parametrize("dim", [8, 512, 1_024])
def test_no_float32_score_is_further_off_than_the_doubt(dim: int):
    rng = np.random.default_rng(dim)
    images, texts = (units(rng.normal(size=(256, dim)) + 3) for _ in range(2))
    exact = images.astype(np.float64) @ texts.astype(np.float64).T
    best = torch.from_numpy(exact.reshape(2, -1))
    low, high = doubtful(best, dim)
    short = (torch.from_numpy(images) @ torch.from_numpy(texts).T).reshape(2, -1)
    assert ((low < short) & (short < high)).all()
    assert ((high - low) < 5 * dim * 2.0**-24).all()  # and the doubt is no larger than it must be


@pytest.mark.parametrize(
    "shape", [(1, 8), (300, 8), (8, 2_048), (257, 2_056), (5, 7), (1, 1), (2_040, 2_040)]
)
def test_words_add_up_as_flags_do(shape: tuple[int, int]):
    for share in (0.0, 0.5, 1.0):
        flags = torch.from_numpy(np.random.default_rng(0).random(shape) < share)
        for dim in (0, 1):
            assert num_true(flags, dim).tolist() == flags.long().sum(dim).tolist()


@pytest.mark.parametrize("shape", [(5, 16), (7, 9), (1, 8)])
def test_places_are_where_the_flags_differ(shape: tuple[int, int]):
    rng = np.random.default_rng(1)
    first, second = (torch.from_numpy(rng.random(shape) < 0.5) for _ in range(2))
    expected = {
        (row, column)
        for row in range(shape[0])
        for column in range(shape[1])
        if bool(first[row, column]) != bool(second[row, column])
    }
    found = places_of(first, second).tolist()
    assert {tuple(place) for place in found} == expected
    assert len(found) == len(expected)


def test_shorter_products_that_training_allows_change_no_count():
    images, texts = confusable(64, 512, 1e-3, seed=0)
    exact = rank_both_ways(images, texts, groups=np.arange(64))
    torch.set_float32_matmul_precision("medium")
    try:
        found = rank_both_ways(images, texts, groups=np.arange(64))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    for mine, other in zip(found, exact, strict=True):
        np.testing.assert_array_equal(mine.num_greater, other.num_greater)
