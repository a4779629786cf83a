"""Pairs artifacts read by work items: row groups in, pixels and token ids out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from figclip.inputs.order import RowGroup, SampleOrder, Share, WorkItem
from figclip.inputs.pixels import PixelConfig, UnreadableImage, decode, eval_crop, train_crop
from figclip.inputs.tokens import Tokenizer
from figclip.schema import Split
from figclip.store import Folder

Columns = dict[str, np.ndarray]
CHUNK_ROWS = 32


@dataclass(frozen=True)
class Batch:
    """Pairs, ready for the model but for the normalisation of the pixels."""

    pixels: Tensor
    """uint8 [n, 3, side, side]."""
    ids: Tensor
    """int64 [n, length]."""
    mask: Tensor
    """bool [n, length]: true where a token is no padding."""


def row_groups(pairs: Folder, split: Split) -> tuple[RowGroup, ...]:
    """Of every Parquet file of a split, in the order of the paths; empty without such a folder."""
    names = [f"{split}/{name}" for name in (pairs / split).files() if name.endswith(".parquet")]

    def groups_of(name: str) -> list[RowGroup]:
        with pairs.open(name) as file:
            metadata = pq.read_metadata(file)
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        return [RowGroup(name, i, size) for i, size in enumerate(sizes) if size]

    with ThreadPoolExecutor(16) as threads:
        return tuple(group for groups in threads.map(groups_of, names) for group in groups)


def captions(pairs: Folder, groups: tuple[RowGroup, ...]) -> Iterator[str]:
    for group in groups:
        yield from _read_group(pairs, group, ["caption"])["caption"].to_pylist()


@dataclass(frozen=True)
class Reader:
    """Turns work items into columns: what a reading task runs, and a test calls without Ray."""

    pairs: Folder
    order: SampleOrder
    tokenizer: Tokenizer
    context_length: int
    pixels: PixelConfig
    augment_seed: int | None
    """Of the training crops; None takes the evaluation crop."""

    def __call__(self, item: WorkItem) -> Iterator[Columns]:
        """The item's samples in order, a few at a time: `pixels`, `ids`, `mask` as in `Batch`."""
        window = self.order.windows(item.epoch)[item.window]
        tables = [
            _read_group(self.pairs, group, ["pair_id", "image", "caption"]) for group in window
        ]
        table = pa.concat_tables(tables)
        rows = self.order.rows(item)
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = table.take(rows[start : start + CHUNK_ROWS]).to_pylist()
            yield self._columns(chunk, item.epoch, item.position + start)

    def _columns(self, pairs: list[dict[str, Any]], epoch: int, position: int) -> Columns:
        tokens = self.tokenizer([pair["caption"] for pair in pairs], self.context_length)
        crops = [self._crop(pair, epoch, position + i) for i, pair in enumerate(pairs)]
        return {
            "pixels": np.stack(crops),
            "ids": tokens.ids.numpy().astype(np.int32),
            "mask": tokens.mask.numpy(),
        }

    def _crop(self, pair: dict[str, Any], epoch: int, position: int) -> np.ndarray:
        try:
            image = decode(pair["image"])
        except UnreadableImage as error:
            raise UnreadableImage(f"pair {pair['pair_id']}: {error}") from error
        if self.augment_seed is None:
            return eval_crop(image, self.pixels).numpy()
        random = np.random.default_rng([self.augment_seed, epoch, position])
        return train_crop(image, self.pixels, random).numpy()


def eval_batches(reader: Reader, share: Share) -> Iterator[Batch]:
    """This rank's part of all rows, each once, read in this very process."""
    start, stop = share.full_range(reader.order.num_rows)
    for item in reader.order.items(0, start, stop):
        for columns in reader(item):
            yield batch_of(columns)


def batch_of(columns: Columns) -> Batch:
    return Batch(
        pixels=torch.from_numpy(np.array(columns["pixels"])),
        ids=torch.from_numpy(columns["ids"].astype(np.int64)),
        mask=torch.from_numpy(np.array(columns["mask"])),
    )


def _read_group(pairs: Folder, group: RowGroup, columns: list[str]) -> pa.Table:
    with pairs.open(group.file) as file:
        return pq.ParquetFile(file).read_row_group(group.index, columns=columns)
