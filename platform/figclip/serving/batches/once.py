"""What was asked before, or is being asked now, is computed once: a cache by content, in memory.

The rule is one for texts and images: sha256 of the content, of its kind, and of the model with its
version. Neither text nor picture is kept, only that number and the vector.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from figclip.serving.batches.batching import Pending
from figclip.serving.protocol import Refusal, Vector

Item = TypeVar("Item", str, bytes)

ENTRY_BYTES = 400
"""What an entry takes besides its numbers: keys, objects, and their place in the table."""


class VectorCache:
    """Vectors by content, at most so many bytes of them; what was asked for longest ago goes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, key: bytes) -> Vector | None:
        found = self._vectors.get(key)
        if found is not None:
            self._vectors.move_to_end(key)
        return found

    def put(self, key: bytes, vector: Vector) -> None:
        size = _size(vector)
        if size > self._max_bytes or key in self._vectors:
            return
        # A row of a batch would keep the whole batch alive.
        self._vectors[key] = replace(vector, values=vector.values.copy())
        self.num_bytes += size
        while self.num_bytes > self._max_bytes:
            _, oldest = self._vectors.popitem(last=False)
            self.num_bytes -= _size(oldest)


def _size(vector: Vector) -> int:
    return int(vector.values.nbytes) + ENTRY_BYTES


def content_key(model: str, item: str | bytes) -> bytes:
    """The same for equal contents only, of one kind, of one model."""
    kind = "text" if isinstance(item, str) else "image"
    digest = hashlib.sha256(f"{len(model)}:{model}:{kind}:".encode())
    digest.update(item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item)
    return digest.digest()


@dataclass(eq=False)
class _Shared:
    """An answer to come, and how many wait for it."""

    future: Pending[Vector | Refusal]
    num_waiting: int = 0


class Once(Generic[Item]):
    """Embeds each distinct item once: the cache first, then what is under way, then `submit`.

    A caller that goes away takes nothing from the others; when the last one has gone, the item is
    cancelled. A refusal is told to those who wait, and not kept: it may have been the hour's.
    """

    def __init__(
        self,
        submit: Callable[[Item, float], Pending[Vector | Refusal]],
        *,
        model: str,
        cache: VectorCache | None,
        shares: bool = True,
        count: Callable[[str, int], None] = lambda event, items: None,
    ) -> None:
        """`model` names the version as well; `shares` false computes equal items again and again.

        `count` is told of every event: `hit`, `shared` and `miss`, and of how many items.
        """
        self._submit: Callable[[Item, float], Pending[Vector | Refusal]] = submit
        self._model = model
        self._cache = cache
        self._shares = shares
        self._count = count
        self._under_way: dict[bytes, _Shared] = {}

    async def embed(self, items: Sequence[Item], *, deadline: float) -> list[Vector | Refusal]:
        """In the order of the items; raises what `submit` does, or the first item's error."""
        if self._cache is None and not self._shares:
            return await _all([self._submit(item, deadline) for item in items])
        keys = [content_key(self._model, item) for item in items]
        found = [self._cache.get(key) if self._cache is not None else None for key in keys]
        self._count("hit", sum(vector is not None for vector in found))
        shared: list[tuple[int, _Shared]] = []
        try:
            for place, (key, item) in enumerate(zip(keys, items, strict=True)):
                if found[place] is None:
                    one = self._asked(key, item, deadline)
                    one.num_waiting += 1
                    shared.append((place, one))
            answers = await _shielded([one.future for _, one in shared])
        finally:
            for _, one in shared:
                one.num_waiting -= 1
                if not one.num_waiting and not one.future.done():
                    one.future.cancel()
        by_place = dict(zip((place for place, _ in shared), answers, strict=True))
        return [by_place.get(place) or vector for place, vector in enumerate(found)]  # type: ignore[misc]

    def _asked(self, key: bytes, item: Item, deadline: float) -> _Shared:
        one = self._under_way.get(key) if self._shares else None
        # Cancelled by its last caller in this very turn of the loop: it is asked anew.
        if one is not None and not one.future.done():
            self._count("shared", 1)
            one.future.deadline = max(one.future.deadline, deadline)
            return one
        self._count("miss", 1)
        one = _Shared(self._submit(item, deadline))
        if self._shares:
            self._under_way[key] = one
        one.future.add_done_callback(lambda future: self._keep(key, future))
        return one

    def _keep(self, key: bytes, future: Pending[Vector | Refusal]) -> None:
        one = self._under_way.get(key)
        if one is not None and one.future is future:
            del self._under_way[key]
        if self._cache is None or future.cancelled() or future.exception() is not None:
            return
        answer = future.result()
        if isinstance(answer, Vector):
            self._cache.put(key, answer)


async def _all(
    futures: list[Pending[Vector | Refusal]],
) -> list[Vector | Refusal]:
    """Their results; when this is cancelled, or one fails, those that are left are dropped."""
    try:
        return list(await asyncio.gather(*futures))
    finally:
        for future in futures:
            future.cancel()


async def _shielded(
    futures: list[Pending[Vector | Refusal]],
) -> list[Vector | Refusal]:
    """Their results; that this is cancelled, or one fails, is nothing to the others."""
    return list(await asyncio.gather(*map(asyncio.shield, futures)))
