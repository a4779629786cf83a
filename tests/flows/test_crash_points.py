"""Ingestion that ends before any one of its changes to a disk goes on to the same corpus.

Ray is left out: shards are made one after another in this process, by the very functions.
"""

import contextlib
import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from corpora import (
    CONNECTED,
    assert_same_corpus,
    leftovers,
    write_connected_article,
    write_connected_bucket,
)

from figclip.corpus import ingest as ingest_module
from figclip.corpus.ingest import Workers, ingest
from figclip.corpus.ledger import home_of
from figclip.corpus.shards import pairs_names, place_articles
from figclip.schema import SPLITS, Split
from figclip.sources.objects import Unreachable
from figclip.sources.source import Source, open_source
from figclip.store import Store
from figclip.store.folder import Folder

WORKERS = Workers(num_cpus_per_task=1, max_tasks=1)
HOME = home_of(CONNECTED)
CHANGES = ("write", "take", "delete")


class Died(BaseException):
    """As if the process had been killed here."""


@contextmanager
def dying_before(change: int, *, victim: str) -> Iterator[list[int]]:
    """The body ends before its `change`th change to a folder (from 0), which is told by what the
    list holds: -1. A task that dies as a worker is run once more, as Ray does."""
    left = [change]

    def counted(method: Callable) -> Callable:
        def changed(self: Folder, *arguments: object) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise Died
            left[0] = max(left[0], -1)
            method(self, *arguments)

        return changed

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(Folder, name, counted(getattr(Folder, name)))
        if victim == "worker":
            patch.setattr(ingest_module, "_run", lambda task, *rest, what: each(again(task), *rest))
        yield left


def again(task: Callable) -> Callable:
    def tried(row: dict) -> dict:
        try:
            return task(row)
        except Died:
            return task(row)

    return tried


def each(task: Callable, rows: list[dict], workers: Workers) -> None:
    for row in rows:
        fault = task(row)["fault"]
        assert not fault, pickle.loads(fault)


@pytest.fixture(autouse=True)
def _without_ray(monkeypatch):
    monkeypatch.setattr(ingest_module, "_run", lambda *rest, what: each(*rest))
    monkeypatch.setattr(os, "fsync", lambda file: None)  # no power fails here


@dataclass(frozen=True)
class Patchy:
    """A source of which some files cannot be had."""

    whole: CloudSource
    lost: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.whole)

    def __getattr__(self, name: str):
        return getattr(self.whole, name)

    def media(self, metadata, name, *, at_most=None):
        if name in self.lost:
            raise Unreachable(f"{name} does not arrive")
        return self.whole.media(metadata, name, at_most=at_most)


