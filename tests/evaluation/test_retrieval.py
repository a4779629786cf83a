import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.evaluation.ranking import rank_both_ways
from figclip.evaluation.retrieval import Recall, caption_groups, recall, validate

KS = (1, 2, 3, 5)
# Dot products among these are multiples of a quarter, exact in any arithmetic: ties abound.
CORNERS = np.array(list(itertools.product((-0.5, 0.5), repeat=4)), dtype=np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def unit_vectors(n: int, dim: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@st.composite
def small_sets(draw):
    n = draw(st.integers(1, 6))
    rows = st.lists(st.integers(0, len(CORNERS) - 1), min_size=n, max_size=n)
    groups = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return CORNERS[draw(rows)], CORNERS[draw(rows)], np.array(groups)


def recall_by_definition(queries, candidates, right: np.ndarray, k: int) -> tuple[float, ...]:
    """Mean, least and greatest share of hits over every order that sorts the scores."""
    n = len(queries)
    means, lows, highs = [], [], []
    for q in range(n):
        scores = [sum(map(float, queries[q] * candidates[c])) for c in range(n)]
        orders = [
            order
            for order in itertools.permutations(range(n))
            if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
        ]
        hits = [any(right[q, c] for c in order[:k]) for order in orders]
        means.append(np.mean(hits))
        lows.append(min(hits))
        highs.append(max(hits))
    return np.mean(means), np.mean(lows), np.mean(highs)


def assert_same(found: Recall, queries, candidates, right):
    for k in KS:
        expected, low, high = recall_by_definition(queries, candidates, right, k)
        assert found.expected[k] == pytest.approx(expected)
        assert found.pessimistic[k] == pytest.approx(low)
        assert found.optimistic[k] == pytest.approx(high)


@settings(max_examples=60, deadline=None)
@given(small_sets(), st.integers(1, 7))
def test_recall_is_the_mean_over_every_order_of_the_ties(sets, tile):
    images, texts, _ = sets
    result = recall(images, texts, ks=KS, tile=tile)
    right = np.eye(len(images), dtype=bool)
    assert_same(result.image_to_text, images, texts, right)
    assert_same(result.text_to_image, texts, images, right)


@settings(max_examples=60, deadline=None)
@given(small_sets(), st.integers(1, 7))
def test_any_answer_of_the_querys_group_is_right(sets, tile):
    images, texts, groups = sets
    result = recall(images, texts, ks=KS, groups=groups, tile=tile)
    right = groups[:, None] == groups[None, :]
    assert_same(result.image_to_text, images, texts, right)
    assert_same(result.text_to_image, texts, images, right)
    for k in KS:
        chance = np.mean(
            [
                any(right[q, c] for c in order[:k])
                for q in range(len(images))
                for order in itertools.permutations(range(len(images)))
            ]
        )
        assert result.chance[k] == pytest.approx(chance)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000), st.data())
def test_result_depends_neither_on_the_tiles_nor_on_the_order_of_the_pairs(n, seed, data):
    rng = np.random.default_rng(seed)
    # Odd lengths and repeated rows: matrix products of other shapes round these differently.
    images = unit_vectors(n, 37, seed)[rng.integers(0, n, n)]
    texts = unit_vectors(n, 37, seed + 1)[rng.integers(0, n, n)]
    groups = rng.integers(0, n, n)
    whole = recall(images, texts, groups=groups)
    order = rng.permutation(n)
    tile = data.draw(st.integers(1, n))
    again = recall(images[order], texts[order], groups=groups[order], tile=tile)
    assert (again.num_pairs, again.chance) == (whole.num_pairs, pytest.approx(whole.chance))
    for mine, other in (
        (again.image_to_text, whole.image_to_text),
        (again.text_to_image, whole.text_to_image),
    ):
        assert mine.expected == pytest.approx(other.expected)
        assert mine.pessimistic == pytest.approx(other.pessimistic)
        assert mine.num_tied_queries == other.num_tied_queries
        assert mine.median_rank == other.median_rank


