"""A run on a cluster that shrinks and grows: fewer workers, then more, the same samples."""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import small_pairs
from ray.cluster_utils import Cluster
from small_runs import ALONE, losses_by_sample

from figclip.inputs.corpora import CorpusShare
from figclip.store import Manifest, Store
from figclip.training.pretrain import pretrain

EPOCHS = 30
CONFIG = ALONE.with_overrides({"epochs": EPOCHS, "checkpoint_every_steps": 10, "optim.lr": 1e-6})
"""So small a rate that the losses tell the samples: what ranks round otherwise stays small."""
CPUS = 3  # a worker of two and a reading task: no machine has room for a second worker


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_on_a_cluster_that_shrinks_and_grows_sees_every_sample_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Machines for two, one and three workers: three cannot share four lanes, so two of them do.

    The losses are those of a run on one machine that nothing disturbed.
    """
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # Of a machine just lost Ray Train does not know yet, and waits so long for two workers.
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "20")
    # Ray writes the head's address there, and whoever starts a Ray meanwhile would join it.
    folder = tempfile.TemporaryDirectory(prefix="ray-")
    monkeypatch.setenv("RAY_TMPDIR", folder.name)
    store = small_pairs.publish_pairs(tmp_path, num_train=163, num_validation=8)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": CPUS})
    seen = tmp_path / "workers"
    try:
        node = cluster.add_node(num_cpus=CPUS)
        ray.init(address=cluster.address, log_to_driver=True)
        workers = {"num_workers": 4, "min_workers": 1, "resize_every_s": 1}
        with ThreadPoolExecutor(1) as aside:  # Ray starts machines in the main thread alone
            running = aside.submit(train, store, "elastic", seen, **workers)
            shrink_and_grow(cluster, node, seen, running)
            found = running.result(timeout=600)
        train(store, "calm", tmp_path / "calm", num_workers=1)
    finally:
        ray.shutdown()
        cluster.shutdown()
        folder.cleanup()
    numbers = [number for number, _ in groupby(seen.read_text().split())]
    assert numbers == ["2", "1", "2"]
    assert found.counts["num_steps"] == EPOCHS * 20
    elastic, calm = losses_by_sample(store, "elastic"), losses_by_sample(store, "calm")
    assert [sample for sample, _ in elastic] == [8 * (step + 1) for step in range(EPOCHS * 20)]
    assert [loss for _, loss in elastic] == pytest.approx([loss for _, loss in calm], rel=1e-4)


def shrink_and_grow(cluster: Cluster, node: object, seen: Path, running: Future[Any]) -> None:
    wait_until(lambda: count(seen, "2") >= 2, running)
    cluster.remove_node(node, allow_graceful=False)
    wait_until(lambda: count(seen, "1") >= 2, running)
    for _ in range(2):
        cluster.add_node(num_cpus=CPUS)


def count(seen: Path, number: str) -> int:
    return seen.read_text().split().count(number) if seen.exists() else 0


def wait_until(condition: Callable[[], bool], running: Future[Any]) -> None:
    while not condition():
        assert not running.done(), "the run ended before the cluster had changed"
        time.sleep(0.1)


def train(store: Store, version: str, seen: Path, **workers: float) -> Manifest:
    """Every epoch ends with a line in `seen`: how many workers there are."""

    def validate(images: np.ndarray, texts: np.ndarray) -> dict[str, float]:
        import torch.distributed as dist

        number = dist.get_world_size() if dist.is_initialized() else 1
        with seen.open("a") as file:
            file.write(f"{number}\n")
        # Ray learns of new machines in its own time; until then the one worker must not be done.
        time.sleep(0 if version == "calm" else 4 if number == 1 else 0.5)
        return {}

    return pretrain(
        store,
        corpora=(CorpusShare(pairs="small"),),
        version=version,
        config=CONFIG,
        cpus_per_worker=2,
        cpus_per_read=0.5,
        use_gpu=False,
        validate=validate,
        max_failures=3,
        **workers,
    )
