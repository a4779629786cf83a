"""Pairs → an encoder artifact: contrastive pretraining on Ray Train, resumable to the sample."""

import logging
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.train import CheckpointConfig, FailureConfig, RunConfig
from ray.train.torch import TorchConfig
from ray.train.v2.api.config import ScalingConfig

from figclip.config import UsageError
from figclip.inputs.corpora import CorpusShare
from figclip.resources import is_joined_cluster, require_resources
from figclip.store import Manifest, Store
from figclip.training.checkpoint import newest_checkpoint, read_checkpoint
from figclip.training.data import open_data, task_of
from figclip.training.elastic import EvenTrainer
from figclip.training.group import trained
from figclip.training.initial import find_initial, warn_of_other_colours
from figclip.training.publishing import NAME, publish_encoder
from figclip.training.rank import CHECKPOINTS
from figclip.training.recipe import PretrainConfig, check_sizes
from figclip.training.runs import claim, clear_leftovers, find_run
from figclip.training.task import Task, Validate
from figclip.training.trackers import TrackerConfig, require_trackers
from figclip.training.worker import run_worker

log = logging.getLogger(__name__)


def pretrain(
    store: Store,
    *,
    corpora: Sequence[CorpusShare],
    version: str,
    config: PretrainConfig,
    num_workers: int,
    cpus_per_worker: float,
    use_gpu: bool,
    validate: Validate | None,
    min_workers: int | None = None,
    resize_every_s: float = 60.0,
    cpus_per_read: float = 0.5,
    reads_per_worker: int = 1,
    max_failures: int = 1,
    trackers: TrackerConfig | None = None,
) -> Manifest:
    """Train on the train splits of some corpora, mixed by weights, publish `encoder@version`.

    Called again after a kill, it goes on from the last checkpoint and ends with the same weights;
    with another number of workers it sees the same samples in the same batches. Given
    `min_workers`, it starts with as many workers as find room and can share the lanes evenly, down
    to so few, and takes more or fewer as the cluster grows (it looks every `resize_every_s`
    seconds) or shrinks. `validate` judges the embeddings of the first corpus's validation split
    after every epoch: of its images and their captions. Pairs that give nothing are left out,
    counted, and named in the encoder's `left_out.json`. Besides the workers' CPUs, reading needs
    `cpus_per_read` CPUs a task, and each worker has `reads_per_worker` of them where there are so
    many. A worker group that fails is started again `max_failures` times. `UsageError` names what
    to mend.
    """
    inputs = tuple(dict.fromkeys(share.artifact for share in corpora))
    shares = [share.model_dump(mode="json") for share in corpora]
    values = config.model_dump(mode="json") | {"corpora": shares}
    run = store.root / "runs" / f"{NAME}-{version}"
    if store.already_published(NAME, version, values, inputs):
        clear_leftovers(run, {"config": values, "inputs": list(inputs)})
        return store.manifest(NAME, version)
    data = open_data(store, corpora)
    require_trackers(trackers or TrackerConfig())
    fewest = min_workers or num_workers
    check_sizes(config, num_rows=data.num_rows, workers=range(fewest, num_workers + 1))
    if not data.validation:
        log.warning("%s has no validation split: the run is not validated", inputs[0])
    require_resources(
        {
            "CPU": fewest * cpus_per_worker + cpus_per_read,
            "GPU": fewest if use_gpu else 0,
        },
        ray.cluster_resources(),
        remedies={
            "CPU": "set --num-workers, --cpus-per-worker or --cpus-per-read lower",
            "GPU": "set --num-workers lower, or --no-use-gpu",
        },
        can_grow=is_joined_cluster(os.environ),
    )
    record = {"config": values, "inputs": list(inputs)}
    find_run(run, record)
    initial = find_initial(config.init, config.model, run)
    if initial is not None:
        warn_of_other_colours(initial, config.pixels)
    task = task_of(
        data,
        config,
        run,
        initial=initial,
        validate=validate,
        cpus_per_read=cpus_per_read,
        reads_per_worker=reads_per_worker,
        trackers=trackers or TrackerConfig(),
    )
    claim(run, record)
    workers = ScalingConfig(
        num_workers=num_workers if min_workers is None else (min_workers, num_workers),
        use_gpu=use_gpu,
        elastic_resize_monitor_interval_s=resize_every_s,
        resources_per_worker={"CPU": cpus_per_worker, **({"GPU": 1} if use_gpu else {})},
    )
    state = fit(task, workers, max_failures)
    publish_encoder(store, version, task, state, values=values, inputs=inputs)
    run.clear()
    return store.manifest(NAME, version)


def fit(
    task: Task,
    workers: ScalingConfig,
    max_failures: int,
    *,
    callbacks: Sequence[Any] = (),
) -> dict[str, Any]:
    """Run to the end, from the last checkpoint where there is one; the state at the end."""
    result = trained(partial(_trainer, task, workers, max_failures, callbacks))
    if result.return_value is not None:
        raise UsageError(result.return_value)
    if result.checkpoint is None:  # resumed at its end, where nothing is left to report
        name = newest_checkpoint(task.run / CHECKPOINTS)
        assert name is not None
        with tempfile.TemporaryDirectory() as copy:
            return read_checkpoint((task.run / CHECKPOINTS / name).download(Path(copy)))
    with result.checkpoint.as_directory() as folder:
        return read_checkpoint(Path(folder))


def _trainer(
    task: Task, workers: ScalingConfig, max_failures: int, callbacks: Sequence[Any]
) -> EvenTrainer:
    return EvenTrainer(
        partial(run_worker, task),
        num_lanes=task.config.lanes,
        scaling_config=workers,
        torch_config=TorchConfig(backend="nccl" if workers.use_gpu else "gloo"),
        run_config=RunConfig(
            name=CHECKPOINTS,  # Ray Train resumes where a run of this name is in this place
            storage_path=task.run.path,
            storage_filesystem=task.run.fs,
            failure_config=FailureConfig(max_failures=max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            callbacks=list(callbacks),
        ),
    )
