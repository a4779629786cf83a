"""Items of many callers in batches: while some are under way, the next one collects.

Pure asyncio, on one event loop, without a cluster: a gateway makes one call of many requests by it,
a replica one pass of its model of many calls.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

NO_DEADLINE = math.inf
RATE_WEIGHT = 0.2
"""Of the newest batch in the rate by which a time to come back is guessed."""
LONGEST_RETRY_S = 60


class QueueFull(Exception):
    """No room to wait; `retry_after_s` is when there is likely to be."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"the queue is full: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class DeadlinePassed(Exception):
    """The item's time was over before its turn came; nothing was computed for it."""


@dataclass(frozen=True)
class Room:
    """How much goes together, and how much may wait."""

    items: int
    """The most items of one batch."""
    cost: int
    """The most that the items of one batch cost together (tokens, bytes); a dearer one goes
    alone."""
    queued: int
    """Items that may wait for a batch; those beyond are refused."""
    under_way: int = 1
    """Batches that are worked on at once."""


class Pending(asyncio.Future[Answer]):
    """An answer to come; a later `deadline` may be set while the item waits."""

    deadline: float = NO_DEADLINE


@dataclass(eq=False)
class _Waiting(Generic[Item, Answer]):
    item: Item
    cost: int
    future: Pending[Answer]


class Batcher(Generic[Item, Answer]):
    """`submit` an item, await its answer; `work` gets a list of items and gives as many answers.

    First come, first served. An item that was cancelled, or whose deadline (by `clock`) has passed,
    is dropped before its batch begins. Whatever `work` raises, all items of its batch raise; one
    answer that is an `Exception` is raised for its own item alone.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        room: Room,
        cost: Callable[[Item], int] = lambda _: 1,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[int, int], None] = lambda items, cost: None,
    ) -> None:
        self._work = work
        self._room = room
        self._cost = cost
        self._clock = clock
        self._observe = observe
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_woken = False
        self._items_per_s = 0.0

    @property
    def num_waiting(self) -> int:
        return len(self._queue)

    def submit(self, item: Item, *, deadline: float = NO_DEADLINE) -> Pending[Answer]:
        """The answer to come; cancel it, and the item is dropped unless its batch has begun.

        `QueueFull` where there is no room. It raises `DeadlinePassed` if that happens.
        """
        if len(self._queue) >= self._room.queued:
            self._forget_the_dead()
        if len(self._queue) >= self._room.queued:
            raise QueueFull(self._retry_after_s())
        future: Pending[Answer] = Pending(loop=asyncio.get_running_loop())
        future.deadline = deadline
        self._queue.append(_Waiting(item, self._cost(item), future))
        self._wake()
        return future

    async def close(self) -> None:
        """Wait for what is queued and under way: nothing accepted is lost."""
        while self._under_way or self._queue:
            await asyncio.sleep(0)
            if self._under_way:
                await asyncio.wait(self._under_way)

    def _wake(self) -> None:
        """Once a turn of the loop, so that items that come together go together."""
        if not self._is_woken:
            self._is_woken = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._is_woken = False
        while len(self._under_way) < self._room.under_way and (batch := self._next()):
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if self._queue:
            self._wake()

    def _next(self) -> "list[_Waiting[Item, Answer]]":
        """What has waited longest, as long as there is room for it."""
        batch: list[_Waiting[Item, Answer]] = []
        cost, now = 0, self._clock()
        while self._queue and len(batch) < self._room.items:
            first = self._queue[0]
            if _is_dead(first, now):
                _bury(self._queue.popleft())
            elif batch and cost + first.cost > self._room.cost:
                break
            else:
                batch.append(self._queue.popleft())
                cost += first.cost
        return batch

    def _forget_the_dead(self) -> None:
        now = self._clock()
        living: deque[_Waiting[Item, Answer]] = deque()
        for waiting in self._queue:
            if _is_dead(waiting, now):
                _bury(waiting)
            else:
                living.append(waiting)
        self._queue = living

    async def _run(self, batch: "list[_Waiting[Item, Answer]]") -> None:
        start = self._clock()
        self._observe(len(batch), sum(waiting.cost for waiting in batch))
        try:
            answers = await self._work([waiting.item for waiting in batch])
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(answers)} answers to a batch of {len(batch)}")
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.future.cancel()
            raise
        except Exception as error:
            _fail(batch, error)
        else:
            for waiting, answer in zip(batch, answers, strict=True):
                _settle(waiting.future, answer)
            self._learn(len(batch), self._clock() - start)

    def _learn(self, num_items: int, seconds: float) -> None:
        rate = self._room.under_way * num_items / max(seconds, 1e-6)
        old = self._items_per_s or rate
        self._items_per_s = (1 - RATE_WEIGHT) * old + RATE_WEIGHT * rate

    def _retry_after_s(self) -> int:
        if not self._items_per_s:
            return 1
        return max(1, min(LONGEST_RETRY_S, math.ceil(len(self._queue) / self._items_per_s)))


def _is_dead(waiting: _Waiting[Item, Answer], now: float) -> bool:
    return waiting.future.done() or waiting.future.deadline <= now


def _bury(waiting: _Waiting[Item, Answer]) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(DeadlinePassed("its time was over before its turn came"))


def _settle(future: Pending[Answer], answer: Answer | Exception) -> None:
    if future.done():  # cancelled while its batch was under way
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _fail(batch: Iterable[_Waiting[Item, Answer]], error: Exception) -> None:
    for waiting in batch:
        _settle(waiting.future, error)
