from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import unit_vectors

from figclip.embedding.index.filters import Filters
from figclip.embedding.index.probe import (
    Group,
    Settings,
    brute_force,
    check_exact,
    choose_settings,
    ladder,
    recall_of,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 15))
def test_brute_force_in_blocks_is_one_long_sort(n, block, k):
    vectors, queries = unit_vectors(n, 6), unit_vectors(3, 6, seed=1)
    names = [f"p{i}" for i in range(n)]
    blocks = [(names[i : i + block], vectors[i : i + block]) for i in range(0, n, block)]
    for query, found in zip(queries, brute_force(queries, blocks, k), strict=True):
        order = sorted(range(n), key=lambda i: -float(vectors[i] @ query))[:k]
        assert [name for name, _ in found] == [names[i] for i in order]


def test_recall_counts_what_was_found_and_takes_an_equal_for_as_good():
    exact = [("a", 0.9), ("b", 0.8), ("c", 0.7)]
    assert recall_of(exact, exact) == 1
    assert recall_of([("a", 0.9), ("d", 0.7)], exact) == pytest.approx(2 / 3)
    assert recall_of([("x", 0.1)], exact) == 0


@pytest.mark.parametrize(
    "found",
    [
        [("a", 0.9)],
        [("a", 0.9), ("b", 0.7)],
        [("x", 0.9), ("b", 0.8)],
    ],
)
def test_a_scan_that_misses_misjudges_or_mistakes_a_figure_is_found_out(found):
    with pytest.raises(RuntimeError, match="brute force"):
        check_exact(found, [("a", 0.9), ("b", 0.8)])


def test_figures_of_equal_score_may_stand_for_each_other():
    check_exact([("a", 0.9), ("c", 0.8)], [("a", 0.9), ("b", 0.8)])


def test_the_ladder_begins_cheap_and_ends_with_every_partition():
    rungs = ladder(100)
    costs = [rung.nprobes * rung.refine for rung in rungs]
    assert costs == sorted(costs)
    assert rungs[-1].nprobes == 100
    assert ladder(1)[0].nprobes == 1


def group(name: str, num_queries: int = 1) -> Group:
    return Group(name, np.zeros((num_queries, 2)), Filters(), [[("a", 1.0)]] * num_queries)


@pytest.mark.parametrize(("enough", "expected"), [(16, 16), (1000, 100)])
def test_the_cheapest_settings_that_suffice_are_chosen(enough, expected):
    def search(_query, _filters, settings: Settings):
        return [("a", 1.0)] if settings.nprobes >= enough else []

    choice = choose_settings(search, [group("one")], num_partitions=100, min_recall=0.9)
    if enough <= 100:
        assert choice.settings == Settings(expected, 5)
        assert choice.recall == 1
    else:
        assert choice.recall == 0


def test_the_settings_must_suffice_for_the_hardest_kind_of_query():
    """A mean over all queries would take the easy ones for the hard."""
    easy, hard = group("easy", 99), replace(group("hard"), queries=np.ones((1, 2)))

    def search(query, _filters, settings: Settings):
        return [("a", 1.0)] if settings.nprobes >= (32 if query.any() else 4) else []

    choice = choose_settings(search, [easy, hard], num_partitions=100, min_recall=0.9)
    assert choice.settings.nprobes == 32
    assert choice.as_counts()["recalls"] == {"easy": 1.0, "hard": 1.0}
