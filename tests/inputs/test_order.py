"""Laws of the sample order, for any list of row groups."""

import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from figclip.inputs.order import RowGroup, SampleOrder, WorkItem, weighted

orders = st.builds(
    SampleOrder,
    row_groups=st.lists(st.integers(1, 9), min_size=1, max_size=12).map(
        lambda sizes: tuple(RowGroup("train/0.parquet", i, n) for i, n in enumerate(sizes))
    ),
    seed=st.integers(0, 2**32),
    groups_per_window=st.integers(1, 5),
)


def rows_of(order: SampleOrder, item: WorkItem) -> list[tuple[int, int]]:
    """`(row group, row)` of every sample of the item, read the plain way."""
    window = [
        (part.group.index, (part.start + i) % part.group.num_rows)
        for part in order.window(item.epoch, item.window)
        for i in range(part.num_rows)
    ]
    return [window[row] for row in order.rows(item)]


@given(orders, st.integers(0, 60), st.integers(0, 60))
def test_items_yield_the_range_of_the_order_that_was_asked_for(order, start, length):
    stop = min(start + length, order.num_rows)
    whole = [row for item in order.items(0, 0, order.num_rows) for row in rows_of(order, item)]
    found = [row for item in order.items(0, start, stop) for row in rows_of(order, item)]
    assert found == whole[start:stop]
    assert len(set(whole)) == order.num_rows


@given(orders, st.integers(0, 5))
def test_an_epoch_does_not_depend_on_the_epochs_before_it(order, epoch):
    alone = [rows_of(order, item) for item in order.items(epoch, 0, order.num_rows)]
    for earlier in range(epoch):
        list(order.items(earlier, 0, order.num_rows))
    assert [rows_of(order, item) for item in order.items(epoch, 0, order.num_rows)] == alone


@given(orders)
def test_rows_of_different_windows_are_never_mixed(order):
    for item in order.items(0, 0, order.num_rows):
        groups = {part.group.index for part in order.window(0, item.window)}
        assert {group for group, _ in rows_of(order, item)} <= groups


def test_epochs_and_seeds_shuffle_differently():
    groups = tuple(RowGroup("a", i, 50) for i in range(8))

    def rows(seed: int) -> list:
        order = SampleOrder(groups, seed, 2)
        items = [item for epoch in (0, 1) for item in order.items(epoch, 0, 400)]
        return [row for item in items for row in rows_of(order, item)]

    first, second = rows(0)[:400], rows(0)[400:]
    assert sorted(first) == sorted(second)
    assert first != second
    assert rows(1)[:400] != first


def test_without_a_seed_rows_come_as_they_lie():
    order = SampleOrder((RowGroup("a", 0, 3), RowGroup("a", 1, 2)), None, 1)
    assert [rows_of(order, item) for item in order.items(7, 1, 5)] == [
        [(0, 1), (0, 2)],
        [(1, 0), (1, 1)],
    ]


weights = st.one_of(st.integers(1, 3).map(float), st.floats(0.01, 3.5))
corpora = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def groups_of(sizes: list[int], corpus: int = 0) -> tuple[RowGroup, ...]:
    return tuple(RowGroup("train/0.parquet", i, n, corpus) for i, n in enumerate(sizes))


def epoch_rows(order: SampleOrder, epoch: int) -> list[tuple[int, int]]:
    items = order.items(epoch, 0, order.num_rows)
    return [row for item in items for row in rows_of(order, item)]


@given(corpora, st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 4))
def test_a_weight_of_one_shuffles_groups_and_then_the_rows_of_each_window(sizes, seed, size, epoch):
    """The order of one corpus in plain loops: groups by key 0, rows by the window's number."""
    shuffled = np.random.default_rng([seed, epoch, 0]).permutation(len(sizes)).tolist()
    expected = []
    for number, start in enumerate(range(0, len(sizes), size)):
        window = [(g, row) for g in shuffled[start : start + size] for row in range(sizes[g])]
        rows = np.random.default_rng([seed, epoch, 1 + number]).permutation(len(window))
        expected += [window[row] for row in rows]
    order = SampleOrder(weighted(groups_of(sizes), 1.0), seed, size)
    assert epoch_rows(order, epoch) == expected


@given(corpora, weights, st.integers(0, 2**32), st.integers(1, 5))
def test_every_epoch_takes_as_many_rows_as_the_weight_says(sizes, weight, seed, size):
    order = SampleOrder(weighted(groups_of(sizes), weight), seed, size)
    lengths = {len(epoch_rows(order, epoch)) for epoch in range(4)}
    assert lengths == {order.num_rows}
    passes, fraction = divmod(weight, 1)
    whole = passes * sum(sizes)
    # A group gives a row of its fraction at least, however small it is.
    at_most = whole + math.floor(fraction * sum(sizes) + 0.5) + (len(sizes) if fraction else 0)
    assert whole + math.floor(fraction * sum(sizes) + 0.5) <= order.num_rows <= at_most
    if fraction * min(sizes) >= 1 or not fraction:
        assert order.num_rows == whole + math.floor(fraction * sum(sizes) + 0.5)


@given(corpora, weights, st.integers(1, 30))
def test_consecutive_epochs_see_the_rows_of_a_group_equally_often(sizes, weight, num_epochs):
    order = SampleOrder(weighted(groups_of(sizes), weight), 3, 2)
    seen = Counter(row for epoch in range(num_epochs) for row in epoch_rows(order, epoch))
    for group in order.row_groups:
        times = [seen[group.index, row] for row in range(group.num_rows)]
        assert max(times) - min(times) <= 1
        assert group.taken >= 1
        if num_epochs * group.taken >= group.num_rows:
            assert min(times) >= 1


@given(corpora, corpora, weights, weights, st.integers(0, 9))
def test_mixed_corpora_take_from_each_what_it_takes_alone(first, second, one, two, epoch):
    sides = [weighted(groups_of(first), one), weighted(groups_of(second, 1), two)]
    mixed = SampleOrder((*sides[0], *sides[1]), 5, 3)
    windows = (mixed.window(epoch, number) for number in range(mixed.num_windows))
    parts = [part for window in windows for part in window]
    for number, groups in enumerate(sides):
        alone = Counter(part for group in groups for part in group.parts(epoch))
        assert Counter(part for part in parts if part.group.corpus == number) == alone


def test_a_part_goes_on_at_the_first_row_after_the_last():
    (group,) = weighted([RowGroup("a", 0, 5)], 1.6)
    assert [[part.rows.tolist() for part in group.parts(epoch)] for epoch in (0, 1, 2)] == [
        [[0, 1, 2, 3, 4], [0, 1, 2]],
        [[0, 1, 2, 3, 4], [3, 4, 0]],
        [[0, 1, 2, 3, 4], [1, 2, 3]],
    ]
