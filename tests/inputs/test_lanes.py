"""Laws of the lanes: the same batches on any number of ranks, each row once, any resume."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.inputs.batches import assembled
from figclip.inputs.lanes import Piece, Share, bundles, training_span, whole_span
from figclip.inputs.order import RowGroup, SampleOrder

NUM_LANES = 6
orders = st.builds(
    SampleOrder,
    row_groups=st.lists(st.integers(1, 20), min_size=1, max_size=8).map(
        lambda sizes: tuple(RowGroup("train/0.parquet", i, n) for i, n in enumerate(sizes))
    ),
    seed=st.integers(0, 2**32),
    groups_per_window=st.integers(1, 5),
)
num_ranks = st.sampled_from([1, 2, 3, 6])
batch_sizes = st.integers(1, 4).map(lambda width: width * NUM_LANES)
Sample = tuple[int, int, int]
"""Epoch, row group and row."""


def sample_names(order: SampleOrder, piece: Piece) -> np.ndarray:
    """`Sample` of every row of the piece, read the plain way."""
    window = [
        (piece.item.epoch, part.group.index, row)
        for part in order.window(piece.item.epoch, piece.item.window)
        for row in part.rows.tolist()
    ]
    return np.array([window[row] for row in order.rows(piece.item)])


def rank_batches(
    order: SampleOrder, share: Share, size: int, num_epochs: int, steps_done: int = 0
) -> list[list[Sample]]:
    """The rank's batches, put together from rows that come piece after piece, as they like."""
    num_steps = order.num_rows // size
    spans = [
        training_span(
            share,
            epoch=epoch,
            num_rows=order.num_rows,
            batch_size=size,
            num_steps=num_steps,
            steps_done=max(steps_done - epoch * num_steps, 0),
        )
        for epoch in range(num_epochs)
        if steps_done < (epoch + 1) * num_steps
    ]
    rows = []
    for bundle in bundles(spans, (order,)):
        for piece in random.Random(0).sample(bundle, len(bundle)):
            names = sample_names(order, piece)
            batch, place = piece.slots(0, len(names))
            rows.append({"sample": names, "batch": batch, "place": place})
    sizes = [size for span in spans for size in span.sizes]
    return [[tuple(row) for row in b["sample"].tolist()] for b in assembled(rows, sizes)]


def whole_batches(order: SampleOrder, ranks: int, size: int, *rest: int) -> list[list[Sample]]:
    """Every batch over all ranks, their rows in the order of the ranks."""
    parts = [rank_batches(order, Share(r, ranks, NUM_LANES), size, *rest) for r in range(ranks)]
    return [[row for part in step for row in part] for step in zip(*parts, strict=True)]


@given(orders, num_ranks, batch_sizes)
def test_the_batches_are_the_same_on_any_number_of_ranks(order, ranks, size):
    assert whole_batches(order, ranks, size, 2) == whole_batches(order, 1, size, 2)


@given(orders, num_ranks, batch_sizes)
def test_an_epoch_shows_every_row_at_most_once_and_misses_less_than_one_batch(order, ranks, size):
    batches = whole_batches(order, ranks, size, 1)
    seen = [sample for batch in batches for sample in batch]
    assert {len(batch) for batch in batches} <= {size}
    assert len(set(seen)) == len(seen)
    assert order.num_rows - len(seen) < size


@given(orders, num_ranks, num_ranks, batch_sizes, st.integers(0, 30))
def test_a_run_goes_on_with_the_very_next_batch_on_any_number_of_ranks(a, ranks, more, size, step):
    whole = whole_batches(a, ranks, size, 3)
    assert whole_batches(a, more, size, 3, min(step, len(whole))) == whole[step:]


@given(orders, batch_sizes)
def test_a_lane_reads_every_window_that_it_lies_in_once(order, size):
    """Less than two windows are shared with neighbours, and none is opened again."""
    num_steps = order.num_rows // size
    span = training_span(
        Share(0, 1, NUM_LANES),
        epoch=0,
        num_rows=order.num_rows,
        batch_size=size,
        num_steps=num_steps,
        steps_done=0,
    )
    reads = [(p.place, p.item.window) for p in span.pieces(order, 0)]
    assert len(set(reads)) == len(reads)
    assert len(reads) <= order.num_windows + NUM_LANES - 1


@given(orders, num_ranks, st.integers(1, 9))
def test_all_ranks_validate_every_row_once_and_in_its_order(order, ranks, size):
    seen = []
    for rank in range(ranks):
        share = Share(rank, ranks, NUM_LANES)
        span = whole_span(share, num_rows=order.num_rows, batch_size=size, order=0)
        assert all(0 < found <= size for found in span.sizes)
        assert sum(span.sizes) == sum(stop - start for start, stop in span.lanes)
        for piece in span.pieces(order, 0):
            batch, _ = piece.slots(0, piece.item.stop - piece.item.start)
            assert set(batch) <= set(range(len(span.sizes)))
            seen += range(piece.item.position, piece.item.position + len(batch))
    assert seen == list(range(order.num_rows))


@pytest.mark.parametrize("seed", range(5))
def test_batches_are_put_together_from_rows_in_any_order(seed):
    """Beside the plain way: a dictionary of every place."""
    order, sizes = random.Random(seed), [5, 3, 4]
    slots = [(batch, place) for batch, size in enumerate(sizes) for place in range(size)]
    order.shuffle(slots)
    blocks = [slots[i : i + 3] for i in range(0, len(slots), 3)]
    rows = [
        {
            "batch": np.array([b for b, _ in block]),
            "place": np.array([p for _, p in block]),
            "x": np.array([[b * 10 + p] for b, p in block]),
            "name": np.array([f"{p}" * (b + 1) for b, p in block]),
        }
        for block in blocks
    ]
    for b, batch in enumerate(assembled(rows, sizes)):
        assert batch["x"].tolist() == [[b * 10 + p] for p in range(sizes[b])]
        assert batch["name"].tolist() == [f"{p}" * (b + 1) for p in range(sizes[b])]
