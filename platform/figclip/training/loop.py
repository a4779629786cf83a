"""What each Ray Train worker runs: steps, validation and checkpoints, from start or resumed."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from ray.train import Checkpoint
from ray.train.torch import prepare_model

from figclip.config import Config
from figclip.inputs.batches import quieten_ray_data, read_batches
from figclip.inputs.corpora import Corpus
from figclip.inputs.lanes import Share, Span, training_span, whole_span
from figclip.inputs.order import RowGroup, SampleOrder
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch, Reader
from figclip.inputs.tokens import Tokenizer
from figclip.log import configure_logging
from figclip.models.adapting import AdaptConfig
from figclip.models.clip import ClipConfig
from figclip.models.flops import clip_flops, peak_flops
from figclip.store import Folder
from figclip.training.checkpoint import (
    Progress,
    newest_checkpoint,
    restore,
)
from figclip.training.initial import initial_clip
from figclip.training.optim import OptimConfig, build_optimizer, set_lr
from figclip.training.recorder import Recorder, StepFacts
from figclip.training.schedule import Epoch, Schedule, learning_rate, schedule_of
from figclip.training.step import (
    Forward,
    Precision,
    embed_batch,
    step_seed,
    train_step,
    unwrapped,
)
from figclip.training.trackers import TrackerConfig, open_trackers
from figclip.training.uploads import Uploads
from figclip.training.validation import gathered, of_all_ranks, validation_loss

log = logging.getLogger(__name__)

Validate = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""Image and text embeddings, float32 [n, dim] each, row beside row → named numbers."""
CHECKPOINTS = "train"
"""Ray Train's folder in the run's."""
GUARD_EVERY_STEPS = 20
"""How often the ranks look for a loss that is not finite: to read it, they wait for the device."""


class Diverged(Exception):
    """Loss or weights are no longer finite, on every rank alike; its text names the remedy."""


