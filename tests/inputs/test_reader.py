"""Row groups, captions and work items read from a pairs artifact, beside plain loops over it."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import small_pairs
import torch
from PIL import Image

from figclip.inputs.batches import assembled, read_bundle
from figclip.inputs.lanes import Share, bundles, whole_span
from figclip.inputs.order import SampleOrder
from figclip.inputs.pixels import PixelConfig, UnreadableImage, eval_crop, train_crop
from figclip.inputs.reader import Reader, batch_of, captions, row_groups
from figclip.inputs.tokens import train_wordpiece
from figclip.store import Folder

NUM_ROWS, PIXELS = 50, PixelConfig(size=16)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Folder:
    store = small_pairs.publish_pairs(tmp_path_factory.mktemp("store"), num_train=NUM_ROWS)
    return store.open("pairs", "small")


@pytest.fixture(scope="module")
def rows(pairs) -> list[dict]:
    """All training rows as they lie in the files."""
    files = sorted(Path(pairs.path, "train").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def reader(pairs) -> Reader:
    groups = row_groups(pairs, "train")
    tokenizer = train_wordpiece(captions(pairs, groups), vocab_size=300)
    return Reader(pairs, SampleOrder(groups, 5, 3), tokenizer, 24, PIXELS, augment_seed=5)


def read(reader: Reader, *, epoch: int, start: int, stop: int) -> dict[str, np.ndarray]:
    chunks = [chunk for item in reader.order.items(epoch, start, stop) for chunk in reader(item)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def test_row_groups_are_those_of_the_files(pairs):
    groups = row_groups(pairs, "train")
    assert [group.num_rows for group in groups] == [8] * 5 + [8, 2]
    assert {group.file for group in groups} == {"train/00000.parquet", "train/00001.parquet"}
    assert row_groups(pairs, "test") == ()


def test_captions_come_as_they_lie(pairs, rows):
    found = list(captions(pairs, row_groups(pairs, "train")))
    assert found == [row["caption"] for row in rows]


def test_a_row_of_pixels_and_its_tokens_belong_to_one_pair(reader, rows):
    """Evaluation crops name their pair: every drawn picture is another one."""
    plain = dataclasses.replace(reader, augment_seed=None)
    found = read(plain, epoch=1, start=0, stop=NUM_ROWS)
    expected = {
        eval_crop(Image.open(io.BytesIO(row["image"])), PIXELS).numpy().tobytes(): tuple(
            reader.tokenizer([row["caption"]], 24).ids[0].tolist()
        )
        for row in rows
    }
    assert len(expected) == NUM_ROWS
    seen = {
        pixels.tobytes(): tuple(ids.tolist())
        for pixels, ids in zip(found["pixels"], found["ids"], strict=True)
    }
    assert seen == expected


def test_training_crops_follow_seed_epoch_and_position(reader, rows):
    order = dataclasses.replace(reader.order, seed=None)
    plain = dataclasses.replace(reader, order=order)
    found = read(plain, epoch=2, start=9, stop=12)["pixels"]
    for position, crop in zip(range(9, 12), found, strict=True):
        image = Image.open(io.BytesIO(rows[position]["image"]))
        random = np.random.default_rng([5, 2, position])
        np.testing.assert_array_equal(crop, train_crop(image, PIXELS, random).numpy())


def test_a_part_of_an_epoch_reads_as_it_does_in_the_whole(reader):
    whole = read(reader, epoch=3, start=0, stop=NUM_ROWS)
    part = read(reader, epoch=3, start=13, stop=41)
    for name in whole:
        np.testing.assert_array_equal(part[name], whole[name][13:41])


def test_two_ranks_evaluate_every_row_once(reader, rows):
    order = dataclasses.replace(reader.order, seed=None, groups_per_window=1)
    plain = dataclasses.replace(reader, order=order, augment_seed=None)
    batches = []
    for rank in range(2):
        span = whole_span(Share(rank, 2, 2), num_rows=NUM_ROWS, batch_size=7, order=0)
        blocks = (
            rows for bundle in bundles([span], (order,)) for rows in read_bundle([plain], bundle)
        )
        batches += [batch_of(columns) for columns in assembled(blocks, span.sizes)]
    expected = reader.tokenizer([row["caption"] for row in rows], 24)
    assert [len(batch.ids) for batch in batches] == [7, 7, 7, 4] * 2
    assert torch.equal(torch.cat([batch.ids for batch in batches]), expected.ids)
    assert torch.equal(torch.cat([batch.mask for batch in batches]), expected.mask)
    assert {batch.pixels.dtype for batch in batches} == {torch.uint8}


def test_an_unreadable_picture_names_its_pair(reader):
    broken = {"pair_id": "PMC7.1/f1/x.png", "image": b"no picture", "caption": "A caption."}
    with pytest.raises(UnreadableImage, match=r"pair PMC7\.1/f1/x\.png"):
        reader._crop(broken, epoch=0, position=0)