def test_copies_of_one_caption_tie_exactly_however_the_scores_are_rounded():
    images = unit_vectors(300, 511)
    texts = np.repeat(unit_vectors(100, 511, seed=1), 3, axis=0)
    ranking, _ = rank_both_ways(images, texts, groups=np.arange(300), tile=77, device="cpu")
    assert (ranking.num_tied == 3).all()


def test_a_single_changed_bit_is_no_tie():
    texts = unit_vectors(8, 64)
    texts[1] = texts[0]
    texts[1, 0] = np.nextafter(texts[1, 0], np.float32(2 * np.sign(texts[1, 0])))
    result = recall(texts, texts)
    assert result.image_to_text.num_tied_queries == 0


def test_perfect_embeddings_are_always_found():
    vectors = unit_vectors(50, 16)
    result = recall(vectors, vectors)
    assert result.text_to_image.expected == {1: 1.0, 5: 1.0, 10: 1.0}
    assert result.image_to_text.median_rank == 1


def test_indistinguishable_embeddings_reach_chance_and_not_more():
    same = np.tile(unit_vectors(1, 16), (40, 1))
    result = recall(same, same)
    assert result.image_to_text.expected == pytest.approx(result.chance)
    assert result.chance == pytest.approx({1: 1 / 40, 5: 5 / 40, 10: 10 / 40})
    assert result.image_to_text.optimistic[1] == 1
    assert result.image_to_text.pessimistic[10] == 0
    assert result.text_to_image.num_tied_queries == 40
    assert result.text_to_image.median_rank == 20.5


def test_unrelated_embeddings_reach_chance():
    n = 3000
    result = recall(unit_vectors(n, 32), unit_vectors(n, 32, seed=1))
    for k, chance in result.chance.items():
        error = np.sqrt(chance * (1 - chance) / n)
        assert result.image_to_text.expected[k] == pytest.approx(chance, abs=4 * error)
        assert result.text_to_image.expected[k] == pytest.approx(chance, abs=4 * error)


def test_known_ranks_by_hand():
    angle = np.radians([0, 10, 50])
    texts = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    images = texts[[1, 1, 2]]  # the first picture looks like the second caption
    result = recall(images, texts, ks=(1, 2))
    assert result.image_to_text.expected == pytest.approx({1: 2 / 3, 2: 1})
    # The second caption has two equal pictures, one of them its own.
    assert result.text_to_image.expected == pytest.approx({1: (1 / 2 + 1 / 2 + 1) / 3, 2: 1})
    assert result.text_to_image.num_tied_queries == 2


def test_a_query_has_at_most_as_many_hits_as_there_are_candidates():
    vectors = unit_vectors(3, 8)
    assert recall(vectors, -vectors, ks=(10,)).chance == {10: 1.0}
    assert recall(vectors, -vectors, ks=(10,)).image_to_text.expected == {10: 1.0}


def test_identical_captions_share_a_group():
    assert caption_groups(["a", "b", "a"]).tolist() == [0, 1, 0]


def test_validate_names_each_metric():
    metrics = validate(unit_vectors(4, 8), unit_vectors(4, 8))
    assert metrics["image_to_text_recall_at_1"] == 1
    assert metrics["text_to_image_recall_at_10"] == 1
    assert metrics["chance_at_1"] == 0.25
    assert all(type(value) is float for value in metrics.values())


@pytest.mark.parametrize("fault", ["long", "nan", "empty"])
def test_vectors_that_are_no_unit_vectors_are_refused(fault):
    vectors = unit_vectors(3, 8)
    bad = {"long": 2 * vectors, "nan": vectors * np.nan, "empty": vectors[:0]}[fault]
    with pytest.raises(ValueError, match=r"unit vectors|no pairs"):
        recall(bad, bad)
