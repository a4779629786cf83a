"""The Ray Data feed beside the plain loop over its work items."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import small_pairs
import torch

from figclip.inputs.batches import train_batches
from figclip.inputs.corpora import Corpus, CorpusShare, all_texts, mixed_row_groups
from figclip.inputs.order import SampleOrder, Share, remaining_items
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch, Reader, batch_of
from figclip.inputs.tokens import train_wordpiece


def opened(folder: Path, *, num_train: int) -> Reader:
    """Of two corpora: some pairs with their captions, and half of them with their mentions."""
    pairs = small_pairs.publish_pairs(folder, num_train=num_train).open("pairs", "small")
    small_pairs.damage(pairs, "train/00000.parquet", broken=3, silent=14)
    corpora = (Corpus(pairs), Corpus(pairs, "caption_and_mentions"))
    shares = [CorpusShare(pairs="small", weight=weight) for weight in (1.0, 0.5)]
    groups = mixed_row_groups(corpora, shares, "train")
    tokenizer = train_wordpiece(all_texts(corpora, groups), vocab_size=300)
    order = SampleOrder(groups, 1, 3)
    return Reader(corpora, order, tokenizer, 16, PixelConfig(size=24), 1, texts_per_image=2)


def plain_batches(reader: Reader, share: Share, num_epochs: int, steps_done: int) -> list[Batch]:
    items = remaining_items(reader.order, share, num_epochs=num_epochs, steps_done=steps_done)
    whole = [columns for item in items for columns in reader(item)]
    together = {name: np.concatenate([one[name] for one in whole]) for name in whole[0]}
    cuts = range(0, len(together["ids"]), share.batch_size)
    return [
        batch_of({name: column[at : at + share.batch_size] for name, column in together.items()})
        for at in cuts
    ]


def is_same(a: Batch, b: Batch) -> bool:
    tensors = all(torch.equal(getattr(a, name), getattr(b, name)) for name in TENSORS)
    return tensors and (a.texts_per_image, a.left_out) == (b.texts_per_image, b.left_out)


TENSORS = ("pixels", "ids", "mask")


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_the_feed_is_the_plain_loop_from_any_step(ray_cluster, tmp_path):
    """Broken pictures and missing words in a shard change neither the size nor the order."""
    reader = opened(tmp_path, num_train=100)
    share = Share(rank=1, num_ranks=2, batch_size=7)
    left_out = {}
    for steps_done in (0, 13):
        feed = train_batches(
            reader, share, num_epochs=2, steps_done=steps_done, cpus_per_read=0.5, max_reads=3
        )
        expected = plain_batches(reader, share, 2, steps_done)
        assert len(expected) == 20 - steps_done
        for found, batch in itertools.zip_longest(feed, expected):
            assert is_same(found, batch)
            assert (len(found.pixels), len(found.ids)) == (7, 14)
            left_out |= found.left_out
    reasons = {pair_id: why.split(":")[0] for pair_id, why in left_out.items()}
    assert reasons == {"PMC3.1/f1/f1.png": "broken_image", "PMC14.1/f1/f1.png": "no_text"}


def test_a_finished_run_has_nothing_to_feed(tmp_path):
    rest = train_batches(
        opened(tmp_path, num_train=20),
        Share(0, 1, 10),
        num_epochs=2,
        steps_done=6,
        cpus_per_read=0.5,
        max_reads=1,
    )
    assert list(rest) == []
