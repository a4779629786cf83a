"""Pairs read by work items: row groups of one or more corpora in, pixels and token ids out."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from figclip.config import UsageError
from figclip.inputs.corpora import Corpus
from figclip.inputs.order import SampleOrder, WorkItem
from figclip.inputs.pixels import PixelConfig, UnreadableImage, decode, eval_crop, train_crop
from figclip.inputs.texts import drawn_texts
from figclip.inputs.tokens import Tokenizer
from figclip.inputs.windows import Pair, Window, read_window, stand_ins
from figclip.schema import Unusable

Columns = dict[str, np.ndarray]
CHUNK_ROWS = 32
OF_TEXTS = 1
"""Tells the draw of a sample's texts from the draw of its crop."""


@dataclass(frozen=True)
class Batch:
    """Pairs, ready for the model but for the normalisation of the pixels."""

    pixels: Tensor
    """uint8 [n, 3, side, side]."""
    ids: Tensor
    """int64 [n * texts_per_image, length]: the texts of the first image, then of the second, ..."""
    mask: Tensor
    """bool [n * texts_per_image, length]: true where a token is no padding. A row that is nowhere
    true is of a text that its image lacks."""
    texts_per_image: int = 1
    left_out: dict[str, str] = field(default_factory=dict)
    """Pairs that gave nothing, so that others stand in their places: pair id → why."""

    @property
    def num_images(self) -> int:
        return len(self.pixels)

    def with_texts(self) -> "Batch":
        """The images that have a text; `texts_per_image` is 1."""
        has_text = self.mask.any(dim=1)
        if has_text.all():
            return self
        return replace(
            self, pixels=self.pixels[has_text], ids=self.ids[has_text], mask=self.mask[has_text]
        )


@dataclass(frozen=True)
class Sample:
    pixels: np.ndarray
    """uint8 [3, side, side]."""
    texts: list[str]
    left_out: str = ""
    """Id of the pair that should stand here, a tab, and why it does not."""


@dataclass(frozen=True)
class Reader:
    """Turns work items into columns: what a reading task runs, and a test calls without Ray."""

    corpora: tuple[Corpus, ...]
    order: SampleOrder
    tokenizer: Tokenizer
    context_length: int
    pixels: PixelConfig
    augment_seed: int | None
    """Of the training crops, and of the choice among an image's texts; None takes the evaluation
    crop."""
    texts_per_image: int = 1

    def __call__(self, item: WorkItem) -> Iterator[Columns]:
        """The item's samples in order, a few at a time.

        `pixels` [n, 3, side, side]; `ids` and `mask` [n, texts_per_image, length], rows as in
        `Batch`; `left_out` [n] as in `Sample`. Where a picture is broken or has no text, another
        pair of the window stands in its place, always the same one; without `augment_seed` there
        is a sample without text, which is to be passed over.
        """
        window = read_window(self.corpora, self.order, item.epoch, item.window)
        for start in range(item.start, item.stop, CHUNK_ROWS):
            pairs = window.pairs(start, min(start + CHUNK_ROWS, item.stop))
            samples = [self._sample(pair, start + i, window, item) for i, pair in enumerate(pairs)]
            yield self._columns(samples)

    def _sample(self, pair: Pair, place: int, window: Window, item: WorkItem) -> Sample:
        position = item.position + place - item.start
        try:
            return self._opened(pair, item.epoch, position)
        except Unusable as error:
            left_out = f"{pair['pair_id']}\t{error}"
        if self.augment_seed is None:
            return Sample(np.zeros((3, self.pixels.size, self.pixels.size), np.uint8), [], left_out)
        for other in stand_ins(window, place, corpora=self.corpora, order=self.order, item=item):
            with suppress(Unusable):
                return replace(self._opened(other, item.epoch, position), left_out=left_out)
        raise UsageError(f"no pair can be used, {left_out.replace(chr(9), ' ')}: ingest them anew")

    def _opened(self, pair: Pair, epoch: int, position: int) -> Sample:
        """`Unusable` where the pair's picture is broken or has no text."""
        seed = [self.augment_seed or 0, epoch, position]
        texts = drawn_texts(
            pair, pair["kind"], self.texts_per_image, np.random.default_rng([*seed, OF_TEXTS])
        )
        if not texts:
            raise Unusable("no_text", "neither caption nor mention has a word")
        try:
            image = decode(pair["image"])
        except UnreadableImage as error:
            why = str(error).partition(" <_io.")[0]  # Pillow names the stream by its address
            raise Unusable("broken_image", why) from error
        if self.augment_seed is None:
            return Sample(eval_crop(image, self.pixels).numpy(), texts)
        return Sample(train_crop(image, self.pixels, np.random.default_rng(seed)).numpy(), texts)

    def _columns(self, samples: list[Sample]) -> Columns:
        k, length = self.texts_per_image, self.context_length
        ids = np.full((len(samples) * k, length), self.tokenizer.pad_id, dtype=np.int32)
        mask = np.zeros((len(samples) * k, length), dtype=np.bool_)
        rows = [n * k + i for n, sample in enumerate(samples) for i in range(len(sample.texts))]
        if rows:
            tokens = self.tokenizer([text for s in samples for text in s.texts], length)
            ids[rows], mask[rows] = tokens.ids.numpy(), tokens.mask.numpy()
        return {
            "pixels": np.stack([sample.pixels for sample in samples]),
            "ids": ids.reshape(-1, k, length),
            "mask": mask.reshape(-1, k, length),
            "left_out": np.array([sample.left_out for sample in samples], dtype=object),
        }


def batch_of(columns: Columns) -> Batch:
    num, k, length = columns["ids"].shape
    return Batch(
        pixels=torch.from_numpy(np.array(columns["pixels"])),
        ids=torch.from_numpy(columns["ids"].astype(np.int64).reshape(num * k, length)),
        mask=torch.from_numpy(np.array(columns["mask"]).reshape(num * k, length)),
        texts_per_image=k,
        left_out=_by_pair(columns["left_out"]),
    )


def _by_pair(left_out: np.ndarray) -> dict[str, str]:
    return dict(text.split("\t", 1) for text in left_out.tolist() if text)
