"""Whether the backends give the plain model's vectors, whatever shares a batch with an item.

Texts of every length that the context has, and squares of noise, in batches of 1, 2, 3, ... items;
the plain model embeds each alone. A BERT of 256 tokens, and ViT-B/32.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from figclip.embedding.backends import with_backend
from figclip.embedding.encoder import Encoder
from figclip.embedding.ways import Backend, Tower
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.tokens import train_wordpiece
from figclip.models.clip import Clip, ClipConfig
from jobs.benchmarks.embed import MODEL, WORDS
from jobs.benchmarks.figures import Figures

BACKENDS: tuple[Backend, ...] = ("fp32", "bf16")
NUM_ITEMS = 1_000
NUM_ALONE = 50
"""Of the items, embedded alone by the backend as well."""

Embed = Callable[[Encoder, Any], np.ndarray]


def parity(num_items: int = NUM_ITEMS) -> Figures:
    """Least cosines, and the most that a component differs between alone and in a batch."""
    plain = encoder_of(MODEL)
    figures: Figures = {}
    for tower in ("text", "image"):
        for backend in BACKENDS:
            cosine, difference = compared(plain, backend, tower, num_items)
            figures[f"parity_{tower}_{backend}"] = cosine
            figures[f"batch_difference_{tower}_{backend}_per_million"] = 1e6 * difference
    return figures


def compared(plain: Encoder, backend: Backend, tower: Tower, num_items: int) -> tuple[float, float]:
    """The least cosine with the plain model, each item alone there; and the greatest difference of
    a component between an item alone and in a batch, both by the backend."""
    found = with_backend(plain, backend, tower=tower)
    embed, items = _sample(plain, tower, num_items)
    expected = np.concatenate([embed(plain, items[n : n + 1]) for n in range(num_items)])
    batched = np.concatenate([embed(found, items[part]) for part in batches(num_items)])
    alone = [embed(found, items[n : n + 1]) for n in range(min(NUM_ALONE, num_items))]
    difference = np.abs(np.concatenate(alone) - batched[: len(alone)]).max()
    return float((batched * expected).sum(axis=1).min()), float(difference)


def _sample(plain: Encoder, tower: Tower, number: int) -> tuple[Embed, Any]:
    if tower == "text":
        return _texts, texts(number, plain.context_length)
    return _levels, squares(number, plain.pixels.size)


def batches(num_items: int) -> Iterator[slice]:
    """The first item, the next two, the next three, ..."""
    start = 0
    for size in itertools.count(1):
        if start >= num_items:
            return
        yield slice(start, start + size)
        start += size


def texts(number: int, context: int) -> list[str]:
    """Of 1 to `context` − 2 words, each a token or more, in an order of no length."""
    random = np.random.default_rng(0)
    lengths = random.permutation([1 + n % (context - 2) for n in range(number)])
    return [" ".join(random.choice(WORDS, size=length)) for length in lengths]


def squares(number: int, side: int) -> np.ndarray:
    """Levels, uint8 [number, side, side, 3]."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (number, 1, 1, 3))
    noise = random.integers(-60, 60, (number, side, side, 1), dtype=np.int16)
    return (colours + noise).clip(0, 255).astype(np.uint8)


def encoder_of(config: ClipConfig) -> Encoder:
    """Random weights."""
    torch.manual_seed(0)
    tokenizer = train_wordpiece([" ".join(WORDS)] * 2, vocab_size=config.text.vocab_size)
    return Encoder(
        Clip(config),
        tokenizer,
        PixelConfig(size=config.vision.image_size),
        name="random",
        context_length=config.text.context_length,
        dim=config.embed_dim,
    )


def _texts(encoder: Encoder, items: list[str]) -> np.ndarray:
    return encoder.encode_tokens(encoder.tokenize(items), batch_size=len(items))


def _levels(encoder: Encoder, items: np.ndarray) -> np.ndarray:
    return encoder.encode_levels(items)
