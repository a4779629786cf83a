"""Work that waits for the network and work that needs the CPU, side by side in one process.

A piece of work is a generator: it yields calls that fetch something, and is sent their futures when
all have ended. Calls run in threads, for several pieces at a time; what stands between two `yield`s
runs in the caller's thread, so a process never computes on more than one core.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Call = Callable[[], Any]
Work = Generator[Sequence[Call], Sequence[Future[Any]], T]


class _UnderWay(Generic[T]):
    """A piece of work: what it waits for, or what it gave."""

    def __init__(self, work: Work[T], pool: ThreadPoolExecutor) -> None:
        self._work = work
        self._pool = pool
        self.futures: list[Future[Any]] | None = None
        self.values: list[T] = []
        self._submit(lambda: next(work))

    @property
    def has_ended(self) -> bool:
        return self.futures is None

    @property
    def can_go_on(self) -> bool:
        return self.futures is not None and all(future.done() for future in self.futures)

    def go_on(self) -> None:
        """Hand over what was fetched; runs up to the next thing that must be waited for."""
        answers, self.futures = self.futures or [], None
        self._submit(lambda: self._work.send(answers))

    def _submit(self, step: Callable[[], Sequence[Call]]) -> None:
        try:
            calls = step()
        except StopIteration as end:
            self.values.append(end.value)
            return
        self.futures = [self._pool.submit(call) for call in calls]

    def abandon(self) -> None:
        for future in self.futures or ():
            future.cancel()
        self._work.close()


def in_order(works: Iterable[Work[T]], *, num_threads: int, num_ahead: int) -> Iterator[T]:
    """What each piece of work gives, in their order.

    At most `num_ahead` pieces are under way, finished ones that wait for their turn included, and
    at most `num_threads` calls. What a piece raises is raised here; the others are abandoned.
    """
    waiting = iter(works)
    under_way: deque[_UnderWay[T]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            while True:
                while len(under_way) < num_ahead and (work := next(waiting, None)) is not None:
                    under_way.append(_UnderWay(work, pool))
                if not under_way:
                    return
                if under_way[0].has_ended:
                    yield under_way.popleft().values[0]
                elif (ready := next((w for w in under_way if w.can_go_on), None)) is not None:
                    ready.go_on()
                else:
                    _wait_for_any(under_way)
        finally:
            for work_left in under_way:
                work_left.abandon()


def _wait_for_any(under_way: Iterable[_UnderWay[T]]) -> None:
    pending = [f for work in under_way for f in work.futures or () if not f.done()]
    wait(pending, return_when=FIRST_COMPLETED)
