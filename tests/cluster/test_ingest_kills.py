"""Ingestion whose driver, workers or node are killed publishes what an undisturbed one does."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from corpora import CONNECTED, assert_same_corpus, files_of, leftovers, write_connected_bucket
from drivers import below, driver, end, plain_environment

from figclip.schema import SPLITS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(480)]

NUM_ARTICLES = 160
NUM_SHARDS = NUM_ARTICLES // CONNECTED.articles_per_shard


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bucket")
    return write_connected_bucket(place, num_articles=NUM_ARTICLES, side=120)


@pytest.fixture(scope="module")
def calm(bucket: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nobody disturbed."""
    store = tmp_path_factory.mktemp("calm")
    with driver(words_of(bucket, store), log=store / "log") as process:
        assert process.wait(timeout=150) == 0, (store / "log").read_text()[-3000:]
    assert num_moved(store) >= NUM_SHARDS // 4, "too few articles move to kill a finish"
    return store


def words_of(bucket: Path, store: Path) -> list[str]:
    words = [f"--source={bucket}", f"--store={store}", "--version=v1", "--local-cpus=2"]
    for name in ("articles_per_shard", "validation_fraction", "test_fraction", "split_seed"):
        words.append(f"--{name.replace('_', '-')}={getattr(CONNECTED, name)}")
    return ["jobs.ingest", "laptop", "--object-store-mb=100", *words]


def workers_of(pid: int) -> list[psutil.Process]:
    """Processes of Ray, started by another one, that are at work on a task of ingestion."""
    found = []
    for process in below(pid):
        with suppress(psutil.NoSuchProcess):
            if " ".join(process.cmdline()).startswith(("ray::make_shard", "ray::place_shard")):
                found.append(process)
    return found


def progress(store: Path) -> float:
    """Shards that are read, from 0 to 1; then, from 1 on, those of which articles were moved."""
    ledgers = len(list((store / "pairs" / "v1" / "_ledger").glob("[0-9]*.parquet")))
    return ledgers / NUM_SHARDS + (num_moved(store) / NUM_SHARDS if ledgers == NUM_SHARDS else 0)


def num_moved(store: Path) -> int:
    places = (store / "pairs" / "v1" / split for split in SPLITS)
    return sum(len(list(place.glob("[0-9]*-moved.parquet"))) for place in places)


def disturb(bucket: Path, store: Path, kills: list[tuple[float, str]], *, log: Path) -> None:
    """Ingest, with a SIGKILL at each of the moments, and start again whenever the driver died."""
    dice, left = random.Random(len(kills)), list(kills)
    while left:
        with driver(words_of(bucket, store), log=log) as process:
            while left and process.poll() is None:
                moment, victim = left[0]
                workers = workers_of(process.pid) if victim == "worker" else []
                if progress(store) < moment or not (workers or victim == "driver"):
                    time.sleep(0.005)
                    continue
                time.sleep(dice.uniform(0, 0.1))
                pid = dice.choice(workers).pid if workers else process.pid
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    left.pop(0)
                if victim == "driver":
                    process.wait(timeout=30)
            if not left and process.poll() is None:
                process.wait(timeout=150)
        if left and process.returncode == 0:  # too late for the next one: finish once more
            (store / "pairs" / "v1" / "_manifest.json").unlink()
    if process.returncode != 0:
        with driver(words_of(bucket, store), log=log) as process:
            process.wait(timeout=150)
    assert process.returncode == 0, log.read_text()[-5000:]


def random_kills() -> list[tuple[float, str]]:
    dice = random.Random(7)
    moments = sorted([*(dice.uniform(0, 0.95) for _ in range(6)), 1.0, 1.05, 1.1, 1.2])
    return [(moment, dice.choice(("driver", "worker"))) for moment in moments]


THREE = [(0.4, "worker"), (1.05, "driver"), (1.1, "worker")]


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(THREE, id="three"),
        pytest.param(random_kills(), id="ten", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_drivers_and_workers_that_are_killed_change_no_byte(
    kills: list[tuple[float, str]], bucket: Path, calm: Path, tmp_path: Path
):
    disturb(bucket, tmp_path, kills, log=tmp_path / "log")
    assert_same_corpus((calm, "v1"), (tmp_path, "v1"))
    assert files_of(tmp_path, "v1") == files_of(calm, "v1")
    assert not leftovers(tmp_path)


TWO_NODES = """
import sys, threading, time
from pathlib import Path
import psutil, ray
from ray.cluster_utils import Cluster
from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.sources.source import open_source
from figclip.store import Store
from figclip.tasks import Workers

bucket, store, config = sys.argv[1:]
sizes = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={**sizes, "include_dashboard": False})
node = cluster.add_node(**sizes)
cluster.wait_for_nodes()
ray.init(address=cluster.address, configure_logging=False)
raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
lost = []

def remove():
    ledger = Path(store, "pairs", "v1", "_ledger")
    while not lost:
        time.sleep(0.01)
        titles = []
        for child in raylet.children(recursive=True):
            try:
                titles.append(" ".join(child.cmdline()))
            except psutil.NoSuchProcess:
                pass
        at_work = sum(title.startswith(("ray::make_shard", "ray::place_shard")) for title in titles)
        if at_work and len(list(ledger.glob("*"))) >= 4:
            cluster.remove_node(node, allow_graceful=False)
            lost.append(len(list(ledger.glob("[0-9]*"))))

threading.Thread(target=remove, daemon=True).start()
workers = Workers(num_cpus_per_task=0.5, max_tasks=4)
config = CorpusConfig.model_validate_json(config)
ingest(open_source(bucket), Store(store), "v1", config, workers=workers)
deadline = time.monotonic() + 60
while sum(n["Alive"] for n in ray.nodes()) > 1 and time.monotonic() < deadline:
    time.sleep(0.1)  # until the cluster has noticed, too
print("removed after", lost[0], "shards; nodes left:", sum(n["Alive"] for n in ray.nodes()))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_node_that_goes_while_its_tasks_run_changes_no_byte(
    bucket: Path, calm: Path, tmp_path: Path
):
    words = [str(bucket), str(tmp_path), CONNECTED.model_dump_json()]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", TWO_NODES, *words],
            env=plain_environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        assert process.wait(timeout=150) == 0, log.read_text()[-5000:]
    finally:
        end(process)
    assert "nodes left: 1" in log.read_text()
    assert_same_corpus((calm, "v1"), (tmp_path, "v1"))
    assert not leftovers(tmp_path)
