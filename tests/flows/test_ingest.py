"""The flow from a bucket to published pairs: resumable, and the same however it ran."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
import ray
from tiny_bucket import write_bucket

from figclip.config import UsageError
from figclip.corpus import ingest as ingest_module
from figclip.corpus.ingest import ShardTask, ingest
from figclip.corpus.planning import PLAN
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.shards import ledger_name
from figclip.sources.source import open_source
from figclip.store import Store
from figclip.store.folder import Folder
from figclip.tasks import Workers

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180), pytest.mark.usefixtures("ray_cluster")]

CONFIG = CorpusConfig(articles_per_shard=2)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("bucket"), num_articles=16, side=300)


def tiny(folder, **options):
    write_bucket(folder, **options)
    return open_source(str(folder))


def run(bucket, root, *, version="v1", config=CONFIG, max_tasks=2, num_cpus=0.5, **options):
    store = Store(root)
    workers = Workers(num_cpus, max_tasks)
    manifest = ingest(bucket, store, version, config, workers=workers, num_threads=2, **options)
    return store, manifest


def data(store, version="v1"):
    folder = store.open("pairs", version)
    return {name: folder.read(name) for name in folder.files() if name != "_manifest.json"}


def ledger(store, version="v1"):
    folder = store.open("pairs", version)
    names = [name for name in folder.files() if name.startswith("_ledger/")]
    return [row for name in names for row in pq.read_table(folder.open(name)).to_pylist()]


@pytest.fixture(scope="module")
def whole(bucket, tmp_path_factory):
    return run(bucket, tmp_path_factory.mktemp("whole"), max_tasks=1)


def test_the_counts_are_those_of_the_files(whole):
    store, manifest = whole
    folder = store.open("pairs", "v1")
    counts = manifest.counts
    pairs = {
        split: pads.dataset(f"{folder.path}/{split}").to_table(columns=["pmcid", "split"])
        for split in ("train", "validation", "test")
    }
    assert {
        split: {"articles": len(set(rows["pmcid"].to_pylist())), "pairs": rows.num_rows}
        for split, rows in pairs.items()
    } == counts["splits"]
    assert all(set(rows["split"].to_pylist()) == {split} for split, rows in pairs.items())
    reasons = Counter(row["reason"] for row in ledger(store) if row["state"] != "published")
    assert reasons == counts["rejections"] == {"no_figures": 3, "other_version": 5}
    assert counts["num_pairs"] == counts["num_figures"] == 26
    assert (counts["num_articles"], counts["num_versions"]) == (16, 21)


def test_a_published_corpus_is_kept_and_another_config_needs_another_version(bucket, whole):
    store, manifest = whole
    assert run(bucket, store.url)[1] == manifest
    with pytest.raises(UsageError, match="new version"):
        run(bucket, store.url, config=CorpusConfig(articles_per_shard=3))


def test_three_tasks_give_the_bytes_of_one(bucket, whole, tmp_path):
    assert data(run(bucket, tmp_path, max_tasks=3)[0]) == data(whole[0])


DRIVER = """
import sys, ray
from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.sources.source import open_source
from figclip.store import Store
from figclip.tasks import Workers

ray.init(address=sys.argv[3])
ingest(open_source(sys.argv[1]), Store(sys.argv[2]), "v1", CorpusConfig(articles_per_shard=2),
       workers=Workers(0.5, 1), num_threads=2)
"""


def test_a_driver_that_was_killed_is_followed_by_the_same_corpus(bucket, whole, tmp_path):
    address = ray.get_runtime_context().gcs_address
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(bucket), str(tmp_path), address],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    finished = tmp_path / "pairs" / "v1" / "_ledger"
    while not list(finished.glob("*.parquet")):
        assert driver.poll() is None, "the driver ended before the kill"
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert 0 < len(list(finished.glob("*.parquet"))) < 8
    assert not (tmp_path / "pairs" / "v1" / "_manifest.json").exists()
    (tmp_path / "pairs" / "v1" / ".00001.parquet.1.part").write_bytes(b"half")
    store, manifest = run(bucket, tmp_path)
    assert data(store) == data(whole[0])
    assert manifest.files == whole[1].files
    assert not list(tmp_path.rglob("*.part"))


def test_what_was_begun_goes_on_with_its_plan_and_only_with_its_config(bucket, whole, tmp_path):
    store = Store(tmp_path)
    folder = store.folder("pairs", "v1")
    begun = data(whole[0])
    for name in (PLAN, ledger_name(0)):
        folder.write(name, begun[name])
    with pytest.raises(UsageError, match="begun with another config"):
        run(bucket, tmp_path, config=CorpusConfig(articles_per_shard=2, split_seed=1))
    assert not store.is_published("pairs", "v1")
    rows = pq.read_table(folder.open(PLAN)).filter(pads.field("shard") == 0)
    assert rows["version_id"].to_pylist() == ["PMC1.1", "PMC2.1"]
    # Shard 0 counts as finished, so that its files, which are not there, are not made anew.
    with pytest.raises(UsageError, match=r"lost t.*/00000\.parquet; delete that folder"):
        run(bucket, tmp_path)
    assert not store.is_published("pairs", "v1")


def full_store(root) -> Store:
    """A store whose disk is full for tables; its classes travel to the tasks by value."""

    class FullFolder(Folder):
        def write(self, name: str, data: bytes) -> None:
            if name.endswith(".parquet"):
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(name, data)

    class FullStore(Store):
        def folder(self, name: str, version: str) -> Folder:
            folder = super().folder(name, version)
            return FullFolder(folder.fs, folder.path)

    return FullStore(root)


def test_a_full_disk_names_the_remedy_and_publishes_nothing(bucket, tmp_path):
    store = full_store(tmp_path)
    with pytest.raises(UsageError, match="no space left"):
        ingest(bucket, store, "v1", CONFIG, workers=Workers(0.5, 1))
    assert not Store(tmp_path).is_published("pairs", "v1")


def test_too_few_articles_for_the_splits_is_said(tmp_path):
    two = tiny(tmp_path / "bucket", num_articles=2)
    _, manifest = run(two, tmp_path / "store")
    assert manifest.counts["note"].startswith("only 2 articles have pairs")


def test_a_shard_that_is_finished_is_not_read_again(bucket, whole):
    folder = whole[0].open("pairs", "v1")
    task = ShardTask(0, ("PMC404.1",), (), again=False)
    done = ingest_module.make_shard(
        task, source=bucket, folder=folder, base=None, config=CONFIG, num_threads=1
    )
    assert done == 1


def test_a_task_larger_than_the_cluster_is_refused_at_once(bucket, tmp_path):
    with pytest.raises(UsageError, match=r"needs 64 CPUs and the cluster has 4: set a smaller"):
        run(bucket, tmp_path, num_cpus=64)
    assert not Store(tmp_path).is_published("pairs", "v1")
