"""The Ray Data feed beside the plain loop over its lanes."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import small_pairs
import torch

from figclip.inputs.batches import read_batches
from figclip.inputs.corpora import Corpus, CorpusShare, all_texts, mixed_row_groups
from figclip.inputs.lanes import Share, Span, training_span, whole_span
from figclip.inputs.order import SampleOrder
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch, Columns, Reader, batch_of
from figclip.inputs.tokens import train_wordpiece

NUM_ROWS, NUM_LANES, SIZE = 150, 6, 24


def opened(folder: Path, *, num_train: int) -> list[Reader]:
    """Of two corpora: some pairs with their captions, and half of them with their mentions.

    The first reader is for training, the other for validation.
    """
    pairs = small_pairs.publish_pairs(folder, num_train=num_train).open("pairs", "small")
    small_pairs.damage(pairs, "train/00000.parquet", broken=3, silent=14)
    corpora = (Corpus(pairs), Corpus(pairs, "caption_and_mentions"))
    shares = [CorpusShare(pairs="small", weight=weight) for weight in (1.0, 0.5)]
    groups = mixed_row_groups(corpora, shares, "train")
    tokenizer = train_wordpiece(all_texts(corpora, groups), vocab_size=300)
    return [
        Reader(
            corpora,
            SampleOrder(groups, seed, 2),
            tokenizer,
            16,
            PixelConfig(size=24),
            seed,
            texts_per_image=2,
        )
        for seed in (1, None)
    ]


def plain_rows(reader: Reader, epoch: int, start: int, stop: int) -> list[Columns]:
    """The rows of a range of the order, one by one."""
    wholes = [
        columns for item in reader.order.items(epoch, start, stop) for columns in reader(item)
    ]
    return [
        {name: column[i : i + 1] for name, column in whole.items()}
        for whole in wholes
        for i in range(len(whole["ids"]))
    ]


def plain_batches(readers: list[Reader], spans: list[Span]) -> Iterator[Batch]:
    for span in spans:
        lanes = [plain_rows(readers[span.order], span.epoch, *lane) for lane in span.lanes]
        for start in range(0, len(lanes[0]), span.width):
            rows = [row for lane in lanes for row in lane[start : start + span.width]]
            yield batch_of({name: np.concatenate([r[name] for r in rows]) for name in rows[0]})


def is_same(a: Batch, b: Batch) -> bool:
    tensors = all(torch.equal(getattr(a, name), getattr(b, name)) for name in TENSORS)
    return tensors and (a.texts_per_image, a.left_out) == (b.texts_per_image, b.left_out)


TENSORS = ("pixels", "ids", "mask")


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_the_feed_is_the_plain_loop_from_any_step_and_validation_lies_between(
    ray_cluster, tmp_path
):
    """Broken pictures and missing words in a shard change neither the size nor the order."""
    readers, share = opened(tmp_path, num_train=100), Share(1, 2, NUM_LANES)
    assert readers[0].order.num_rows >= NUM_ROWS
    left_out = {}
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
        assert [len(batch.pixels) for batch in expected] == sizes
        for found, batch in itertools.zip_longest(feed, expected):
            assert is_same(found, batch)
            assert len(found.ids) == 2 * len(found.pixels)
            left_out |= found.left_out
    reasons = {pair_id: why.split(":")[0] for pair_id, why in left_out.items()}
    assert reasons == {"PMC3.1/f1/f1.png": "broken_image", "PMC14.1/f1/f1.png": "no_text"}


def test_a_finished_run_has_nothing_to_feed(tmp_path):
    readers = opened(tmp_path, num_train=20)
    assert list(read_batches(readers, [], cpus_per_read=0.5, max_reads=1)) == []
