"""Batches out of many callers' items, on a fake clock and a plain loop."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from figclip.serving.batches.batching import Batcher, DeadlinePassed, QueueFull, Room


@dataclass
class Work:
    """Answers an item by its double, once it is let go; remembers its batches."""

    batches: list[list[int]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    now: float = 0.0

    async def __call__(self, items: list[int]) -> list[int | Exception]:
        self.batches.append(items)
        await self.gate.wait()
        return [2 * item for item in items]

    def clock(self) -> float:
        return self.now


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 5))


def batcher_of(work: Any, **room: int) -> Batcher[int, int]:
    usual = {"items": 4, "cost": 1_000, "queued": 100}
    clock = getattr(work, "clock", lambda: 0.0)
    return Batcher(work, room=Room(**{**usual, **room}), cost=lambda item: item, clock=clock)


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_items_that_come_together_go_together_and_get_their_own_answers():
    async def prove() -> None:
        work = Work()
        work.gate.set()
        batcher = batcher_of(work)
        answers = await asyncio.gather(*map(batcher.submit, range(10)))
        assert answers == [2 * item for item in range(10)]
        assert work.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    run(prove())


def test_while_one_batch_is_under_way_the_next_collects():
    async def prove() -> None:
        work = Work()
        batcher = batcher_of(work)
        first = batcher.submit(1)
        await turns()
        others = [batcher.submit(item) for item in (2, 3, 4)]
        await turns()
        assert work.batches == [[1]]
        work.gate.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
        assert work.batches == [[1], [2, 3, 4]]

    run(prove())


def test_as_many_batches_are_under_way_as_there_is_room_for():
    async def prove() -> None:
        work = Work()
        batcher = batcher_of(work, items=1, under_way=2)
        pending = [batcher.submit(item) for item in range(3)]
        await turns()
        assert work.batches == [[0], [1]]
        assert batcher.num_waiting == 1
        work.gate.set()
        await asyncio.gather(*pending)

    run(prove())


def test_a_batch_costs_no_more_than_it_may_and_a_dearer_item_goes_alone():
    async def prove() -> None:
        work = Work()
        work.gate.set()
        batcher = batcher_of(work, cost=10)
        await asyncio.gather(*map(batcher.submit, (4, 6, 1, 50, 3, 3)))
        assert work.batches == [[4, 6], [1], [50], [3, 3]]

    run(prove())


def test_beyond_its_room_the_queue_refuses_and_says_when_to_come_back():
    async def prove() -> None:
        work = Work()
        batcher = batcher_of(work, items=1, queued=2)
        waiting = [batcher.submit(1)]
        await turns()
        waiting += [batcher.submit(2), batcher.submit(3)]
        with pytest.raises(QueueFull) as caught:
            batcher.submit(4)
        assert caught.value.retry_after_s >= 1
        work.gate.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6]

    run(prove())


def test_the_time_to_come_back_follows_from_how_fast_batches_went():
    async def prove() -> None:
        work = Work()

        async def slow(items: list[int]) -> list[int]:
            await work.gate.wait()
            work.now += 5.0
            return items

        batcher: Batcher[int, int] = Batcher(
            slow, room=Room(items=1, cost=9, queued=3), clock=work.clock
        )
        first = batcher.submit(1)
        await turns()
        work.gate.set()
        await first
        work.gate.clear()
        batcher.submit(1)
        await turns()
        for item in (2, 3, 4):
            batcher.submit(item)
        with pytest.raises(QueueFull) as caught:
            batcher.submit(5)
        assert caught.value.retry_after_s == 15, "three wait, each takes five seconds"

    run(prove())


def test_an_item_that_was_cancelled_is_not_computed_and_leaves_its_place():
    async def prove() -> None:
        work = Work()
        batcher = batcher_of(work, items=1, queued=2)
        first = batcher.submit(1)
        await turns()
        gone, stays = batcher.submit(2), batcher.submit(3)
        gone.cancel()
        last = batcher.submit(4)
        work.gate.set()
        assert await asyncio.gather(first, stays, last) == [2, 6, 8]
        assert work.batches == [[1], [3], [4]]

    run(prove())


def test_an_item_whose_time_is_over_is_not_computed():
    async def prove() -> None:
        work = Work()
        batcher = batcher_of(work)
        first = batcher.submit(1)
        await turns()
        late, later = batcher.submit(2, deadline=1.0), batcher.submit(3, deadline=3.0)
        work.now = 2.0
        work.gate.set()
        assert await later == 6
        with pytest.raises(DeadlinePassed):
            await late
        assert (await first, work.batches) == (2, [[1], [3]])

    run(prove())


def test_a_deadline_may_be_put_off_while_the_item_waits():
    async def prove() -> None:
        work = Work()
        batcher = batcher_of(work)
        first = batcher.submit(1)
        await turns()
        late = batcher.submit(2, deadline=1.0)
        late.deadline = 5.0
        work.now = 2.0
        work.gate.set()
        assert await asyncio.gather(first, late) == [2, 4]

    run(prove())


def test_a_batch_that_fails_harms_no_other_batch():
    async def prove() -> None:
        async def work(items: list[int]) -> list[int]:
            if 3 in items:
                raise ValueError("three")
            return items

        batcher = batcher_of(work, items=2)
        found = await asyncio.gather(*map(batcher.submit, (1, 2, 3, 4, 5)), return_exceptions=True)
        assert [repr(one) for one in found] == [
            *("1", "2"),
            *("ValueError('three')", "ValueError('three')", "5"),
        ]

    run(prove())


def test_an_answer_that_is_an_error_is_raised_for_its_item_alone():
    async def prove() -> None:
        async def work(items: list[int]) -> list[int | Exception]:
            return [KeyError(item) if item == 2 else item for item in items]

        batcher = batcher_of(work)
        found = await asyncio.gather(*map(batcher.submit, (1, 2, 3)), return_exceptions=True)
        assert [repr(one) for one in found] == ["1", "KeyError(2)", "3"]

    run(prove())


def test_a_work_that_loses_an_answer_is_an_error_and_nobody_waits_for_ever():
    async def prove() -> None:
        async def work(items: list[int]) -> list[int]:
            return items[1:]

        batcher = batcher_of(work)
        found = await asyncio.gather(*map(batcher.submit, (1, 2)), return_exceptions=True)
        assert all(isinstance(one, RuntimeError) for one in found)

    run(prove())


def test_nothing_that_was_accepted_is_lost_when_it_closes():
    async def prove() -> None:
        work = Work()
        batcher = batcher_of(work, items=2)
        pending = [batcher.submit(item) for item in range(5)]
        asyncio.get_running_loop().call_later(0.01, work.gate.set)
        await batcher.close()
        assert [future.result() for future in pending] == [0, 2, 4, 6, 8]

    run(prove())