class LoopConfig(Config):
    model: ClipConfig = ClipConfig()
    init: str | None = None
    """Start from these weights, and its tokenizer: an encoder's folder, one of open_clip or of
    transformers' CLIP, or its name on the hub. Position embeddings are resampled to `model`."""
    adapt: AdaptConfig = AdaptConfig()
    pixels: PixelConfig = PixelConfig()
    optim: OptimConfig = OptimConfig()
    batch_size: PositiveInt = 4_096
    """Pairs of one step, all workers together; a multiple of `lanes`."""
    batch_schedule: tuple[tuple[PositiveInt, PositiveInt], ...] = ()
    """Other batches later, as epochs and size: `8 65536` takes batches of 65,536 after 8 epochs."""
    lanes: PositiveInt = 8
    """Parts that an epoch is cut into; every step takes as many pairs of each, every worker owns as
    many. A multiple of every number of workers that the run may have. Each reads a window."""
    epochs: PositiveInt = 32
    precision: Precision = "bf16"
    """`bf16`: the towers run in bfloat16 autocast; weights, loss and optimiser stay float32."""
    seed: NonNegativeInt = 0
    """Decides initial weights, order, crops and dropout."""
    texts_per_image: PositiveInt = 1
    """Of a corpus whose images have several texts, so many are shown at once."""
    groups_per_window: PositiveInt = 2
    """Row groups whose pairs are shuffled together, in each lane."""
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
    trackers: TrackerConfig

    @property
    def orders(self) -> tuple[SampleOrder, SampleOrder]:
        """Of the training pairs and of those for validation."""
        return (
            SampleOrder(self.train, self.config.seed, self.config.groups_per_window),
            SampleOrder(self.validation, None, 1),
        )

    @property
    def schedule(self) -> Schedule:
        return schedule_of(
            num_rows=self.orders[0].num_rows,
            epochs=self.config.epochs,
            batch_size=self.config.batch_size,
            batch_schedule=self.config.batch_schedule,
        )


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
        self.task, self.config, self.schedule = task, config, task.schedule
        self.share = Share(context.get_world_rank(), context.get_world_size(), config.lanes)
        self.forward = Forward(config.pixels, config.precision)
        torch.manual_seed(config.seed)
        self.model = prepare_model(
            initial_clip(task.run, config.init, config.model, config.adapt),
            parallel_strategy_kwargs={"gradient_as_bucket_view": True},
        )
        self.optimizer = build_optimizer(self.model, config.optim)
        self.flops = clip_flops(config.model)
        self.progress = self._resumed()
        self.recorder = self._recorder()
        self.uploads = Uploads(task.run / CHECKPOINTS, self.share.rank)

    def train(self) -> None:
        epochs = self.schedule.epochs_after(self.progress.steps_done)
        spans = [span for epoch in epochs for span in self._spans(epoch)]
        batches = read_batches(
            self._readers(),
            spans,
            cpus_per_read=self.task.cpus_per_read,
            max_reads=self.task.reads_per_worker,
        )
        for epoch in epochs:
            self._epoch(epoch, batches)

    def close(self) -> None:
        if self.recorder:
            self.recorder.close()

    def _resumed(self) -> Progress:
        """From the run's last checkpoint, or from the start where it has none."""
        if (checkpoint := ray.train.get_checkpoint()) is None:
            run = self.task.run / CHECKPOINTS
            if (newest := newest_checkpoint(run)) is None:
                return Progress()
            checkpoint = Checkpoint(f"{run.path}/{newest}", run.fs)
        with checkpoint.as_directory() as folder:
            progress = restore(Path(folder), self.model, self.optimizer)
        log.info(
            "rank %d of %d goes on after step %d",
            *(self.share.rank, self.share.num_ranks, progress.steps_done),
        )
        return progress

    def _recorder(self) -> Recorder | None:
        """One rank's words are enough: the numbers are means over all."""
        if self.share.rank > 0:
            return None
        task, config = self.task, self.config
        trackers = open_trackers(
            task.trackers,
            task.run,
            name=task.run.path.rpartition("/")[2],
            values=config.model_dump(mode="json"),
            samples_done=self.schedule.samples(self.progress.steps_done),
        )
        return Recorder(
            trackers,
            self.schedule,
            every_s=config.log_every_s,
            peak_flops=peak_flops(self._device, config.precision),
        )

    @property
    def _device(self) -> torch.device:
        return unwrapped(self.model).logit_scale.device

    def _readers(self) -> tuple[Reader, Reader]:
        """Of the training pairs and of those for validation: a span's `order` says which."""
        task, config = self.task, self.config
        common: dict[str, Any] = {
            "tokenizer": task.tokenizer,
            "context_length": config.model.text.context_length,
            "pixels": config.pixels,
        }
        train, validation = task.orders
        return (
            Reader(
                corpora=task.corpora,
                order=train,
                augment_seed=config.seed,
                texts_per_image=config.texts_per_image,
                **common,
            ),
            Reader(
                corpora=(Corpus(task.corpora[0].pairs),),
                order=validation,
                augment_seed=None,
                **common,
            ),
        )

    def _spans(self, epoch: Epoch) -> list[Span]:
        """What is left of the epoch, and the validation after it."""
        training = training_span(
            self.share,
            epoch=epoch.number,
            num_rows=self.task.orders[0].num_rows,
            batch_size=epoch.batch_size,
            num_steps=epoch.num_steps,
            steps_done=max(self.progress.steps_done - epoch.first_step, 0),
        )
        validation = self._validation_span()
        return [training, validation] if validation.sizes else [training]

    def _validation_span(self) -> Span:
        num_rows = self.task.orders[1].num_rows if self.task.validate else 0
        # Without gradients a batch takes less memory than one to train on.
        size = self.config.batch_size // self.share.num_ranks
        return whole_span(self.share, num_rows=num_rows, batch_size=size, order=1)

    def _epoch(self, epoch: Epoch, batches: Iterator[Batch]) -> None:
        while self.progress.steps_done < epoch.last_step:
            self._step(batches)
            into_epoch = self.progress.steps_done - epoch.first_step
            if into_epoch % GUARD_EVERY_STEPS == 0:
                self._refuse_divergence()
            if into_epoch % self.config.checkpoint_every_steps == 0 and (
                into_epoch < epoch.num_steps
            ):
                self._checkpoint()
        self._end_epoch(epoch, batches)
        self._checkpoint()

    def _step(self, batches: Iterator[Batch]) -> None:
        begin, step = time.monotonic(), self.progress.steps_done
        batch = next(batches)
        wait_s = time.monotonic() - begin
        lr = learning_rate(self.config.optim, self.schedule, step)
        set_lr(self.optimizer, lr)
        metrics = train_step(
            self.model,
            self.optimizer,
            batch,
            self.forward,
            rng_seed=step_seed(self.config.seed, step=step, rank=self.share.rank),
            max_grad_norm=self.config.optim.max_grad_norm,
        )
        progress = self.progress
        progress.leave_out(batch.left_out)
        progress.steps_done += 1
        progress.samples_seen = self.schedule.samples(progress.steps_done)
        progress.loss_sum = progress.loss_sum + metrics.loss.double()
        bad = ~metrics.loss.isfinite() & (progress.first_bad_step == 0)
        progress.first_bad_step = progress.first_bad_step + bad * progress.steps_done
        if self.recorder:
            facts = StepFacts(lr, wait_s, self._flops_of(batch))
            self.recorder.step(progress.steps_done, facts, metrics)

    def _flops_of(self, batch: Batch) -> float:
        longest = int(batch.mask.sum(dim=1).max())  # the columns that the step computes
        return self.flops.batch(len(batch.pixels), [longest] * len(batch.ids))

    def _end_epoch(self, epoch: Epoch, batches: Iterator[Batch]) -> None:
        self._refuse_divergence()  # before broken weights are validated
        progress = self.progress
        loss = progress.loss_sum.item() / epoch.num_steps
        found = {"loss": loss, **self._validation(batches)}
        progress.loss_sum = torch.zeros((), dtype=torch.float64)
        progress.history.append(
            {"epoch": epoch.number + 1, "samples": progress.samples_seen, **found}
        )
        if self.recorder:
            self.recorder.end_epoch(epoch.number + 1, progress.steps_done, found)

    def _validation(self, batches: Iterator[Batch]) -> dict[str, float]:
        """Every rank embeds its part; rank 0 judges the whole, the others learn nothing."""
        if self.task.validate is None or not self.task.validation:
            return {}
        num_batches = len(self._validation_span().sizes)
        self.model.eval()
        parts = []
        for batch in islice(batches, num_batches):
            for pair_id, why in batch.left_out.items():
                log.warning("pair %s is left out of the validation: %s", pair_id, why)
            if (usable := batch.with_texts()).num_images:
                parts.append(embed_batch(self.model, usable, self.forward))
        self.model.train()
        scale = unwrapped(self.model).logit_scale.detach().exp().item()
        if (whole := gathered(parts)) is None:
            return {}
        loss = validation_loss(*whole, scale=scale, batch_size=self.config.batch_size)
        return {"validation_loss": loss, **self.task.validate(*whole)}

    def _refuse_divergence(self) -> None:
        """`Diverged` before a broken state is validated or kept."""
        progress = self.progress
        weights = torch.stack([weight.detach().sum() for weight in self.model.parameters()])
        bad_step = int(progress.first_bad_step)
        if bad_step == 0 and not weights.isfinite().all():
            bad_step = progress.steps_done
        if bad_step:
            kept = f"the last checkpoint is kept in {self.task.run.path}"
            raise Diverged(
                f"the training has diverged: loss or weights are no longer finite at step "
                f"{bad_step}; lower --optim.lr, lengthen the warm-up or set "
                f"--optim.max-grad-norm, under a new version ({kept})"
            )

    def _checkpoint(self) -> None:
        """Copy the state and go on training while it is written; every rank must call it."""
        self._refuse_divergence()
        progress = self.progress
        progress.left_out = dict(
            sorted(pair for rank in of_all_ranks(progress.left_out) for pair in rank.items())
        )
        if self.recorder:
            self.recorder.save()
        metrics = {"steps": progress.steps_done, **(progress.history or [{}])[-1]}
        self.uploads.send(metrics, self.model, self.optimizer, progress)
