"""A model at work in a replica: texts in batches by tokens, decoded pictures by their count.

No Ray here. Torch runs in one thread of its own and the loop answers all the while; what has to be
prepared (tokens, decoded pictures) is prepared while the batch before it is under way.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pydantic import PositiveInt

from figclip.config import Config
from figclip.serving.batches.batching import Batcher, DeadlinePassed, Room
from figclip.serving.batches.decoding import Decoders
from figclip.serving.batches.transit import Answer, Answers, packed
from figclip.serving.meter import Meter, NoMeter
from figclip.serving.protocol import Refusal, Vector

if TYPE_CHECKING:
    from torch import Tensor

    from figclip.embedding.encoder import Encoder

R = TypeVar("R")
NO_METER: Meter = NoMeter()

UNBOUNDED = 2**62
"""Items that wait in a replica: the gateways' own queues are bounded, and send a few calls each."""


class BatchConfig(Config):
    """How much goes through a model at once."""

    tokens: PositiveInt = 4_096
    """Of the texts of one pass together: padding costs nothing, tokens do."""
    images: PositiveInt = 32
    """Of one pass."""


@dataclass(frozen=True)
class Tokens:
    """A text, cut."""

    ids: "Tensor"
    """int64 [context]."""
    mask: "Tensor"
    """bool [context]."""
    num_read: int
    """Tokens within the context."""
    num_tokens: int
    """Of the whole text."""


class _Model:
    """What both kinds share: an encoder, and the one thread in which it runs."""

    def __init__(self, encoder: "Encoder", clock: Callable[[], float]) -> None:
        self.encoder = encoder
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def check(self) -> None:
        """Returns when the model's thread answers."""
        await self._in_thread(int)

    async def _in_thread(self, call: Callable[..., R], *args: object) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    def _deadlines(self, left_s: Sequence[float]) -> list[float]:
        """By this machine's clock: gateways say how much time there is, not when it ends."""
        now = self._clock()
        return [now + left for left in left_s]


class TextModel(_Model):
    def __init__(
        self,
        encoder: "Encoder",
        config: BatchConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        meter: Meter = NO_METER,
    ) -> None:
        super().__init__(encoder, clock)
        self._cutting = ThreadPoolExecutor(1, thread_name_prefix="cut")
        self._batcher: Batcher[Tokens, Vector] = Batcher(
            self._embedded,
            room=Room(items=config.tokens, cost=config.tokens, queued=UNBOUNDED),
            cost=lambda tokens: tokens.num_read,
            clock=clock,
            observe=lambda size, _: meter.observe("figclip_batch_items", size, kind="text"),
        )

    async def embed(self, texts: Sequence[str], left_s: Sequence[float]) -> Answers:
        """`left_s`: seconds, of each text, after which nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        cut = await loop.run_in_executor(self._cutting, self._cut, texts)
        pending = [
            self._batcher.submit(tokens, deadline=deadline)
            for tokens, deadline in zip(cut, self._deadlines(left_s), strict=True)
        ]
        return packed(await settled(pending), dim=self.encoder.dim)

    def _cut(self, texts: Sequence[str]) -> list[Tokens]:
        batch = self.encoder.tokenize(texts)
        most = self.encoder.context_length
        rows = zip(batch.ids, batch.mask, batch.num_tokens.tolist(), strict=True)
        return [Tokens(ids, mask, min(number, most), number) for ids, mask, number in rows]

    async def _embedded(self, batch: list[Tokens]) -> list[Vector]:
        vectors = await self._in_thread(self._vectors, batch)
        return [
            Vector(values, tokens.num_read, tokens.num_tokens > tokens.num_read)
            for values, tokens in zip(vectors, batch, strict=True)
        ]

    def _vectors(self, batch: list[Tokens]) -> np.ndarray:
        import torch

        from figclip.inputs.tokens import TokenBatch

        return self.encoder.encode_tokens(
            TokenBatch(
                torch.stack([tokens.ids for tokens in batch]),
                torch.stack([tokens.mask for tokens in batch]),
                torch.tensor([tokens.num_tokens for tokens in batch]),
            )
        )


class ImageModel(_Model):
    def __init__(
        self,
        encoder: "Encoder",
        config: BatchConfig,
        decoders: Decoders,
        *,
        clock: Callable[[], float] = time.monotonic,
        meter: Meter = NO_METER,
    ) -> None:
        super().__init__(encoder, clock)
        self.decoders = decoders
        self._batcher: Batcher[np.ndarray, Vector] = Batcher(
            self._embedded,
            room=Room(items=config.images, cost=config.images, queued=UNBOUNDED),
            clock=clock,
            observe=lambda size, _: meter.observe("figclip_batch_items", size, kind="image"),
        )

    async def embed(self, images: Sequence[bytes], left_s: Sequence[float]) -> Answers:
        """As of texts; `Refusal` for a picture that cannot be decoded, and it harms no other."""
        wanted = zip(images, self._deadlines(left_s), strict=True)
        found = await asyncio.gather(*(self._answer(*one) for one in wanted))
        return packed(found, dim=self.encoder.dim)

    async def _answer(self, data: bytes, deadline: float) -> Answer:
        levels = await self.decoders.decode(data, is_wanted=lambda: self._clock() < deadline)
        if levels is None:
            return DeadlinePassed("its time was over before it was decoded")
        if isinstance(levels, Refusal):
            return levels
        [answer] = await settled([self._batcher.submit(levels, deadline=deadline)])
        return answer

    async def _embedded(self, batch: list[np.ndarray]) -> list[Vector]:
        vectors = await self._in_thread(self._vectors, batch)
        return [Vector(values) for values in vectors]

    def _vectors(self, batch: list[np.ndarray]) -> np.ndarray:
        return self.encoder.encode_levels(np.stack(batch))


async def settled(pending: "Sequence[asyncio.Future[Vector]]") -> list[Answer]:
    """A passed deadline is an answer of its item; any other error is one of the whole call.

    When the call is cancelled, what has not begun is dropped.
    """
    try:
        found = await asyncio.gather(*pending, return_exceptions=True)
    finally:
        for future in pending:
            future.cancel()
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, DeadlinePassed):
            raise one
    return found  # type: ignore[return-value]
