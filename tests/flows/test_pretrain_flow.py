"""Pretraining on a real cluster: resumption after a kill, worker counts, what a person can mend."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small_pairs
import torch
from small_runs import (
    ALONE,
    CONFIG,
    STEPS_PER_EPOCH,
    losses_by_sample,
    registered_steps,
    weights,
)
from tiny import TINY_CLIP, publish_tiny_encoder

from figclip.config import UsageError
from figclip.inputs.corpora import CorpusShare
from figclip.store import Manifest, Store
from figclip.training.pretrain import PretrainConfig, pretrain

KILLED_AFTER = 18


def run(
    store: Store,
    version: str,
    config: PretrainConfig,
    *,
    num_workers: int = 2,
    stalls: bool = False,
    killed_at: Path | None = None,
    **resources: float,
) -> Manifest:
    """`killed_at`: a file, until which exists the first validation SIGKILLs its own process."""

    def validate(images: np.ndarray, texts: np.ndarray) -> dict[str, float]:
        if killed_at is not None and not killed_at.exists():
            killed_at.write_text("killed")
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600 if stalls else 0)
        np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, rtol=1e-3)
        return {"num_rows": float(len(images)), "similarity": float((images * texts).sum())}

    return pretrain(
        store,
        corpora=(CorpusShare(pairs="small"),),
        version=version,
        config=config,
        num_workers=num_workers,
        validate=validate,
        **{"cpus_per_worker": 0.5, "use_gpu": False, "cpus_per_read": 0.5, **resources},
    )


def publish_pairs(root: Path) -> Store:
    num_train = STEPS_PER_EPOCH * CONFIG.batch_size + 3
    return small_pairs.publish_pairs(root, num_train=num_train, num_validation=21)


def kill_within_the_first_epoch(
    store: Store, version: str, folder: Path, config: PretrainConfig = CONFIG
) -> None:
    """Start the run in a process of its own; SIGKILL that after the last checkpoint before the end
    of the epoch, where its validation stalls for ever."""
    paths = [Path(__file__).parents[1], *filter(None, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, __file__, store.url, version, config.to_json()]
    with (folder / "driver.log").open("wb") as out:
        driver = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        deadline = time.monotonic() + 150
        while KILLED_AFTER not in registered_steps(store, version):
            alive = driver.poll() is None and time.monotonic() < deadline
            assert alive, (folder / "driver.log").read_text()
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert max(registered_steps(store, version)) == KILLED_AFTER


@pytest.fixture(autouse=True)
def quick_controller(monkeypatch):
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")


@pytest.mark.ray
@pytest.mark.slow  # the kill in training is in every run: tests/cluster/test_walks.py
@pytest.mark.timeout(290)
def test_a_killed_and_resumed_run_ends_where_an_uninterrupted_run_ends(ray_cluster, tmp_path):
    whole, killed = publish_pairs(tmp_path / "whole"), publish_pairs(tmp_path / "killed")
    kill_within_the_first_epoch(killed, "v", tmp_path)
    assert not killed.is_published("encoder", "v")
    torn = Store(shutil.copytree(tmp_path / "killed", tmp_path / "torn"))
    snapshot = tmp_path / "torn/runs/encoder-v/train/checkpoint_manager_snapshot.json"
    os.truncate(snapshot, snapshot.stat().st_size // 2)  # as if killed while Ray Train wrote it

    resumed, uninterrupted = run(killed, "v", CONFIG), run(whole, "v", CONFIG)
    run(torn, "v", CONFIG)

    history = whole.open("encoder", "v").read("history.json")
    assert [row["num_rows"] for row in json.loads(history)] == [21, 21]
    expected = weights(whole, "v")
    for store in (killed, torn):
        found = weights(store, "v")
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert store.open("encoder", "v").read("history.json") == history
    assert resumed.counts == uninterrupted.counts
    for store in (killed, torn, whole):
        assert losses_by_sample(store, "v") == losses_by_sample(whole, "v")
    curves = [name for name in resumed.files if name.startswith("_tensorboard/")]
    assert len(curves) == 2, "one file of the killed try, one of the resumed"
    assert run(killed, "v", CONFIG) == resumed, "a third call finds the work done"


@pytest.mark.ray
@pytest.mark.timeout(290)
def test_a_run_that_loses_a_worker_ends_bit_for_bit_like_an_undisturbed_one(ray_cluster, tmp_path):
    """SIGKILL at step 20; the two steps after the checkpoint at 18 are taken again. The batch
    doubles in the second epoch."""
    store = publish_pairs(tmp_path)
    config = CONFIG.with_overrides({"batch_schedule": [[1, 16]], "precision": "fp32"})
    lost = run(store, "lost", config, killed_at=tmp_path / "killed")
    calm = run(store, "calm", config)
    assert (tmp_path / "killed").exists()
    assert lost.counts == calm.counts
    assert calm.counts["num_steps"] == STEPS_PER_EPOCH + STEPS_PER_EPOCH // 2
    assert calm.counts["samples_seen"] == 2 * STEPS_PER_EPOCH * CONFIG.batch_size
    found, expected = weights(store, "lost"), weights(store, "calm")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    curve = losses_by_sample(store, "calm")
    assert losses_by_sample(store, "lost") == curve
    assert [sample for sample, _ in curve] == [*range(8, 161, 8), *range(176, 321, 16)]
    [first, second] = json.loads(store.open("encoder", "calm").read("history.json"))
    assert second["validation_loss"] < first["validation_loss"]


@pytest.mark.ray
@pytest.mark.timeout(290)
def test_a_run_from_another_encoder_learns_low_ranks_and_publishes_a_plain_model(
    ray_cluster, tmp_path
):
    store = publish_pairs(tmp_path)
    publish_tiny_encoder(store, "tiny")
    config = CONFIG.with_overrides(
        {
            "model": TINY_CLIP.with_overrides({"vision.image_size": 64}).model_dump(mode="json"),
            "pixels.size": 64,
            "init": store.open("encoder", "tiny").path,
            "adapt.lora_rank": 2,
            "adapt.lock_text": True,
            "epochs": 1,
        }
    )
    run(store, "v", config)
    before, after = weights(store, "tiny"), weights(store, "v")
    assert after.keys() == before.keys()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert {name.split(".")[0] for name in moved} == {"visual", "text", "logit_scale"}
    assert "visual.trunk.blocks.1.attn.qkv.weight" in moved
    assert not any(name.startswith("text.transformer.") for name in moved)
    folder = store.open("encoder", "v")
    assert folder.read("tokenizer.json") == store.open("encoder", "tiny").read("tokenizer.json")
    card = folder.read("README.md").decode()
    assert "`pairs@small`" in card
    assert config.init in card


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(290)
def test_one_worker_goes_on_where_two_were_killed_as_if_it_had_been_alone(ray_cluster, tmp_path):
    """The batches are the same, and the loss is exact over ranks; sums are rounded otherwise."""
    whole, killed = publish_pairs(tmp_path / "whole"), publish_pairs(tmp_path / "killed")
    kill_within_the_first_epoch(killed, "v", tmp_path, ALONE)
    run(killed, "v", ALONE, num_workers=1)
    run(whole, "v", ALONE, num_workers=1)
    found, expected = losses_by_sample(killed, "v"), losses_by_sample(whole, "v")
    assert [sample for sample, _ in found] == [sample for sample, _ in expected]
    assert [loss for _, loss in found] == pytest.approx([loss for _, loss in expected], rel=1e-5)
    assert len({loss for _, loss in found}) > STEPS_PER_EPOCH, "the weights moved"


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_a_diverging_run_ends_with_the_remedy_and_keeps_no_broken_state(ray_cluster, tmp_path):
    store = publish_pairs(tmp_path)
    config = CONFIG.with_overrides({"optim.lr": 1e30, "optim.warmup_steps": 0})
    with pytest.raises(UsageError, match=r"no longer finite at step 2; lower --optim.lr"):
        run(store, "v", config)
    assert not store.is_published("encoder", "v")
    assert not [name for name in store.root.files() if name.endswith("state.pt")]


@pytest.mark.ray
@pytest.mark.parametrize(
    ("resources", "remedy"),
    [
        ({"cpus_per_worker": 2}, r"needs 4.5 CPUs .* has 4: set --num-workers, --cpus-per-worker"),
        ({"use_gpu": True}, r"needs 2 GPUs .* has 0: .* --no-use-gpu"),
    ],
)
def test_a_cluster_that_is_too_small_is_named_at_once(ray_cluster, tmp_path, resources, remedy):
    store = publish_pairs(tmp_path)
    with pytest.raises(UsageError, match=remedy):
        run(store, "v", CONFIG, **resources)
    assert not (tmp_path / "runs").exists()


def test_too_few_pairs_for_a_batch_name_the_remedy(tmp_path):
    store = small_pairs.publish_pairs(tmp_path, num_train=5)
    with pytest.raises(UsageError, match=r"5 training pairs .* smaller --batch-size"):
        run(store, "v", CONFIG)


@pytest.mark.parametrize(
    ("overrides", "remedy"),
    [
        ({"batch_size": 10}, r"--batch-size .* to multiples of 4"),
        ({"pixels.size": 64}, "--pixels.size or --model.vision.image-size"),
        ({"optim.warmup_steps": 50}, "--optim.warmup-steps below 40"),
    ],
)
def test_sizes_that_do_not_fit_name_the_remedy(tmp_path, overrides, remedy):
    store = publish_pairs(tmp_path)
    with pytest.raises(UsageError, match=remedy):
        run(store, "v", CONFIG.with_overrides(overrides))
    assert not (tmp_path / "encoder").exists()


if __name__ == "__main__":
    import ray

    ray.init(num_cpus=4, object_store_memory=200 * 2**20, include_dashboard=False)
    run(Store(sys.argv[1]), sys.argv[2], PretrainConfig.from_json(sys.argv[3]), stalls=True)
