"""The Ray Data feed beside the plain loop over its lanes."""

import itertools
from collections.abc import Iterator

import pytest
import small_pairs
import torch

from figclip.inputs.batches import read_batches
from figclip.inputs.lanes import Share, Span, training_span, whole_span
from figclip.inputs.order import SampleOrder
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch, Reader, batch_of, captions, row_groups
from figclip.inputs.tokens import train_wordpiece
from figclip.store import Folder

NUM_ROWS, NUM_LANES, SIZE = 150, 6, 24


def plain_rows(reader: Reader, epoch: int, start: int, stop: int) -> list[Batch]:
    """The rows of a range of the order, one a batch."""
    wholes = [batch_of(c) for item in reader.order.items(epoch, start, stop) for c in reader(item)]
    return [
        Batch(*(side[i : i + 1] for side in vars(whole).values()))
        for whole in wholes
        for i in range(len(whole.ids))
    ]


def plain_batches(readers: list[Reader], spans: list[Span]) -> Iterator[list[Batch]]:
    for span in spans:
        lanes = [plain_rows(readers[span.order], span.epoch, *lane) for lane in span.lanes]
        for start in range(0, len(lanes[0]), span.width):
            yield [row for lane in lanes for row in lane[start : start + span.width]]


def is_made_of(batch: Batch, rows: list[Batch]) -> bool:
    return all(
        torch.equal(getattr(batch, name), torch.cat([getattr(row, name) for row in rows]))
        for name in vars(batch)
    )


def readers_of(pairs: Folder) -> list[Reader]:
    groups = row_groups(pairs, "train")
    tokenizer = train_wordpiece(captions(pairs, groups), vocab_size=300)
    return [
        Reader(pairs, SampleOrder(groups, seed, 2), tokenizer, 16, PixelConfig(size=24), seed)
        for seed in (1, None)
    ]


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_the_feed_is_the_plain_loop_from_any_step_and_validation_lies_between(
    ray_cluster, tmp_path
):
    pairs = small_pairs.publish_pairs(tmp_path, num_train=NUM_ROWS).open("pairs", "small")
    readers, share = readers_of(pairs), Share(1, 2, NUM_LANES)
    for steps_done in (0, 4):
        training = [
            training_span(
                share,
                epoch=epoch,
                num_rows=NUM_ROWS,
                batch_size=SIZE,
                num_steps=NUM_ROWS // SIZE,
                steps_done=done,
            )
            for epoch, done in ((0, steps_done), (1, 0))
        ]
        judging = whole_span(share, num_rows=NUM_ROWS, batch_size=10, order=1)
        spans = [training[0], judging, training[1], judging]
        feed = read_batches(readers, spans, cpus_per_read=0.5, max_reads=3)
        expected = list(plain_batches(readers, spans))
        judged = [10] * 7 + [5]
        sizes = [12] * (6 - steps_done) + judged + [12] * 6 + judged
        assert [len(rows) for rows in expected] == sizes
        for batch, rows in itertools.zip_longest(feed, expected):
            assert is_made_of(batch, rows)


def test_a_finished_run_has_nothing_to_feed(tmp_path):
    pairs = small_pairs.publish_pairs(tmp_path, num_train=20).open("pairs", "small")
    assert list(read_batches(readers_of(pairs), [], cpus_per_read=0.5, max_reads=1)) == []
