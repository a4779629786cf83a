"""Laws of the sample order, for any list of row groups."""

from hypothesis import given
from hypothesis import strategies as st

from figclip.inputs.order import RowGroup, SampleOrder, WorkItem

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
        (group.index, row)
        for group in order.windows(item.epoch)[item.window]
        for row in range(group.num_rows)
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
        groups = {group.index for group in order.windows(0)[item.window]}
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
