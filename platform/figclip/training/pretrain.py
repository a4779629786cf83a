"""Pairs → an encoder artifact: contrastive pretraining on Ray Train, resumable to the sample."""

import json
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import ray
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig
from ray.train.torch import TorchConfig
from ray.train.v2.api.config import ScalingConfig
from ray.train.v2.api.exceptions import WorkerGroupError
from ray.train.v2.api.result import Result

from figclip.config import UsageError
from figclip.inputs.corpora import (
    Corpus,
    CorpusShare,
    all_texts,
    mixed_row_groups,
    open_corpora,
    row_groups,
)
from figclip.inputs.order import RowGroup, SampleOrder
from figclip.inputs.tokens import FILE as TOKENIZER_FILE
from figclip.inputs.tokens import Tokenizer, open_tokenizer, train_wordpiece
from figclip.models.adapting import adapted, mixes_pictures, plain
from figclip.models.clip import Clip
from figclip.models.model_card import FILE as CARD_FILE
from figclip.models.model_card import model_card
from figclip.models.opening import Opened
from figclip.models.text import TextConfig
from figclip.models.weights import clip_with, save_weights
from figclip.resources import is_joined_cluster, require_resources
from figclip.store import Folder, Manifest, Publication, Store
from figclip.training.checkpoint import newest_checkpoint, read_checkpoint
from figclip.training.elastic import EvenTrainer, largest_divisor
from figclip.training.initial import (
    find_initial,
    initial_tokenizer,
    keep_initial,
    warn_of_other_colours,
)
from figclip.training.rank import CHECKPOINTS
from figclip.training.schedule import schedule_of, warmup_of
from figclip.training.task import LoopConfig, Task, Validate
from figclip.training.trackers import TrackerConfig, require_trackers
from figclip.training.worker import run_worker

log = logging.getLogger(__name__)

NAME = "encoder"
RUN_FILE = "run.json"
LEFT_OUT_FILE = "left_out.json"
"""Pairs of the train split that gave nothing: pair id → why."""
SNAPSHOT = "checkpoint_manager_snapshot.json"
"""Ray Train's list of the checkpoints of a run."""


class PretrainConfig(LoopConfig):
    tokenizer: str | None = None
    """A `vocab.txt`, `tokenizer.json`, folder or hub name, or OpenAI's byte pairs
    (`bpe_simple_vocab_16e6.txt.gz`). None takes that of `init`, or else trains a WordPiece of
    `model.text.vocab_size` tokens on the texts of the train split of all corpora."""


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
    initial = find_initial(config.init, config.model, run)
    claim(run, {"config": values, "inputs": list(inputs)})
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


@dataclass(frozen=True)
class Data:
    """What runs on the same corpora have in common."""

    corpora: tuple[Corpus, ...]
    train: tuple[RowGroup, ...]
    validation: tuple[RowGroup, ...]
    """Of the first corpus, like the next."""
    test: tuple[RowGroup, ...]

    @property
    def num_rows(self) -> int:
        """That an epoch shows."""
        return SampleOrder(self.train, 0, 1).num_rows


def open_data(store: Store, corpora: Sequence[CorpusShare]) -> Data:
    """`UsageError` where one of them is not published."""
    opened = open_corpora(store, corpora)
    return Data(
        corpora=opened,
        train=mixed_row_groups(opened, corpora, "train"),
        validation=row_groups(opened[0].pairs, "validation"),
        test=row_groups(opened[0].pairs, "test"),
    )


def task_of(
    data: Data,
    config: PretrainConfig,
    run: Folder,
    *,
    initial: Opened | None,
    validate: Validate | None,
    cpus_per_read: float = 0.0,
    reads_per_worker: int = 1,
    trackers: TrackerConfig,
) -> Task:
    """What a run's workers are handed; tokenizer and initial weights are kept in its folder."""
    keep_initial(run, initial)
    return Task(
        config=config.part(LoopConfig),
        corpora=data.corpora,
        train=data.train,
        validation=data.validation,
        tokenizer=_tokenizer(run, config, data.corpora, data.train, initial),
        run=run,
        validate=validate,
        cpus_per_read=cpus_per_read,
        reads_per_worker=reads_per_worker,
        trackers=trackers,
    )


