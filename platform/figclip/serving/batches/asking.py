"""Between a request and a model: once for equal items, in batches, bounded, and not after its time.

One `Asking` a model stands in every gateway. No Ray here: a model is a callable that takes a batch.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from figclip.config import Config
from figclip.serving.batches.batching import Batcher, DeadlinePassed, Pending, QueueFull, Room
from figclip.serving.batches.once import Once, VectorCache
from figclip.serving.batches.transit import Answers
from figclip.serving.meter import Meter, NoMeter
from figclip.serving.protocol import ApiError, Refusal, Vector

log = logging.getLogger(__name__)

Item = TypeVar("Item", str, bytes)
Call = Callable[[list[Item], list[float]], Awaitable[Answers]]
"""Items, and how many seconds each has left → their answers; `ModelGone` where none came."""

NO_METER: Meter = NoMeter()

TRIES = 3
"""A model's replica may end with our call under way: another one takes it."""
PAUSE_S = 0.2


class ModelGone(Exception):
    """The replica that had the call has gone; to ask again does no harm."""


class AskingConfig(Config):
    """What a gateway holds back, shares and keeps."""

    items_per_call: PositiveInt = 64
    """The most that go to a replica in one call."""
    bytes_per_call: PositiveInt = 8 * 2**20
    """Of images, in one call; a larger one goes alone."""
    calls_under_way: PositiveInt = 2
    """To each replica: one is worked on, the next one is there when it ends."""
    queued_items: PositiveInt = 512
    """Texts, and images, that wait in each gateway; those beyond are answered 429."""
    max_wait_s: PositiveFloat = 30.0
    """After so long an item is not computed any more. Of a request that is given up before, nothing
    is computed that has not begun."""
    cache_bytes: NonNegativeInt = 256 * 2**20
    """Of vectors kept by each gateway, for texts and images that were asked before; 0: none."""
    is_shared: bool = True
    """Equal items that are asked at the same time are computed once."""


class _Kind(Generic[Item]):
    """Texts, or images, of one model."""

    def __init__(
        self,
        call: Call[Item],
        config: AskingConfig,
        *,
        model: str,
        replicas: int,
        cache: VectorCache | None,
        clock: Callable[[], float],
        kind: str,
        meter: Meter,
    ) -> None:
        self._call: Call[Item] = call
        self._config = config
        self._clock = clock
        self._batcher: Batcher[tuple[Item, float], Vector | Refusal] = Batcher(
            self._asked,
            room=Room(
                items=config.items_per_call,
                cost=config.bytes_per_call,
                queued=config.queued_items,
                under_way=config.calls_under_way * replicas,
            ),
            cost=lambda item: len(item[0]),
            clock=clock,
        )
        self._once: Once[Item] = Once(
            self._submit,
            model=model,
            cache=cache,
            shares=config.is_shared,
            count=lambda outcome, number: meter.count(
                "figclip_cache", number, kind=kind, outcome=outcome
            ),
        )
        self._anew: Once[Item] = Once(self._submit, model=model, cache=None, shares=False)
        self._tell_waiting = lambda: meter.level(
            "figclip_queued_items", self._batcher.num_waiting, kind=kind
        )

    async def embed(self, items: list[Item], *, anew: bool = False) -> list[Vector | Refusal]:
        deadline = self._clock() + self._config.max_wait_s
        once = self._anew if anew else self._once
        try:
            return await once.embed(items, deadline=deadline)
        except QueueFull as error:
            raise ApiError(
                429,
                "too many requests: try again later",
                code="queue_full",
                retry_after_s=error.retry_after_s,
            ) from error
        except DeadlinePassed as error:
            raise ApiError(
                503,
                "the request's time was over before its turn came: try again",
                code="deadline_passed",
                retry_after_s=1,
            ) from error
        except ModelGone as error:
            raise ApiError(
                503, "no model is running: try again", code="no_model", retry_after_s=5
            ) from error

    def _submit(self, item: Item, deadline: float) -> Pending[Vector | Refusal]:
        return self._batcher.submit((item, deadline), deadline=deadline)

    async def _asked(self, batch: list[tuple[Item, float]]) -> list[Vector | Refusal | Exception]:
        self._tell_waiting()
        items = [item for item, _ in batch]
        for left in reversed(range(TRIES)):
            now = self._clock()
            try:
                answers = await self._call(items, [deadline - now for _, deadline in batch])
                return list(answers.unpacked())
            except ModelGone:
                if not left:
                    raise
                log.warning(
                    "a model's replica has gone with %d items: they are asked anew", len(items)
                )
                await asyncio.sleep(PAUSE_S)
        raise AssertionError("there is at least one try")


class Asking:
    """The two callables of a model that the routes are given."""

    def __init__(
        self,
        texts: Call[str],
        images: Call[bytes],
        config: AskingConfig,
        *,
        model: str,
        text_replicas: int = 1,
        image_replicas: int = 1,
        cache: VectorCache | None = None,
        clock: Callable[[], float] = time.monotonic,
        meter: Meter = NO_METER,
    ) -> None:
        """`model` names the version as well: what is kept of another is not taken for its own."""
        self._texts: _Kind[str] = _Kind(
            texts,
            config,
            model=model,
            replicas=text_replicas,
            cache=cache,
            clock=clock,
            kind="text",
            meter=meter,
        )
        self._images: _Kind[bytes] = _Kind(
            images,
            config,
            model=model,
            replicas=image_replicas,
            cache=cache,
            clock=clock,
            kind="image",
            meter=meter,
        )

    async def embed_texts(self, texts: list[str]) -> list[Vector | Refusal]:
        return await self._texts.embed(texts)

    async def embed_images(self, images: list[bytes]) -> list[Vector | Refusal]:
        return await self._images.embed(images)

    async def embed_texts_anew(self, texts: list[str]) -> list[Vector | Refusal]:
        """Whatever is kept of them: to see that the model answers."""
        return await self._texts.embed(texts, anew=True)

    async def embed_images_anew(self, images: list[bytes]) -> list[Vector | Refusal]:
        return await self._images.embed(images, anew=True)
