"""Ingestion from a real S3 server that answers badly: nothing is lost, nothing is read in vain."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pytest
from accounts import lines_in, lines_of
from corpora import assert_same_corpus, files_of, ledger_of, leftovers, pairs_of
from fault_proxy import KINDS, FaultPlan, FaultProxy
from s3_process import upload

from figclip.config import UsageError
from figclip.corpus.ingest import Workers, ingest
from figclip.corpus.rules import NONCOMMERCIAL, CorpusConfig
from figclip.sources.buckets import S3Bucket
from figclip.sources.miniature import MiniatureConfig, write_miniature
from figclip.sources.pmc_cloud import CloudSource
from figclip.store import Manifest, Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240), pytest.mark.usefixtures("ray_cluster")]

BUCKET = "pmc-faults"
CONFIG = CorpusConfig(articles_per_shard=6, longest_side=256)
Proxied = Callable[[FaultPlan], FaultProxy]


@pytest.fixture(scope="module")
def folder(shared_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real articles, or invented ones where there are none."""
    try:
        return shared_folder("pmc-oa-opendata")
    except pytest.skip.Exception:
        place = tmp_path_factory.mktemp("miniature") / "bucket"
        write_miniature(place, MiniatureConfig(num_articles=45))
        return place


@pytest.fixture(scope="module")
def proxied(folder: Path, moto_process: str, fault_proxy: Callable) -> Proxied:
    """A proxy by its plan, in front of a server that holds the articles."""
    upload(moto_process, folder, BUCKET)
    return lambda plan: fault_proxy(moto_process, plan)


@dataclass(frozen=True)
class Down(FaultPlan):
    """Files of articles from a certain number on cannot be had."""

    first: int = 0

    def fault(self, request: str, number: int) -> str:
        found = re.search(r"/PMC(\d+)\.", request)
        return "reset" if found and int(found[1]) >= self.first else ""


def run(proxy: FaultProxy, store: Path, version: str = "v1", *, num_tries=8, tasks=2, **options):
    bucket = S3Bucket(
        BUCKET, endpoint=proxy.url, num_tries=num_tries, wait_s=0.01, longest_wait_s=0.05
    )
    return ingest(
        CloudSource(bucket),
        Store(store),
        version,
        CONFIG,
        workers=Workers(num_cpus_per_task=0.5, max_tasks=tasks, num_threads=4),
        **options,
    )


def articles_asked(proxy: FaultProxy) -> set[str]:
    """Articles of which anything was asked for."""
    return {found[0] for key in proxy.asked if (found := re.search(r"PMC\d+", key))}


def failed(store: Path, version: str = "v1") -> set[str]:
    ledger = ledger_of(store, version)
    return set(ledger.filter(pc.equal(ledger["state"], "failed"))["pmcid"].to_pylist())


