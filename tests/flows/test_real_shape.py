"""The released model's own shape, killed and resumed: what fits and goes on at size, if slowly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_pairs
from small_runs import registered_steps

from figclip.inputs.corpora import CorpusShare
from figclip.models.clip import BIOMEDCLIP
from figclip.store import Store
from figclip.training.optim import OptimConfig
from figclip.training.pretrain import pretrain
from figclip.training.recipe import PretrainConfig

NUM_STEPS, BATCH, KILLED_AFTER = 20, 8, 8
CONFIG = PretrainConfig(
    model=BIOMEDCLIP.with_overrides(
        {"vision.gradient_checkpointing": True, "text.gradient_checkpointing": True}
    ),
    optim=OptimConfig(warmup_steps=5),
    batch_size=BATCH,
    lanes=4,
    epochs=1,
    checkpoint_every_steps=KILLED_AFTER,
    log_every_s=1.0,
)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_vit_b16_with_bert_base_of_256_tokens_is_killed_and_ends_after_all_steps(tmp_path):
    """Two processes share a batch of eight, texts fill their 256 tokens."""
    store = small_pairs.publish_pairs(tmp_path, num_train=NUM_STEPS * BATCH, num_sentences=30)
    paths = [Path(__file__).parents[1], *filter(None, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, __file__, store.url]
    with (tmp_path / "driver.log").open("ab") as out:
        driver = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        while KILLED_AFTER not in registered_steps(store, "v"):
            assert driver.poll() is None, (tmp_path / "driver.log").read_text()
            time.sleep(0.2)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        subprocess.run(command, stdout=out, stderr=out, env=environment, check=True)
    counts = store.manifest("encoder", "v").counts
    assert counts["num_parameters"] == 195_902_721
    assert (counts["num_steps"], counts["samples_seen"]) == (NUM_STEPS, NUM_STEPS * BATCH)
    assert f"goes on after step {KILLED_AFTER}" in (tmp_path / "driver.log").read_text()


if __name__ == "__main__":
    import ray

    ray.init(num_cpus=4, object_store_memory=300 * 2**20, include_dashboard=False)
    pretrain(
        Store(sys.argv[1]),
        corpora=(CorpusShare(pairs="small"),),
        version="v",
        config=CONFIG,
        num_workers=2,
        cpus_per_worker=1,
        cpus_per_read=0.5,
        use_gpu=False,
        validate=None,
    )
