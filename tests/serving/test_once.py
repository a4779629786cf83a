"""Equal items are computed once: the cache, and what is under way."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from figclip.serving.batches.batching import Pending, QueueFull
from figclip.serving.batches.once import ENTRY_BYTES, Once, VectorCache, content_key
from figclip.serving.protocol import Refusal, Vector

LATE = 100.0


def vector(value: float) -> Vector:
    return Vector(np.full(4, value, np.float32), 3, True)


@dataclass
class Asked:
    """What reached the model; a test answers it."""

    items: list[Any] = field(default_factory=list)
    pending: list[Pending[Vector | Refusal]] = field(default_factory=list)

    def __call__(self, item: Any, deadline: float) -> Pending[Vector | Refusal]:
        self.items.append(item)
        future: Pending[Vector | Refusal] = Pending(loop=asyncio.get_running_loop())
        future.deadline = deadline
        self.pending.append(future)
        return future

    def answer(self) -> None:
        for number, future in enumerate(self.pending):
            if not future.done():
                future.set_result(vector(number))


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 5))


def once_of(asked: Any, cache_bytes: int = 10_000, shares: bool = True) -> Once[Any]:
    cache = VectorCache(cache_bytes) if cache_bytes else None
    return Once(asked, model="m@1", cache=cache, shares=shares)


async def answers(once: Once[Any], asked: Asked, items: list[Any]) -> list[Any]:
    task = asyncio.create_task(once.embed(items, deadline=LATE))
    await asyncio.sleep(0)
    asked.answer()
    return [found.values[0] for found in await task]  # type: ignore[union-attr]


@pytest.mark.parametrize("items", [["a", "b", "a"], [b"a", b"b", b"a"]])
def test_what_was_asked_before_is_not_computed_again(items: list[Any]):
    async def prove() -> None:
        asked = Asked()
        once = once_of(asked)
        assert await answers(once, asked, items) == [0, 1, 0]
        assert await answers(once, asked, items[::-1]) == [0, 1, 0]
        assert asked.items == items[:2]
        [again] = await once.embed(items[:1], deadline=LATE)
        assert (again.num_tokens, again.is_truncated) == (3, True)  # type: ignore[union-attr]

    run(prove())


def test_without_a_cache_only_what_is_under_way_is_shared():
    async def prove() -> None:
        asked = Asked()
        once = once_of(asked, cache_bytes=0)
        await answers(once, asked, ["a", "a"])
        await answers(once, asked, ["a"])
        assert asked.items == ["a", "a"]

    run(prove())


def test_switched_off_every_item_is_computed():
    async def prove() -> None:
        asked = Asked()
        once = once_of(asked, cache_bytes=0, shares=False)
        assert await answers(once, asked, ["a", "a", "b"]) == [0, 1, 2]

    run(prove())


def test_a_caller_that_goes_away_takes_nothing_from_the_others():
    async def prove() -> None:
        asked = Asked()
        once = once_of(asked)
        first = asyncio.create_task(once.embed(["a"], deadline=LATE))
        second = asyncio.create_task(once.embed(["a", "b"], deadline=LATE))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert not asked.pending[0].cancelled()
        asked.answer()
        assert len(await second) == 2

    run(prove())


def test_when_the_last_caller_has_gone_the_item_is_dropped_and_may_be_asked_anew():
    async def prove() -> None:
        asked = Asked()
        once = once_of(asked)
        callers = [asyncio.create_task(once.embed(["a"], deadline=LATE)) for _ in range(2)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        assert asked.pending[0].cancelled()
        assert await answers(once, asked, ["a"]) == [1]

    run(prove())


def test_whoever_has_more_time_lends_it_to_those_who_ask_the_same():
    async def prove() -> None:
        asked = Asked()
        once = once_of(asked)
        tasks = [asyncio.create_task(once.embed(["a"], deadline=at)) for at in (1.0, 7.0, 3.0)]
        await asyncio.sleep(0)
        assert [future.deadline for future in asked.pending] == [7.0]
        asked.answer()
        await asyncio.gather(*tasks)

    run(prove())


def test_a_request_that_finds_no_room_takes_none():
    async def prove() -> None:
        asked = Asked()

        def submit(item: str, deadline: float) -> Pending[Vector | Refusal]:
            if len(asked.items) == 2:
                raise QueueFull(1)
            return asked(item, deadline)

        with pytest.raises(QueueFull):
            await once_of(submit).embed(["a", "b", "c"], deadline=LATE)
        assert all(future.cancelled() for future in asked.pending)

    run(prove())


def test_a_refusal_is_told_and_not_kept():
    async def prove() -> None:
        asked = Asked()
        once = once_of(asked)
        for number in range(2):
            task = asyncio.create_task(once.embed([b"x"], deadline=LATE))
            await asyncio.sleep(0)
            asked.pending[number].set_result(Refusal("it is broken"))
            assert await task == [Refusal("it is broken")]

    run(prove())


def test_the_cache_is_bounded_and_what_was_asked_for_longest_ago_goes():
    size = 16 + ENTRY_BYTES
    cache = VectorCache(3 * size)
    for number, key in enumerate((b"a", b"b", b"c")):
        cache.put(key, vector(number))
    assert cache.get(b"a") is not None
    cache.put(b"d", vector(3))
    assert cache.get(b"b") is None
    assert {key for key in (b"a", b"c", b"d") if cache.get(key)} == {b"a", b"c", b"d"}
    assert cache.num_bytes == 3 * size
    cache.put(b"e", Vector(np.zeros(10_000, np.float32)))
    assert len(cache) == 3, "what is larger than the cache does not empty it"


def test_a_kept_vector_does_not_keep_its_batch():
    cache = VectorCache(10_000)
    batch = np.ones((50, 4), np.float32)
    cache.put(b"a", Vector(batch[3]))
    found = cache.get(b"a")
    assert found is not None
    assert found.values.base is None


def test_keys_tell_models_kinds_and_contents_apart():
    things = [("m", "a"), ("m", b"a"), ("m@1", "a"), ("m", "ab"), ("m:text", ""), ("m", ":text")]
    assert len({content_key(*thing) for thing in things}) == len(things)
    assert content_key("m", "é") == content_key("m", "é")