def publish_encoder(
    store: Store,
    version: str,
    task: Task,
    state: dict[str, Any],
    *,
    values: dict[str, Any],
    inputs: tuple[str, ...],
) -> Manifest:
    """What a checkpoint's `state` has learned, as `encoder@version` with its card."""
    with store.publishing(NAME, version, config=values, inputs=inputs) as publication:
        _write_encoder(publication, task, state)
        card = model_card(
            f"{NAME}@{version}",
            task.config.model.settled(),
            inputs=inputs,
            run=values,
            counts=publication.counts,
        )
        publication.folder.write(CARD_FILE, card.encode())
    return store.manifest(NAME, version)


def check_sizes(config: PretrainConfig, *, num_rows: int, workers: range) -> None:
    """`UsageError` where batch, lanes, workers, pairs, pictures or warm-up do not fit.

    Of the numbers of `workers` one has to divide the lanes; an elastic run takes only those.
    """
    most = workers[-1]
    if largest_divisor(config.lanes, most) < workers[0]:
        told = f"{most}" if len(workers) == 1 else f"{workers[0]} to {most}"
        raise UsageError(
            f"{config.lanes} lanes cannot be shared evenly by {told} workers: set --num-workers to "
            f"{largest_divisor(config.lanes, most)}, or --lanes to a multiple of {most}"
        )
    for size in (config.batch_size, *(size for _, size in config.batch_schedule)):
        if size % config.lanes:
            raise UsageError(
                f"a batch of {size} pairs cannot take as many of each of {config.lanes} lanes: set "
                f"--batch-size (and --batch-schedule) to multiples of {config.lanes}, or --lanes "
                f"to a divisor of them"
            )
    _check_parts(config, workers[0])
    if config.pixels.size != config.model.vision.image_size:
        raise UsageError(
            f"pictures of {config.pixels.size} px do not fit a tower for "
            f"{config.model.vision.image_size} px: set --pixels.size or --model.vision.image-size"
        )
    schedule = schedule_of(
        num_rows=num_rows,
        epochs=config.epochs,
        batch_size=config.batch_size,
        batch_schedule=config.batch_schedule,
    )
    warmup_of(config.optim, schedule)


def _check_parts(config: PretrainConfig, num_workers: int) -> None:
    """Gradients in parts are those of the whole batch only where its pictures are apart."""
    largest = max(config.batch_size, *(size for _, size in config.batch_schedule), 0)
    if (config.micro_batch_size or largest) * num_workers >= largest:
        return
    only_pictures = config.adapt.with_overrides(
        {"lora_rank": 0, "lock_text": False, "text_unlocked": 0}
    )
    with torch.device("meta"):
        model = config.model.model_copy(update={"text": TextConfig()})  # any: no hub is asked
        clip = adapted(Clip(model.settled()), only_pictures)
    if mixes_pictures(clip):
        raise UsageError(
            f"{config.model.vision.timm_model} normalises a picture by its batch, which cannot go "
            f"through in parts: set --adapt.freeze-batch-norm, or no --micro-batch-size"
        )


def _num_rows(groups: tuple[RowGroup, ...]) -> int:
    return sum(group.num_rows for group in groups)


def clear_leftovers(run: Folder, record: dict[str, Any]) -> None:
    """Delete the folder of that very run, which was killed after it had published."""
    if run.exists(RUN_FILE) and record.items() <= json.loads(run.read(RUN_FILE)).items():
        log.info("clearing %s: its encoder is published", run.path)
        run.clear()


def claim(run: Folder, record: dict[str, Any]) -> None:
    """Start the run's folder, or find there the same run, to be resumed."""
    if not run.exists(RUN_FILE):
        run.clear()
        run.write(RUN_FILE, json.dumps(record, indent=1).encode())
        return
    found = json.loads(run.read(RUN_FILE))
    differing = [name for name in record if found.get(name) != record[name]]
    if differing:
        raise UsageError(
            f"an unfinished run in {run.path} has another {' and '.join(differing)}: run it with "
            f"what its {RUN_FILE} says to resume it, take a new version, or delete that folder"
        )
    forget_torn_snapshot(run / CHECKPOINTS)
    log.info("resuming the run in %s", run.path)


