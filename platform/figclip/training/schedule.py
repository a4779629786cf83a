"""How a run proceeds: batch size and learning rate as functions of the step, and nothing else.

Where the batch grows, most steps are taken in the first few samples (4,096 for 8 epochs, then
65,536 for 32: 80 % of the steps in 20 % of the samples), so what is planned is planned by samples.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

from figclip.config import UsageError
from figclip.training.optim import OptimConfig

BatchSchedule = tuple[tuple[int, int], ...]
"""(epochs, batch size): after so many epochs, batches of that size."""


@dataclass(frozen=True)
class Epoch:
    number: int
    """From 0."""
    batch_size: int
    num_steps: int
    first_step: int
    """Steps of the epochs before."""
    first_sample: int
    """Samples of the epochs before."""

    @property
    def last_step(self) -> int:
        """Steps done when the epoch is over."""
        return self.first_step + self.num_steps


@dataclass(frozen=True)
class Schedule:
    """All epochs of a run; each has whole batches only."""

    epochs: tuple[Epoch, ...]

    @property
    def num_steps(self) -> int:
        return self.epochs[-1].last_step

    @property
    def num_samples(self) -> int:
        return self.samples(self.num_steps)

    @cached_property
    def _first_steps(self) -> list[int]:
        return [epoch.first_step for epoch in self.epochs]

    def epoch_of(self, step: int) -> Epoch:
        """That of step number `step`, counted from 0; of all later ones the last."""
        return self.epochs[bisect_right(self._first_steps, step) - 1]

    def samples(self, steps_done: int) -> int:
        """Seen in the first `steps_done` steps."""
        epoch = self.epoch_of(steps_done)
        return epoch.first_sample + (steps_done - epoch.first_step) * epoch.batch_size

    def epochs_after(self, steps_done: int) -> tuple[Epoch, ...]:
        """Those that are not over after so many steps."""
        return tuple(epoch for epoch in self.epochs if epoch.last_step > steps_done)


def schedule_of(
    *, num_rows: int, epochs: int, batch_size: int, batch_schedule: BatchSchedule = ()
) -> Schedule:
    """`epochs` epochs of `num_rows` rows, of which less than one batch is left out of each.

    `UsageError` where an epoch would have no batch at all, or the changes are not in order.
    """
    changes = [0, *(after for after, _ in batch_schedule)]
    sizes = [batch_size, *(size for _, size in batch_schedule)]
    if sorted(set(changes)) != changes or changes[-1] >= epochs:
        raise UsageError(
            f"the batch cannot change after {', '.join(map(str, changes[1:]))} of {epochs} epochs: "
            f"set --batch-schedule to ascending numbers of epochs, above 0 and below --epochs"
        )
    found: list[Epoch] = []
    step = sample = 0
    for number in range(epochs):
        size = sizes[bisect_right(changes, number) - 1]
        num_steps = num_rows // size
        if num_steps == 0:
            raise UsageError(
                f"{num_rows} training pairs do not fill one batch of {size}: set a smaller "
                f"--batch-size (or --batch-schedule), or ingest more articles"
            )
        found.append(Epoch(number, size, num_steps, step, sample))
        step, sample = step + num_steps, sample + num_steps * size
    return Schedule(tuple(found))


def learning_rate(config: OptimConfig, schedule: Schedule, step: int) -> float:
    """Of step number `step`, counted from 0: that in its middle, so that none is 0."""
    middle = _progress(config, schedule, step), _progress(config, schedule, step + 1)
    return lr_at(
        sum(middle) / 2,
        peak=config.lr,
        warmup=warmup_of(config, schedule),
        total=_progress(config, schedule, schedule.num_steps),
    )


def warmup_of(config: OptimConfig, schedule: Schedule) -> int:
    """Length of the warm-up in what the learning rate follows, samples or steps.

    `UsageError` where the run ends before it does.
    """
    steps = config.warmup_steps
    if config.warmup_samples is not None:
        every = range(schedule.num_steps)
        steps = bisect_left(every, config.warmup_samples, key=schedule.samples)
        if config.warmup_samples >= schedule.num_samples:
            raise UsageError(
                f"the warm-up of {config.warmup_samples} samples is as long as the whole run of "
                f"{schedule.num_samples}: set --optim.warmup-samples below {schedule.num_samples}, "
                f"or raise --epochs"
            )
    elif steps >= schedule.num_steps:
        raise UsageError(
            f"the warm-up of {steps} steps is as long as the whole run of {schedule.num_steps}: "
            f"set --optim.warmup-steps below {schedule.num_steps}, or raise --epochs"
        )
    if config.lr_follows == "steps":
        return steps
    return schedule.samples(steps) if config.warmup_samples is None else config.warmup_samples


def _progress(config: OptimConfig, schedule: Schedule, steps_done: int) -> int:
    return schedule.samples(steps_done) if config.lr_follows == "samples" else steps_done


def lr_at(done: float, *, peak: float, warmup: int, total: int) -> float:
    """The learning rate after `done` samples (or steps): linear to `peak`, then half a cosine."""
    if done < warmup:
        return peak * done / warmup
    progress = (done - warmup) / max(1, total - warmup)
    return peak * (1 + math.cos(math.pi * min(1.0, progress))) / 2
