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

from figclip.config import UsageError
from figclip.inputs.batches import assembled, read_bundle
from figclip.inputs.corpora import Corpus, all_texts, row_groups
from figclip.inputs.lanes import Share, bundles, whole_span
from figclip.inputs.order import SampleOrder, WorkItem
from figclip.inputs.pixels import PixelConfig, eval_crop, train_crop
from figclip.inputs.reader import Batch, Reader, batch_of
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
    corpora = (Corpus(pairs),)
    tokenizer = train_wordpiece(all_texts(corpora, groups), vocab_size=300)
    return Reader(corpora, SampleOrder(groups, 5, 3), tokenizer, 24, PIXELS, augment_seed=5)


def read(reader: Reader, *, epoch: int, start: int, stop: int) -> dict[str, np.ndarray]:
    chunks = [chunk for item in reader.order.items(epoch, start, stop) for chunk in reader(item)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


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
        pixels.tobytes(): tuple(ids[0].tolist())
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


def evaluated(reader: Reader) -> list[Batch]:
    """What two ranks read of all rows, as they lie."""
    order = dataclasses.replace(reader.order, seed=None, groups_per_window=1)
    plain = dataclasses.replace(reader, order=order, augment_seed=None)
    batches = []
    for rank in range(2):
        span = whole_span(Share(rank, 2, 2), num_rows=NUM_ROWS, batch_size=7, order=0)
        blocks = (
            rows for bundle in bundles([span], (order,)) for rows in read_bundle([plain], bundle)
        )
        batches += [batch_of(columns) for columns in assembled(blocks, span.sizes)]
    return batches


def test_two_ranks_evaluate_every_row_once(reader, rows):
    batches = evaluated(reader)
    expected = reader.tokenizer([row["caption"] for row in rows], 24)
    assert [len(batch.ids) for batch in batches] == [7, 7, 7, 4] * 2
    assert torch.equal(torch.cat([batch.ids for batch in batches]), expected.ids)
    assert torch.equal(torch.cat([batch.mask for batch in batches]), expected.mask)
    assert {batch.pixels.dtype for batch in batches} == {torch.uint8}


BROKEN, SILENT = 12, 30


@pytest.fixture(scope="module")
def damaged(pairs, tmp_path_factory) -> Folder:
    """The same pairs, one with a broken picture and one without a caption amid a shard."""
    copy = Folder(pairs.fs, str(tmp_path_factory.mktemp("damaged")))
    for name in pairs.files():
        copy.write(name, pairs.read(name))
    small_pairs.damage(copy, "train/00000.parquet", broken=BROKEN, silent=SILENT)
    return copy


def in_order(reader: Reader, rows: list[dict], epoch: int) -> list[list[dict]]:
    """The rows of each window as the epoch sees them, the plain way."""
    numbers = {}
    for group in reader.order.row_groups:
        first = len(numbers)
        numbers |= {(group, row): first + row for row in range(group.num_rows)}
    seen = []
    for number in range(reader.order.num_windows):
        window = reader.order.window(epoch, number)
        laid = [rows[numbers[part.group, row]] for part in window for row in part.rows.tolist()]
        seen.append([laid[row] for row in reader.order.window_rows(epoch, number)])
    return seen


def test_a_pair_that_gives_nothing_gives_way_to_one_half_a_window_further_on(reader, rows, damaged):
    stream = dataclasses.replace(reader, corpora=(Corpus(damaged),))
    bad = {rows[BROKEN]["pair_id"], rows[SILENT]["pair_id"]}
    for epoch in range(3):
        found = read(stream, epoch=epoch, start=0, stop=NUM_ROWS)
        position = 0
        for window in in_order(reader, rows, epoch):
            for place, row in enumerate(window):
                if row["pair_id"] in bad:
                    ahead = [*window, *window][place + len(window) // 2 :]
                    row = next(one for one in ahead if one["pair_id"] not in bad)
                image = Image.open(io.BytesIO(row["image"]))
                random = np.random.default_rng([5, epoch, position])
                crop = train_crop(image, PIXELS, random).numpy()
                np.testing.assert_array_equal(found["pixels"][position], crop)
                ids = reader.tokenizer([row["caption"]], 24).ids.numpy()
                np.testing.assert_array_equal(found["ids"][position], ids)
                position += 1
        assert batch_of(found).left_out == {
            rows[BROKEN]["pair_id"]: "broken_image: UnidentifiedImageError: cannot identify image "
            "file",
            rows[SILENT]["pair_id"]: "no_text: neither caption nor mention has a word",
        }


def test_two_ranks_evaluate_what_is_left_of_damaged_pairs(reader, rows, damaged):
    whole = evaluated(dataclasses.replace(reader, corpora=(Corpus(damaged),)))
    assert [len(batch.ids) for batch in whole] == [7, 7, 7, 4] * 2
    batches = [batch.with_texts() for batch in whole]
    assert [batch.num_images for batch in batches] == [7, 6, 7, 4, 6, 7, 7, 4]
    captions = [row["caption"] for n, row in enumerate(rows) if n not in (BROKEN, SILENT)]
    expected = reader.tokenizer(captions, 24)
    assert torch.equal(torch.cat([batch.ids for batch in batches]), expected.ids)


def test_a_window_of_nothing_but_damage_is_filled_from_the_next_one(reader, rows, pairs, tmp_path):
    copy = Folder(pairs.fs, str(tmp_path))
    for name in pairs.files():
        copy.write(name, pairs.read(name))
    small_pairs.damage(copy, "train/00000.parquet", broken=range(8))
    order = SampleOrder(row_groups(copy, "train"), None, 1)
    stream = dataclasses.replace(reader, corpora=(Corpus(copy),), order=order)
    found = read(stream, epoch=0, start=0, stop=8)
    expected = np.concatenate([reader.tokenizer([rows[8]["caption"]], 24).ids.numpy()] * 8)
    np.testing.assert_array_equal(found["ids"][:, 0], expected)
    small_pairs.damage(copy, "train/00000.parquet", broken=range(40))
    small_pairs.damage(copy, "train/00001.parquet", broken=range(10))
    with pytest.raises(UsageError, match=r"no pair can be used, PMC0\.1/f1/f1\.png broken_image"):
        next(stream(WorkItem(0, 0, 0, 1, 0)))


def test_an_images_texts_lie_side_by_side_and_those_it_lacks_are_absent(reader, rows):
    corpora = (Corpus(reader.corpora[0].pairs, "caption_and_mentions"),)
    stream = dataclasses.replace(
        reader,
        corpora=corpora,
        order=dataclasses.replace(reader.order, seed=None),
        texts_per_image=3,
    )
    batch = batch_of(read(stream, epoch=0, start=0, stop=NUM_ROWS))
    assert (batch.texts_per_image, len(batch.ids), len(batch.pixels)) == (3, 3 * NUM_ROWS, NUM_ROWS)
    num_absent = 0
    for n, row in enumerate(rows):
        own = slice(3 * n, 3 * n + 3)
        said = [text for text in batch_texts(reader, batch.ids[own], batch.mask[own]) if text]
        known = [plain_words(reader, text) for text in (row["caption"], *(row["mentions"] or ()))]
        assert said[0] == known[0]
        assert sorted(said) == sorted(known)[: len(said)] or set(said) < set(known)
        assert len(said) == min(3, len(known))
        absent = batch.mask[own].sum(dim=1) == 0
        assert absent.tolist() == [False] * len(said) + [True] * (3 - len(said))
        assert (batch.ids[own][absent] == reader.tokenizer.pad_id).all()
        num_absent += int(absent.sum())
    assert 0 < num_absent < 2 * NUM_ROWS


def batch_texts(reader: Reader, ids: torch.Tensor, mask: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(row[kept].tolist()) for row, kept in zip(ids, mask, strict=True)]


def plain_words(reader: Reader, text: str) -> tuple[int, ...]:
    tokens = reader.tokenizer([text], 24)
    return batch_texts(reader, tokens.ids, tokens.mask)[0]
