"""The open index of a running service, exchanged for a newer one while it is searched."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from figclip.config import UsageError
from figclip.embedding.index.opened import FigureIndex, Kind, encoder_of, open_index
from figclip.store import Store

log = logging.getLogger(__name__)

NUM_CHECKED = 3
"""Figures by which a newly opened index is tried."""


@dataclass
class _Held:
    version: str
    index: FigureIndex
    num_leases: int = 0


class IndexHolder:
    """One index at a time; safe to share among threads.

    A search leases the index that is current when it begins and keeps it to its end. `swap` opens
    and tries the next one beside it, and only then is that one the current; the old one is let go
    when its last search has ended. Both are open for that while: their memory is needed twice.
    """

    def __init__(self, open_version: Callable[[str], FigureIndex], version: str) -> None:
        """`open_version` opens a published index; `UsageError` where this one cannot be served."""
        self._open_version = open_version
        self._lock = threading.Lock()
        self._swapping = threading.Lock()
        self._current = _Held(version, self._tried(version))

    @property
    def version(self) -> str:
        """Of the current index."""
        with self._lock:
            return self._current.version

    def told(self) -> str:
        """What is served, for people."""
        with self.lease() as (index, version):
            return f"{index.facts.num_figures:,} figures · index {version}"

    @contextmanager
    def lease(self) -> Iterator[tuple[FigureIndex, str]]:
        """The current index and its version, which stay open for the body."""
        with self._lock:
            held = self._current
            held.num_leases += 1
        try:
            yield held.index, held.version
        finally:
            with self._lock:
                held.num_leases -= 1
                self._let_go(held)

    def swap(self, version: str) -> None:
        """Serve another version from now on; `UsageError` where it cannot be, and the current one
        stays."""
        with self._swapping:
            if version == self.version:
                return
            opened = _Held(version, self._tried(version))
            with self._lock:
                old, self._current = self._current, opened
                self._let_go(old)
        log.info("index %s is served now, %s was before", version, old.version)

    def _let_go(self, held: _Held) -> None:
        if held is not self._current and not held.num_leases:
            held.index.close()

    def _tried(self, version: str) -> FigureIndex:
        """Opened, and searched once in every way."""
        try:
            index = self._open_version(version)
            check(index)
        except UsageError:
            raise
        except Exception as error:  # whatever the table's reader runs into
            raise UsageError(
                f"index@{version} cannot be read ({_first_line(error)}): bring its files back, or "
                f"build it anew under a new version"
            ) from error
        return index


def check(index: FigureIndex) -> None:
    """Find a few figures by their own vectors and words, and read all that is shown of them.

    `RuntimeError` where a figure is not the nearest to itself, and whatever reading runs into.
    """
    num = index.facts.num_figures
    places = sorted({i * max(0, num - 1) // max(1, NUM_CHECKED - 1) for i in range(NUM_CHECKED)})
    for row in index.rows([place for place in places if place < num]):
        pair_id = row["pair_id"]
        vector, picture = index.vector(pair_id), index.thumbnail(pair_id)
        if vector is None or not picture:
            raise RuntimeError(f"{pair_id} is not found by its id")
        best = index.search(vector, k=1)
        if not best or best[0].score < 1 - 1e-3:
            raise RuntimeError(f"{pair_id} is not the nearest to itself")
        index.worded(row["caption"].lower().split()[:3], k=1)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]


def opener(store: Store, encoder: str, *, kind: Kind = "lance") -> Callable[[str], FigureIndex]:
    """Opens versions of the index whose vectors one encoder has made; `UsageError` for others, in
    which that encoder's queries would find nonsense."""

    def open_version(version: str) -> FigureIndex:
        if (made_by := encoder_of(store, version)) != encoder:
            raise UsageError(
                f"index@{version} holds vectors of encoder@{made_by}, and the service embeds by "
                f"encoder@{encoder}: start a service of that encoder for it"
            )
        return open_index(store, version, kind=kind)

    return open_version


def newest_index(store: Store) -> str:
    """The version that was published last."""
    return store.versions("index")[-1]


async def follow(holder: IndexHolder, newest: Callable[[], str], *, every_s: float) -> None:
    """Serve the newest version, for ever: looked for every so many seconds.

    One that cannot be served is said once in the log, and tried no more until there is a newer one.
    """
    refused = ""
    while True:
        await asyncio.sleep(every_s)
        try:
            version = await asyncio.to_thread(newest)
            if version not in (refused, holder.version):
                refused = version
                await asyncio.to_thread(holder.swap, version)
                refused = ""
        except UsageError as error:
            log.error("index %s goes on being served: %s", holder.version, error)
        except Exception:  # the store does not answer; it is asked again
            log.exception("no newer index could be looked for; %s is served", holder.version)
