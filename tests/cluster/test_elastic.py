"""A run on a cluster that shrinks and grows: fewer workers, then more, the same samples."""

import tempfile
import threading
import time
from pathlib import Path

import pytest
import ray
import small_pairs
from ray.cluster_utils import Cluster
from small_runs import ALONE, losses_by_sample, registered_steps

from figclip.inputs.corpora import CorpusShare
from figclip.store import Store
from figclip.training.pretrain import pretrain

CONFIG = ALONE.with_overrides({"epochs": 3, "checkpoint_every_steps": 4})
CPUS = 3  # a worker of two and a reading task: no machine has room for a second worker


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_loses_a_machine_goes_on_with_one_worker_and_sees_every_sample_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # Of a machine just lost Ray Train does not know yet, and waits so long for two workers.
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "20")
    # Ray writes the head's address there, and whoever starts a Ray meanwhile would join it.
    folder = tempfile.TemporaryDirectory(prefix="ray-")
    monkeypatch.setenv("RAY_TMPDIR", folder.name)
    store = small_pairs.publish_pairs(tmp_path, num_train=163)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": CPUS})
    try:
        node = cluster.add_node(num_cpus=CPUS)
        ray.init(address=cluster.address, log_to_driver=True)
        stop = threading.Thread(target=lose, args=(cluster, node, store), daemon=True)
        stop.start()
        found = elastic(store, "elastic")
        assert not stop.is_alive(), "the machine was lost while the run went on"
    finally:
        ray.shutdown()
        cluster.shutdown()
        folder.cleanup()
    assert found.counts["num_steps"] == 3 * 20
    samples = [sample for sample, _ in losses_by_sample(store, "elastic")]
    assert samples == [8 * (step + 1) for step in range(60)], "each step once"


def lose(cluster: Cluster, node: object, store: Store) -> None:
    while not registered_steps(store, "elastic"):
        time.sleep(0.1)
    cluster.remove_node(node, allow_graceful=False)


def elastic(store: Store, version: str):
    return pretrain(
        store,
        corpora=(CorpusShare(pairs="small"),),
        version=version,
        config=CONFIG,
        num_workers=2,
        min_workers=1,
        cpus_per_worker=2,
        cpus_per_read=0.5,
        use_gpu=False,
        validate=None,
    )
