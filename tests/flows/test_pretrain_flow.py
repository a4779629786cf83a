"""Pretraining on a real cluster: resumption after a kill, worker counts, what a person can mend."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import small_pairs
import torch
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.train.v2.api.config import ScalingConfig
from small_runs import (
    ALONE,
    CONFIG,
    STEPS_PER_EPOCH,
    losses_by_sample,
    registered_steps,
    task,
    weights,
)
from tiny import TINY_CLIP, publish_tiny_encoder

from figclip.config import UsageError
from figclip.inputs.corpora import CorpusShare
from figclip.store import Folder, Manifest, Store
from figclip.training.pretrain import fit, pretrain
from figclip.training.recipe import PretrainConfig

KILLED_AFTER = 18


def run(
    store: Store,
    version: str,
    config: PretrainConfig,
    *,
    num_workers: int = 2,
    stalls: bool = False,
    fault: Callable[[], None] | None = None,
    once: Path | None = None,
    **resources: float,
) -> Manifest:
    """`fault` happens in the first validation, in rank 0's process, as long as there is no `once`,
    a file that is written then."""

    def validate(images: np.ndarray, texts: np.ndarray) -> dict[str, float]:
        if fault is not None and once is not None and not once.exists():
            once.write_text("happened")
            fault()
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
@pytest.mark.slow  # the kill of its ranks is in every run: tests/training/test_loop_over_ranks.py
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


EXACT = CONFIG.with_overrides({"batch_schedule": [[1, 16]], "precision": "fp32"})
"""The batch doubles in the second epoch."""


@pytest.fixture(scope="module")
def calm(ray_cluster, tmp_path_factory) -> Store:
    """Of a run that nothing disturbed."""
    store = publish_pairs(tmp_path_factory.mktemp("calm"))
    run(store, "calm", EXACT)
    return store


def ends_like_the_calm_one(store: Store, version: str, calm: Store) -> bool:
    found, expected = weights(store, version), weights(calm, "calm")
    assert store.manifest("encoder", version).counts == calm.manifest("encoder", "calm").counts
    assert losses_by_sample(store, version) == losses_by_sample(calm, "calm")
    return all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.ray
@pytest.mark.timeout(290)
def test_every_step_of_a_run_takes_its_batch_and_the_loss_falls(calm):
    counts = calm.manifest("encoder", "calm").counts
    assert counts["num_steps"] == STEPS_PER_EPOCH + STEPS_PER_EPOCH // 2
    assert counts["samples_seen"] == 2 * STEPS_PER_EPOCH * CONFIG.batch_size
    samples = [sample for sample, _ in losses_by_sample(calm, "calm")]
    assert samples == [*range(8, 161, 8), *range(176, 321, 16)]
    [first, second] = json.loads(calm.open("encoder", "calm").read("history.json"))
    assert second["validation_loss"] < first["validation_loss"]


@pytest.mark.ray
@pytest.mark.timeout(290)
def test_a_run_that_loses_a_worker_ends_bit_for_bit_like_an_undisturbed_one(calm, tmp_path):
    """SIGKILL at step 20; the two steps after the checkpoint at 18 are taken again."""

    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    run(calm, "lost", EXACT, fault=killed, once=tmp_path / "killed")
    assert (tmp_path / "killed").exists()
    assert ends_like_the_calm_one(calm, "lost", calm)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(290)
def test_a_group_that_loses_a_worker_at_its_start_is_started_anew(ray_cluster, tmp_path):
    class LosesOneAtItsStart(WorkerGroupCallback):
        """Takes a worker from the first group that has started, before it is told its work."""

        def after_worker_group_start(self, worker_group: Any) -> None:
            if not once.exists():
                once.write_text("happened")
                ray.kill(worker_group.get_workers()[1].actor)

    once, store = tmp_path / "once", publish_pairs(tmp_path)
    its_task = task(store, "started", CONFIG.with_overrides({"epochs": 1}))
    workers = ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5})
    state = fit(its_task, workers, 0, callbacks=[LosesOneAtItsStart()])
    assert once.exists()
    assert state["progress"]["steps_done"] == STEPS_PER_EPOCH


@pytest.mark.ray
@pytest.mark.slow  # without Ray in every run: tests/training/test_loop.py
@pytest.mark.timeout(290)
def test_a_loss_that_is_not_finite_ends_the_run_by_its_step_and_the_last_checkpoint_goes_on(
    calm, tmp_path
):
    def not_finite() -> None:
        import figclip.training.step as step

        loss_of = step.clip_loss
        step.clip_loss = lambda *features, present: loss_of(*features, present=present) * torch.nan

    with pytest.raises(UsageError, match=r"no longer finite at step 21; lower .* is kept in") as e:
        run(calm, "nan", EXACT, fault=not_finite, once=tmp_path / "happened")
    assert f"{calm.root.path}/runs/encoder-nan" in str(e.value)
    assert not calm.is_published("encoder", "nan")
    assert max(registered_steps(calm, "nan")) == STEPS_PER_EPOCH
    run(calm, "nan", EXACT)
    assert ends_like_the_calm_one(calm, "nan", calm)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(290)
def test_a_full_disk_ends_the_run_and_the_checkpoint_before_goes_on(calm, tmp_path):
    def full() -> None:
        import figclip.training.uploads as uploads

        def save(folder: Folder, *, state: object) -> None:
            folder.write("state.pt.part", b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        uploads.save_checkpoint = save

    with pytest.raises(OSError, match="No space left on device"):
        run(calm, "full", EXACT, fault=full, once=tmp_path / "happened", max_failures=0)
    assert not calm.is_published("encoder", "full")
    assert max(registered_steps(calm, "full")) == KILLED_AFTER
    run(calm, "full", EXACT)
    assert ends_like_the_calm_one(calm, "full", calm)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(290)
def test_a_sharded_run_with_an_average_resumes_and_publishes_what_an_unsharded_one_does(
    ray_cluster, tmp_path
):
    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    store = publish_pairs(tmp_path)
    averaged = CONFIG.with_overrides({"precision": "fp32", "ema_decay": 0.9})
    sharded = averaged.with_overrides({"parallel": "fsdp"})
    run(store, "sharded", sharded, fault=killed, once=tmp_path / "killed")
    run(store, "whole", averaged)
    run(store, "last", CONFIG.with_overrides({"precision": "fp32"}))
    found, expected, last = (weights(store, v) for v in ("sharded", "whole", "last"))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
    assert any((last[name] - expected[name]).abs().max() > 1e-3 for name in expected)


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
