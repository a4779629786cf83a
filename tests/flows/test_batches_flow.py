"""The Ray Data feed beside the plain loop over its work items."""

import itertools

import pytest
import small_pairs
import torch

from figclip.inputs.batches import train_batches
from figclip.inputs.order import SampleOrder, Share, remaining_items
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch, Reader, batch_of, captions, row_groups
from figclip.inputs.tokens import train_wordpiece


def plain_batches(reader: Reader, share: Share, num_epochs: int, steps_done: int) -> list[Batch]:
    items = remaining_items(reader.order, share, num_epochs=num_epochs, steps_done=steps_done)
    whole = [batch_of(columns) for item in items for columns in reader(item)]
    sides = [torch.cat([getattr(b, name) for b in whole]) for name in ("pixels", "ids", "mask")]
    return [
        Batch(*parts) for parts in zip(*(s.split(share.batch_size) for s in sides), strict=True)
    ]


def is_same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_the_feed_is_the_plain_loop_from_any_step(ray_cluster, tmp_path):
    pairs = small_pairs.publish_pairs(tmp_path, num_train=150).open("pairs", "small")
    groups = row_groups(pairs, "train")
    tokenizer = train_wordpiece(captions(pairs, groups), vocab_size=300)
    reader = Reader(pairs, SampleOrder(groups, 1, 3), tokenizer, 16, PixelConfig(size=24), 1)
    share = Share(rank=1, num_ranks=2, batch_size=7)
    for steps_done in (0, 13):
        feed = train_batches(
            reader, share, num_epochs=2, steps_done=steps_done, cpus_per_read=0.5, max_reads=3
        )
        expected = plain_batches(reader, share, 2, steps_done)
        assert len(expected) == 20 - steps_done
        for found, batch in itertools.zip_longest(feed, expected):
            assert is_same(found, batch)


def test_a_finished_run_has_nothing_to_feed(tmp_path):
    pairs = small_pairs.publish_pairs(tmp_path, num_train=20).open("pairs", "small")
    groups = row_groups(pairs, "train")
    tokenizer = train_wordpiece(captions(pairs, groups), vocab_size=300)
    reader = Reader(pairs, SampleOrder(groups, 1, 3), tokenizer, 16, PixelConfig(size=24), 1)
    rest = train_batches(
        reader, Share(0, 1, 10), num_epochs=2, steps_done=4, cpus_per_read=0.5, max_reads=1
    )
    assert list(rest) == []
