"""What each rank of a run does: steps, validation and checkpoints, from start or resumed."""

import logging
import time
from collections.abc import Iterable, Iterator
from itertools import islice

import torch

from figclip.inputs.lanes import Share
from figclip.inputs.reader import Batch
from figclip.models.flops import clip_flops, peak_flops
from figclip.training.checkpoint import Progress, restore
from figclip.training.gathering import of_all_ranks
from figclip.training.initial import initial_clip
from figclip.training.learner import Learner
from figclip.training.rank import Rank
from figclip.training.recorder import Recorder, StepFacts
from figclip.training.schedule import Epoch, learning_rate
from figclip.training.step import step_seed
from figclip.training.step_config import patch_dropout_at
from figclip.training.task import Task
from figclip.training.trackers import open_trackers
from figclip.training.validation import gathered, validation_loss

log = logging.getLogger(__name__)

GUARD_EVERY_STEPS = 20
"""How often the ranks look for a loss that is not finite: to read it, they wait for the device."""


class Diverged(Exception):
    """Loss or weights are no longer finite, on every rank alike; its text names the remedy."""


class Worker:
    """One rank of a run, between its first step and its last."""

    def __init__(self, task: Task, rank: Rank) -> None:
        config = task.config
        self.task, self.config, self.schedule, self.rank = task, config, task.schedule, rank
        self.share = Share(rank.number, rank.num_ranks, config.lanes)
        torch.manual_seed(config.seed)
        self.learner = Learner(
            initial_clip(task.run, config.init, config.model, config.adapt),
            rank.device,
            steps=config,
            optim=config.optim,
            pixels=config.pixels,
        )
        self.flops = clip_flops(config.model)
        self.progress = self._resumed()
        self.recorder = self._recorder()

    def train(self) -> None:
        epochs = self.schedule.epochs_after(self.progress.steps_done)
        done = self.progress.steps_done
        spans = [span for epoch in epochs for span in self.task.spans(self.share, epoch, done)]
        batches = self.rank.batches(spans)
        for epoch in epochs:
            self._epoch(epoch, batches)

    def close(self) -> None:
        if self.recorder:
            self.recorder.close()

    def _resumed(self) -> Progress:
        """From the run's last checkpoint, or from the start where it has none."""
        with self.rank.last_checkpoint() as folder:
            if folder is None:
                return Progress()
            learner = self.learner
            progress = restore(folder, learner.model, learner.optimizer, learner.others)
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
            peak_flops=peak_flops(self.rank.device, config.precision),
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
        parts = self.learner.embed(usable(islice(batches, own)), num_passes=most)
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
        self.rank.report(metrics, self.learner, progress)


def usable(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Validation passes over what gives nothing, and says so."""
    for batch in batches:
        for pair_id, why in batch.left_out.items():
            log.warning("pair %s is left out of the validation: %s", pair_id, why)
        if (usable := batch.with_texts()).num_images:
            yield usable