def run(source: Source, store: Path, version: str = "v1", **options) -> None:
    ingest(source, Store(store), version, CONNECTED, workers=WORKERS, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_connected_bucket(tmp_path_factory.mktemp("bucket"), num_articles=24)


@pytest.fixture(scope="module")
def source(folder):
    return open_source(str(folder))


@pytest.fixture
def whole(source, tmp_path):
    run(source, tmp_path / "whole")
    moved = list((tmp_path / "whole").rglob("*-moved.parquet"))
    assert len(moved) >= 3, "the corpus moves too few articles to try anything"
    return tmp_path / "whole"


DEATHS = pytest.mark.parametrize(
    ("victim", "step"),
    [
        ("driver", 11),
        ("worker", 13),
        pytest.param("driver", 1, marks=pytest.mark.slow),
        pytest.param("worker", 1, marks=pytest.mark.slow),
    ],
)
"""Who dies, and at every how manyth change."""


def crashes(
    act: Callable[[Path], None], begun: Path, into: Path, *, victim: str, step: int
) -> Iterator[Path]:
    """Stores in which `act` died at each `step`th of its changes, from the state of `begun` on, and
    then was done to its end."""
    for change in range(step - 1, 1_000, step):
        store = into / f"died-{change}"
        shutil.copytree(begun, store)
        with dying_before(change, victim=victim) as left:
            try:
                act(store)
            except Died:
                act(store)
        if left[0] >= 0:
            assert change >= 2 * step, "it changes too little to be tried"
            return
        yield store
        shutil.rmtree(store)
    raise AssertionError("it never ended")


@DEATHS
def test_a_run_that_died_at_any_change_ends_with_the_same_corpus(
    source, whole, tmp_path, victim, step
):
    (tmp_path / "empty").mkdir()
    for store in crashes(
        lambda s: run(source, s), tmp_path / "empty", tmp_path, victim=victim, step=step
    ):
        assert_same_corpus((whole, "v1"), (store, "v1"))
        assert not leftovers(store)


@DEATHS
def test_a_retry_that_died_at_any_change_ends_with_the_corpus_of_a_faultless_run(
    source, whole, tmp_path, victim, step
):
    """Of a version that was complete but for its manifest, its articles in their places."""
    lost = Patchy(source, ("PMC9-0.jpg", "PMC18-0.jpg", "PMC10-1.jpg"))
    begun = tmp_path / "begun"
    run(lost, begun)
    (begun / "pairs" / "v1" / "_manifest.json").unlink()
    retry = lambda s: run(source, s, retry_failed=True)  # noqa: E731
    for store in crashes(retry, begun, tmp_path, victim=victim, step=step):
        assert_same_corpus((whole, "v1"), (store, "v1"))
        assert not leftovers(store)


@DEATHS
def test_a_retry_on_a_base_that_died_at_any_change_ends_with_the_corpus_of_a_faultless_run(
    source, whole, tmp_path, victim, step
):
    begun = tmp_path / "begun"
    run(Patchy(source, ("PMC9-0.jpg", "PMC18-0.jpg", "PMC18-1.jpg")), begun, "v0")
    retry = lambda s: run(source, s, base="v0", retry_failed=True)  # noqa: E731
    for store in crashes(retry, begun, tmp_path, victim=victim, step=step):
        assert_same_corpus((whole, "v1"), (store, "v1"))
        assert not leftovers(store)


@DEATHS
def test_an_update_that_died_at_any_change_ends_with_the_corpus_of_a_fresh_run(
    folder, source, tmp_path, victim, step
):
    newer = tmp_path / "newer"
    shutil.copytree(folder, newer)
    write_connected_article(newer, 4, version=2, extra=1)
    for gone in ("PMC2.1", "PMC9.1"):
        (newer / "metadata" / f"{gone}.json").unlink()
    write_connected_bucket(newer, num_articles=5, first=31)
    update = open_source(str(newer))
    run(update, tmp_path / "fresh", name="daily")
    begun = tmp_path / "begun"
    run(source, begun, "v0", name="daily")
    shutil.copytree(begun, tmp_path / "calm")
    again = lambda s: run(update, s, base="v0", name="daily")  # noqa: E731
    for store in crashes(again, begun, tmp_path, victim=victim, step=step):
        assert_same_corpus((tmp_path / "fresh", "v1"), (store, "v1"))
        assert not leftovers(store)


def test_articles_that_change_places_are_in_some_file_at_every_moment(source, whole, tmp_path):
    """One leaves the file that another enters: all ways of three articles, or some of them."""
    begun = Store(whole).open("pairs", "v1")
    pmcids = sorted(set(articles_in(begun).values()))
    assert len(pmcids) >= 3
    dice = random.Random(0)
    for n in range(12):
        before, after = ({p: dice.choice(SPLITS) for p in pmcids} for _ in range(2))
        for change in range(100):
            folder = Store(tmp_path / f"{n}-{change}").folder("pairs", "v1")
            shutil.copytree(begun.path, folder.path)
            place_articles(folder, 1, before, HOME)
            with dying_before(change, victim="driver") as left, contextlib.suppress(Died):
                place_articles(folder, 1, after, HOME)
            assert articles_in(folder) == articles_in(begun)
            place_articles(folder, 1, after, HOME)
            assert articles_in(folder, wanted=after) == articles_in(begun)
            if left[0] >= 0:
                break


def articles_in(folder: Folder, *, wanted: dict[str, Split] | None = None) -> dict[str, str]:
    """`pair_id` → article, of all files of shard 1; in the end each must stand in its own split."""
    found = {}
    for name in filter(folder.exists, pairs_names(1)):
        with folder.open(name) as file:
            rows = pq.read_table(file, columns=["pair_id", "pmcid", "split"]).to_pylist()
        for row in rows:
            assert wanted is None or row["pair_id"] not in found
            assert wanted is None or wanted[row["pmcid"]] == row["split"] == name.partition("/")[0]
            found[row["pair_id"]] = row["pmcid"]
    return found
