"""What each Ray Train worker runs: steps, validation and checkpoints, from start or resumed."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import ray.train
import torch
import torch.distributed as dist
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from ray.train.torch import prepare_model

from figclip.config import Config
from figclip.inputs.batches import quieten_ray_data, train_batches
from figclip.inputs.corpora import Corpus
from figclip.inputs.order import RowGroup, SampleOrder, Share
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch, Reader, eval_batches
from figclip.inputs.tokens import Tokenizer
from figclip.log import configure_logging
from figclip.models.clip import Clip, ClipConfig
from figclip.store import Folder
from figclip.training.checkpoint import (
    Progress,
    load_checkpoint,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from figclip.training.optim import OptimConfig, build_optimizer, lr_at, set_lr, warmup_of
from figclip.training.recorder import Recorder
from figclip.training.step import (
    Forward,
    Precision,
    embed_batch,
    step_seed,
    train_step,
    unwrapped,
)

log = logging.getLogger(__name__)

Validate = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""Image and text embeddings, float32 [n, dim] each, row beside row → named numbers."""
T = TypeVar("T")
Embedded = tuple[np.ndarray, np.ndarray]
"""Image and text embeddings of some pairs."""
CHECKPOINTS = "train"
"""Ray Train's folder in the run's."""


class Diverged(Exception):
    """Loss or weights are no longer finite, on every rank alike; its text names the remedy."""


class LoopConfig(Config):
    model: ClipConfig = ClipConfig()
    pixels: PixelConfig = PixelConfig()
    optim: OptimConfig = OptimConfig()
    batch_size: PositiveInt = 4_096
    """Pairs of one step, all workers together."""
    epochs: PositiveInt = 32
    precision: Precision = "bf16"
    """`bf16`: the towers run in bfloat16 autocast; weights, loss and optimiser stay float32."""
    seed: NonNegativeInt = 0
    """Decides initial weights, order, crops and dropout."""
    texts_per_image: PositiveInt = 1
    """Of a corpus whose images have several texts, so many are shown at once."""
    groups_per_window: PositiveInt = 8
    """Row groups whose pairs are shuffled together; each worker holds a few such windows."""
    checkpoint_every_steps: PositiveInt = 500
    """Within an epoch; one more is written at the end of every epoch."""
    log_every_s: PositiveFloat = 5.0
    """Seconds between two lines of progress."""


@dataclass(frozen=True)
class Task:
    """All that a worker is handed."""

    config: LoopConfig
    corpora: tuple[Corpus, ...]
    """What is trained on; their pairs are mixed by the row groups of `train`."""
    train: tuple[RowGroup, ...]
    validation: tuple[RowGroup, ...]
    """Of the first corpus, each pair with its caption."""
    tokenizer: Tokenizer
    run: Folder
    """Where TensorBoard files and, below `CHECKPOINTS`, checkpoints go."""
    validate: Validate | None
    cpus_per_read: float
    reads_per_worker: int


def run_worker(task: Task) -> str | None:
    """The run's fault, where it has one that would come again.

    It is a value because Ray Train tries again after an exception, whatever its type.
    """
    configure_logging()  # a worker is a process of its own, and this is its entry point
    quieten_ray_data()
    worker = Worker(task)
    try:
        worker.train()
    except Diverged as error:
        return str(error)
    finally:
        worker.close()
    return None