@pytest.fixture(scope="module")
def calm(proxied: Proxied, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run without any fault."""
    store = tmp_path_factory.mktemp("calm")
    run(proxied(FaultPlan(fraction=0)), store, tasks=1)
    return store


PATCHY = FaultPlan(seed=29, fraction=0.6, delay_s=0.02)


@pytest.fixture(scope="module")
def patchy(proxied: Proxied, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A run with more faults than its tries can bear."""
    store = tmp_path_factory.mktemp("patchy")
    return store, run(proxied(PATCHY), store, num_tries=6)


def test_the_ledger_has_the_lines_that_another_reading_counts(calm: Path, folder: Path):
    ledger = ledger_of(calm, "v1")
    assert lines_in(ledger) == lines_of(folder, NONCOMMERCIAL)
    published = []
    for row in ledger.to_pylist():
        assert row["state"] in ("published", "rejected")
        assert bool(row["reason"]) == (row["state"] == "rejected")
        if row["state"] == "published" and row["graphic"]:
            name = f"{row['pmcid']}.{row['version']}/{row['figure_id']}/{row['graphic']}"
            published.append((name, row["image_sha256"]))
    pairs = pairs_of(calm, "v1")
    assert sorted(published) == list(
        zip(pairs["pair_id"].to_pylist(), pairs["image_sha256"].to_pylist(), strict=True)
    )


def test_one_bad_answer_in_twenty_changes_no_byte(calm: Path, proxied: Proxied, tmp_path: Path):
    proxy = proxied(FaultPlan(seed=6, fraction=0.05, delay_s=0.1))
    run(proxy, tmp_path, tasks=3)
    assert all(proxy.counts[kind] for kind in KINDS), proxy.counts
    assert files_of(tmp_path, "v1") == files_of(calm, "v1")
    assert not leftovers(tmp_path)


def test_what_could_not_be_had_fails_alone(calm: Path, patchy: tuple[Path, Manifest]):
    store, manifest = patchy
    ledger, whole = (ledger_of(place, "v1").to_pylist() for place in (store, calm))
    reasons = {row["reason"] for row in ledger if row["state"] == "failed"}
    assert {reason.partition("_")[0] for reason in reasons} == {"unreachable"}
    assert manifest.counts["num_failed"] == sum(row["state"] == "failed" for row in ledger)
    lost = failed(store)
    assert 2 <= len(lost) < len({row["pmcid"] for row in ledger})
    assert [row for row in ledger if row["pmcid"] not in lost] == [
        row for row in whole if row["pmcid"] not in lost
    ]
    pairs = {row["pair_id"]: row for row in pairs_of(calm, "v1").to_pylist()}
    for row in pairs_of(store, "v1").to_pylist():
        # An article that shares a picture with one that was not had may stand in its own split.
        assert row | {"split": ""} == pairs[row["pair_id"]] | {"split": ""}


def test_a_retry_on_a_base_reads_the_failed_articles_alone(
    calm: Path, patchy: tuple[Path, Manifest], proxied: Proxied
):
    store, _ = patchy
    proxy = proxied(FaultPlan(fraction=0))
    manifest = run(proxy, store, "v2", base="v1", retry_failed=True)
    assert articles_asked(proxy) == failed(store)
    assert manifest.counts["num_failed"] == 0
    assert_same_corpus((calm, "v1"), (store, "v2"))


def test_a_retry_of_an_unfinished_version_reads_the_failed_articles_alone(
    calm: Path, patchy: tuple[Path, Manifest], proxied: Proxied, tmp_path: Path
):
    begun, _ = patchy
    store = tmp_path / "begun"
    shutil.copytree(begun / "pairs" / "v1", store / "pairs" / "v1")
    (store / "pairs" / "v1" / "_manifest.json").unlink()
    proxy = proxied(FaultPlan(fraction=0))
    run(proxy, store, retry_failed=True)
    assert articles_asked(proxy) == failed(begun)
    assert_same_corpus((calm, "v1"), (store, "v1"))


def test_a_source_that_goes_down_stops_the_run_which_goes_on_later(
    calm: Path, proxied: Proxied, folder: Path, tmp_path: Path
):
    numbers = sorted(int(p.name[3:].partition(".")[0]) for p in folder.glob("PMC*"))
    first = numbers[len(numbers) // 2]
    with pytest.raises(UsageError, match="cannot be reached"):
        run(proxied(Down(first=first)), tmp_path, num_tries=2, tasks=1)
    assert not Store(tmp_path).is_published("pairs", "v1")
    ledgers = sorted((tmp_path / "pairs" / "v1" / "_ledger").glob("*.parquet"))
    assert ledgers, "nothing was finished before"
    proxy = proxied(FaultPlan(fraction=0))
    run(proxy, tmp_path)
    assert len(articles_asked(proxy)) == len(set(numbers)) - 6 * len(ledgers)
    assert files_of(tmp_path, "v1") == files_of(calm, "v1")


def test_what_is_finished_asks_the_server_for_nothing(calm: Path, proxied: Proxied, tmp_path: Path):
    proxy = proxied(FaultPlan(fraction=0))
    run(proxy, calm)
    shutil.copytree(calm / "pairs" / "v1", tmp_path / "pairs" / "v1")
    (tmp_path / "pairs" / "v1" / "_manifest.json").unlink()
    run(proxy, tmp_path)
    assert not proxy.asked
    assert files_of(tmp_path, "v1") == files_of(calm, "v1")