def forget_torn_snapshot(run: Folder) -> None:
    """Delete Ray Train's list of checkpoints where it is half a file, on which no run could start.

    Ray Train writes it in place. Without it, the workers look for the newest checkpoint themselves.
    """
    if not run.exists(SNAPSHOT):
        return
    try:
        json.loads(run.read(SNAPSHOT))
    except ValueError as error:
        log.warning("%s/%s is torn and deleted (%s)", run.path, SNAPSHOT, error)
        run.fs.delete_file(f"{run.path}/{SNAPSHOT}")


def _tokenizer(
    run: Folder,
    config: PretrainConfig,
    corpora: Sequence[Corpus],
    train: tuple[RowGroup, ...],
    initial: Opened | None,
) -> Tokenizer:
    """The given one, that of the initial model, or one trained on the texts.

    The run's folder keeps it for a resumption.
    """
    if run.exists(TOKENIZER_FILE):
        return Tokenizer.load(run)
    vocab_size = config.model.text.settled().vocab_size
    if config.tokenizer is not None:
        tokenizer = open_tokenizer(config.tokenizer)
    elif initial is not None:
        tokenizer = initial_tokenizer(initial)
    else:
        tokenizer = train_wordpiece(all_texts(corpora, train), vocab_size=vocab_size)
    if tokenizer.vocab_size > vocab_size:
        given = config.init or config.model.text.hf_name
        remedy = (
            f"name the one that {given} was trained with, --tokenizer {given}"
            if given
            else f"set --model.text.vocab-size {tokenizer.vocab_size}"
        )
        raise UsageError(
            f"the tokenizer's {tokenizer.vocab_size} tokens exceed the model's {vocab_size}: "
            f"{remedy}"
        )
    tokenizer.save(run)
    return tokenizer


def fit(
    task: Task,
    workers: ScalingConfig,
    max_failures: int,
    *,
    callbacks: Sequence[Any] = (),
) -> dict[str, Any]:
    """Run to the end, from the last checkpoint where there is one; the state at the end."""
    trainer = EvenTrainer(
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
    try:
        result = cast(Result, trainer.fit())
    except WorkerGroupError as error:
        for failure in error.worker_failures.values():
            if isinstance(failure, UsageError | OSError):
                raise failure from error
        raise
    if result.return_value is not None:
        raise UsageError(result.return_value)
    if result.checkpoint is None:  # resumed at its end, where nothing is left to report
        name = newest_checkpoint(task.run / CHECKPOINTS)
        assert name is not None
        with tempfile.TemporaryDirectory() as copy:
            return read_checkpoint((task.run / CHECKPOINTS / name).download(Path(copy)))
    with result.checkpoint.as_directory() as folder:
        return read_checkpoint(Path(folder))


def learned_clip(config: LoopConfig, state: dict[str, Any]) -> Clip:
    """What a checkpoint's `state` has learned: the average of its weights, where it keeps one."""
    learned = state["model"] | state["others"].get("average", {})
    weights = plain(learned, config.model, config.adapt)
    clip: Clip = clip_with(weights, config.model, origin="the last checkpoint")
    return clip


def _write_encoder(publication: Publication, task: Task, state: dict[str, Any]) -> None:
    config, folder, progress = task.config, publication.folder, state["progress"]
    clip = learned_clip(config, state)
    save_weights(folder, clip, config.model)
    task.tokenizer.save(folder)
    config.pixels.save(folder)
    folder.write("history.json", json.dumps(progress["history"], indent=1).encode())
    curves = task.run / "tensorboard"
    for name in curves.files():
        (folder / "_tensorboard").write(name, curves.read(name))
    left_out: dict[str, str] = progress["left_out"]
    folder.write(LEFT_OUT_FILE, json.dumps(left_out, indent=1).encode())
    last = dict(progress["history"][-1])
    publication.counts.update(
        num_train_pairs=_num_rows(task.train),
        num_validation_pairs=_num_rows(task.validation),
        num_parameters=sum(parameter.numel() for parameter in clip.parameters()),
        num_steps=progress["steps_done"],
        num_epochs=last.pop("epoch"),
        samples_seen=last.pop("samples"),
        final_loss=last.pop("loss"),
        left_out=dict(Counter(why.partition(":")[0] for why in left_out.values())),
        validation=last,
    )
