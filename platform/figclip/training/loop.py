"""What each Ray Train worker runs: steps, validation and checkpoints, from start or resumed."""

import logging
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import ray.train
import torch
from ray.train import Checkpoint
from ray.train.torch import get_device

from figclip.inputs.batches import quieten_ray_data, read_batches
from figclip.inputs.lanes import Share
from figclip.inputs.reader import Batch
from figclip.log import configure_logging
from figclip.models.flops import clip_flops, peak_flops
from figclip.training.checkpoint import Progress, newest_checkpoint, restore
from figclip.training.gathering import of_all_ranks
from figclip.training.initial import initial_clip
from figclip.training.learner import Learner
from figclip.training.recorder import Recorder, StepFacts
from figclip.training.schedule import Epoch, learning_rate
from figclip.training.step import step_seed
from figclip.training.step_config import patch_dropout_at
from figclip.training.task import Task
from figclip.training.trackers import open_trackers
from figclip.training.uploads import Uploads
from figclip.training.validation import gathered, validation_loss

log = logging.getLogger(__name__)

CHECKPOINTS = "train"
"""Ray Train's folder in the run's."""
GUARD_EVERY_STEPS = 20
"""How often the ranks look for a loss that is not finite: to read it, they wait for the device."""


class Diverged(Exception):
    """Loss or weights are no longer finite, on every rank alike; its text names the remedy."""


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
        self.device = own_device()
        torch.manual_seed(config.seed)
        self.learner = Learner(
            initial_clip(task.run, config.init, config.model, config.adapt),
            self.device,
            steps=config,
            optim=config.optim,
            pixels=config.pixels,
        )
        self.flops = clip_flops(config.model)
        self.progress = self._resumed()
        self.recorder = self._recorder()
        self.uploads = Uploads(task.run / CHECKPOINTS, self.share.rank)

    def train(self) -> None:
        epochs = self.schedule.epochs_after(self.progress.steps_done)
        done = self.progress.steps_done
        spans = [span for epoch in epochs for span in self.task.spans(self.share, epoch, done)]
        batches = read_batches(
            self.task.readers(),
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
            learner = self.learner
            progress = restore(Path(folder), learner.model, learner.optimizer, learner.others)
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
            peak_flops=peak_flops(self.device, config.precision),
        )

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
        metrics = self.learner.step(
            batch,
            lr=lr,
            patch_dropout=self._patch_dropout(step),
            rng_seed=step_seed(self.config.seed, step=step, rank=self.share.rank),
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

    def _patch_dropout(self, step: int) -> float:
        return patch_dropout_at(
            self.schedule.samples(step),
            rate=self.config.model.vision.patch_dropout,
            total_samples=self.schedule.samples(self.schedule.num_steps),
            unmasked_tail=self.config.unmasked_tail,
        )

    def _flops_of(self, batch: Batch) -> float:
        """Of the tokens that the texts have: padding is not computed."""
        return self.flops.batch(batch.num_images, batch.mask.sum(dim=1).tolist())

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
        own, most = self.task.num_validation_batches(self.share)
        parts = self.learner.embed(_usable(islice(batches, own)), num_passes=most)
        if (whole := gathered(parts)) is None:
            return {}
        loss = validation_loss(*whole, scale=self.learner.scale, batch_size=self.config.batch_size)
        return {"validation_loss": loss, **self.task.validate(*whole)}

    def _refuse_divergence(self) -> None:
        """`Diverged` before a broken state is validated or kept."""
        progress = self.progress
        bad_step = int(progress.first_bad_step)
        if bad_step == 0 and not self.learner.is_finite():
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
        self.uploads.send(metrics, self.learner, progress)


def own_device() -> torch.device:
    """The GPU that Ray gave to this worker, or the CPU."""
    device = get_device()
    assert isinstance(device, torch.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _usable(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Validation passes over what gives nothing, and says so."""
    for batch in batches:
        for pair_id, why in batch.left_out.items():
            log.warning("pair %s is left out of the validation: %s", pair_id, why)
        if (usable := batch.with_texts()).num_images:
            yield usable
