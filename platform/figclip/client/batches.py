"""Items put together into requests: so many, and so many bytes, at most; and asked side by side."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def batches(
    items: Iterable[T], size_of: Callable[[T], int], *, most: int, most_bytes: int
) -> Iterator[list[T]]:
    """The items in their order, `most` at once, and together no more than `most_bytes`.

    One that is larger than that alone is a batch of its own: the server judges it.
    """
    batch: list[T] = []
    num_bytes = 0
    for item in items:
        size = size_of(item)
        if batch and (len(batch) == most or num_bytes + size > most_bytes):
            yield batch
            batch, num_bytes = [], 0
        batch.append(item)
        num_bytes += size
    if batch:
        yield batch


def side_by_side(
    pool: Executor, work: Callable[[T], R], items: Iterable[T], *, at_once: int
) -> Iterator[R]:
    """`map`, in the order of the items, with at most `at_once` of them taken and not yet given.

    So a long iterator of pictures is never read far ahead. The first error ends it: what has begun
    is awaited and dropped, the rest is never begun.
    """
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def halves(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    middle = len(items) // 2
    return items[:middle], items[middle:]
