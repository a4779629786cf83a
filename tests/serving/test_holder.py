"""An index exchanged for another while it is searched."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from serving_fakes import row_of, unit
from small_index import small_index

from figclip.config import UsageError
from figclip.embedding.index.opened import FigureIndex
from figclip.serving.search.holder import IndexHolder, follow


def rows(version: str) -> list[dict]:
    return [row_of(n, title=version) for n in range(6)]


class Shelf:
    """Versions that can be opened, and what became of those that were."""

    def __init__(self) -> None:
        self.opened: dict[str, FigureIndex] = {}
        self.closed: list[str] = []

    def open(self, version: str) -> FigureIndex:
        if version == "absent":
            raise UsageError("index@absent is not published")
        index = small_index(rows(version), has_words=True)
        if version == "broken":
            index.vector = lambda pair_id: unit(b"another")  # type: ignore[method-assign]
        close: Callable[[], None] = index.close

        def closing() -> None:
            self.closed.append(version)
            close()

        index.close = closing  # type: ignore[method-assign]
        self.opened[version] = index
        return index


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def title(index: FigureIndex) -> str:
    return index.rows([0])[0]["title"]


def test_a_search_keeps_the_index_it_began_with_and_the_next_has_the_new_one(shelf: Shelf):
    holder = IndexHolder(shelf.open, "1")
    with holder.lease() as (old, version):
        holder.swap("2")
        assert shelf.closed == []
        assert (title(old), version) == ("1", "1")
        with holder.lease() as (new, version):
            assert (title(new), version) == ("2", "2")
        assert shelf.closed == []
    assert shelf.closed == ["1"]
    holder.swap("3")
    assert shelf.closed == ["1", "2"]


@pytest.mark.parametrize(
    ("version", "why"), [("absent", "not published"), ("broken", "not the nearest to itself")]
)
def test_a_version_that_cannot_be_served_leaves_the_old_one(shelf: Shelf, version: str, why: str):
    holder = IndexHolder(shelf.open, "1")
    with pytest.raises(UsageError, match=why):
        holder.swap(version)
    assert holder.version == "1"
    assert "1" not in shelf.closed
    with holder.lease() as (index, _):
        assert title(index) == "1"


def test_swapping_under_load_loses_no_search(shelf: Shelf):
    holder = IndexHolder(shelf.open, "0")
    is_over, wrong, counts = threading.Event(), [], []

    def search() -> None:
        done = 0
        while not is_over.is_set():
            try:
                with holder.lease() as (index, version):
                    if {hit.row["title"] for hit in index.search(unit(b"x"), k=6)} != {version}:
                        wrong.append(version)
            except Exception as error:
                wrong.append(error)
            done += 1
        counts.append(done)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 6):
        holder.swap(str(number))
    is_over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert min(counts) > 0
    assert shelf.closed == ["0", "1", "2", "3", "4"]


def test_the_newest_is_followed_and_a_bad_one_tried_once(shelf: Shelf):
    holder = IndexHolder(shelf.open, "1")
    asked: list[str] = []
    answers = iter(["1", "absent", "absent", OSError("the store hangs"), "2"])

    def newest() -> str:
        answer = next(answers, "2")
        asked.append(str(answer))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watched() -> None:
        task = asyncio.create_task(follow(holder, newest, every_s=0.01))
        async with asyncio.timeout(20):
            while holder.version != "2":
                await asyncio.sleep(0.01)
        task.cancel()

    tried: list[str] = []
    opened = holder._open_version
    holder._open_version = lambda version: tried.append(version) or opened(version)  # type: ignore[func-returns-value]
    asyncio.run(watched())
    assert tried == ["absent", "2"]
    assert asked[:5] == ["1", "absent", "absent", "the store hangs", "2"]