class Worker:
    """One rank of a run, between its first step and its last."""

    def __init__(self, task: Task) -> None:
        context, config = ray.train.get_context(), task.config
        self.task, self.config = task, config
        num_ranks = context.get_world_size()
        self.share = Share(context.get_world_rank(), num_ranks, config.batch_size // num_ranks)
        self.steps_per_epoch = self.share.num_steps(sum(group.taken for group in task.train))
        self.num_steps = self.steps_per_epoch * config.epochs
        self.forward = Forward(config.pixels, config.precision)
        torch.manual_seed(config.seed)
        self.model = prepare_model(Clip(config.model))
        self.optimizer = build_optimizer(self.model, config.optim)
        self.progress = self._resumed()
        self.recorder = self._recorder()

    def train(self) -> None:
        order = SampleOrder(self.task.train, self.config.seed, self.config.groups_per_window)
        batches = train_batches(
            self._reader(order, augment=True),
            self.share,
            num_epochs=self.config.epochs,
            steps_done=self.progress.steps_done,
            cpus_per_read=self.task.cpus_per_read,
            max_reads=self.task.reads_per_worker,
        )
        for batch in batches:
            self._step(batch)
            into_epoch = self.progress.steps_done % self.steps_per_epoch
            if into_epoch and into_epoch % self.config.checkpoint_every_steps:
                continue
            self._refuse_divergence()
            if into_epoch == 0:
                self._end_epoch()
            self._checkpoint()

    def close(self) -> None:
        if self.recorder:
            self.recorder.close()

    def _resumed(self) -> Progress:
        """From the run's last checkpoint, or from the start where it has none."""
        if (checkpoint := ray.train.get_checkpoint()) is not None:
            with checkpoint.as_directory() as folder:
                state = read_checkpoint(Path(folder))
        elif (found := newest_checkpoint(self.task.run / CHECKPOINTS)) is not None:
            state = found
        else:
            return Progress()
        progress = load_checkpoint(state, unwrapped(self.model), self.optimizer)
        log.info("rank %d goes on after step %d", self.share.rank, progress.steps_done)
        return progress

    def _recorder(self) -> Recorder | None:
        """One rank's words are enough: the numbers are means over all."""
        if self.share.rank > 0:
            return None
        return Recorder(
            self.task.run / "tensorboard",
            steps_done=self.progress.steps_done,
            num_steps=self.num_steps,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.config.batch_size,
            every_s=self.config.log_every_s,
        )

    def _reader(self, order: SampleOrder, *, augment: bool) -> Reader:
        return Reader(
            corpora=self.task.corpora if augment else (Corpus(self.task.corpora[0].pairs),),
            order=order,
            tokenizer=self.task.tokenizer,
            context_length=self.config.model.text.context_length,
            pixels=self.config.pixels,
            augment_seed=self.config.seed if augment else None,
            texts_per_image=self.config.texts_per_image if augment else 1,
        )

    def _step(self, batch: Batch) -> None:
        step, lr = self.progress.steps_done, self._lr(self.progress.steps_done)
        set_lr(self.optimizer, lr)
        metrics = train_step(
            self.model,
            self.optimizer,
            batch,
            self.forward,
            rng_seed=step_seed(self.config.seed, step=step, rank=self.share.rank),
            max_grad_norm=self.config.optim.max_grad_norm,
        )
        self.progress.leave_out(batch.left_out)
        self.progress.steps_done += 1
        self.progress.loss_sum = self.progress.loss_sum + metrics.loss.double()
        if self.recorder:
            self.recorder.step(self.progress.steps_done, lr, metrics)

    def _lr(self, steps_done: int) -> float:
        """The rate in the middle of the next step, so that neither the first nor the last is 0."""
        size, total = self.config.batch_size, self.num_steps * self.config.batch_size
        return lr_at(
            (steps_done + 0.5) * size,
            peak=self.config.optim.lr,
            warmup_samples=warmup_of(self.config.optim, batch_size=size, total_samples=total),
            total_samples=total,
        )

    def _end_epoch(self) -> None:
        progress = self.progress
        epoch = progress.steps_done // self.steps_per_epoch
        found = {"loss": progress.loss_sum.item() / self.steps_per_epoch, **self._validation()}
        progress.loss_sum = torch.zeros((), dtype=torch.float64)
        samples = progress.steps_done * self.config.batch_size
        progress.history.append({"epoch": epoch, "samples": samples, **found})
        if self.recorder:
            self.recorder.end_epoch(epoch, progress.steps_done, found)

    def _validation(self) -> dict[str, float]:
        """Every rank embeds its part; rank 0 judges the whole, the others learn nothing."""
        if self.task.validate is None or not self.task.validation:
            return {}
        reader = self._reader(SampleOrder(self.task.validation, None, 1), augment=False)
        self.model.eval()
        parts = [
            embed_batch(self.model, batch, self.forward)
            for batch in eval_batches(reader, self.share)
        ]
        self.model.train()
        gathered = [part for rank in _gathered(parts) for part in rank]
        if self.share.rank > 0 or not gathered:
            return {}
        images, texts = (np.concatenate(side) for side in zip(*gathered, strict=True))
        return self.task.validate(images, texts)

    def _refuse_divergence(self) -> None:
        """`Diverged` before a broken state is validated or kept."""
        weights = torch.stack([weight.detach().sum() for weight in self.model.parameters()])
        if not (self.progress.loss_sum.isfinite() and weights.isfinite().all()):
            raise Diverged(
                f"the training has diverged: loss or weights are no longer finite at step "
                f"{self.progress.steps_done}; lower --optim.lr, lengthen the warm-up or set "
                f"--optim.max-grad-norm, under a new version"
            )

    def _checkpoint(self) -> None:
        """Every rank reports, rank 0 with the state."""
        progress = self.progress
        progress.left_out = dict(
            sorted(pair for rank in _gathered(progress.left_out) for pair in rank.items())
        )
        metrics = {"steps": progress.steps_done, **(progress.history or [{}])[-1]}
        if self.recorder is None:
            ray.train.report(metrics)
            return
        self.recorder.upload()
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(Path(folder), unwrapped(self.model), self.optimizer, progress)
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _gathered(part: T) -> list[T]:
    """What every rank has, in the order of the ranks."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [part]
    everyone = [part] * dist.get_world_size()
    dist.all_gather_object(everyone, part)
    return everyone
