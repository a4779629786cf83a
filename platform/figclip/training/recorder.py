"""What a person sees of a run: a line every few seconds, and curves over the samples seen."""

import logging
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from figclip.training.schedule import Schedule
from figclip.training.step import StepMetrics
from figclip.training.trackers import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepFacts:
    """What one rank knows of a step without waiting for its device."""

    lr: float
    wait_s: float
    """How long the rank waited for the batch."""
    flops: float
    """Of this rank's part of the batch; see `models.flops`."""


class Recorder:
    """Collects the steps' metrics without waiting for the device, and writes them in bursts."""

    def __init__(
        self,
        trackers: Sequence[Tracker],
        schedule: Schedule,
        *,
        every_s: float,
        peak_flops: float | None = None,
    ) -> None:
        self._trackers = trackers
        self._schedule = schedule
        self._every_s = every_s
        self._peak_flops = peak_flops
        self._pending: list[tuple[int, StepFacts, StepMetrics]] = []
        self._last = time.monotonic()

    def step(self, steps_done: int, facts: StepFacts, metrics: StepMetrics) -> None:
        self._pending.append((steps_done, facts, metrics))
        waited = time.monotonic() - self._last
        if waited >= self._every_s or steps_done == self._schedule.num_steps:
            self.flush()

    def flush(self) -> None:
        """Write what has come since the last time, and a line for the reader of the log."""
        if not self._pending:
            return
        names = list(vars(self._pending[0][2]))
        values = torch.stack(
            [torch.stack([*vars(metrics).values()]).float() for _, _, metrics in self._pending]
        ).tolist()
        for (step, facts, _), row in zip(self._pending, values, strict=True):
            self._tell("train", step, {**dict(zip(names, row, strict=True)), "lr": facts.lr})
        first, last = self._pending[0][0], self._pending[-1][0]
        now = time.monotonic()
        rates = self._rates(first - 1, last, max(now - self._last, 1e-9))
        self._tell("train", last, rates)
        loss = values[-1][names.index("loss")]
        log.info("%s", progress_line(self._schedule, last, loss, self._pending[-1][1].lr, rates))
        self._pending, self._last = [], now

    def _rates(self, start: int, stop: int, took_s: float) -> dict[str, float]:
        facts = [facts for _, facts, _ in self._pending]
        samples = self._schedule.samples(stop) - self._schedule.samples(start)
        rates = {
            "samples_per_s": samples / took_s,
            "wait_share": min(sum(fact.wait_s for fact in facts) / took_s, 1.0),
            "memory_gb": memory_bytes() / 1e9,
        }
        if self._peak_flops is not None:
            rates["mfu"] = sum(fact.flops for fact in facts) / (took_s * self._peak_flops)
        return rates

    def end_epoch(self, epoch: int, steps_done: int, found: Mapping[str, float]) -> None:
        self.flush()
        self._tell("epoch", steps_done, found)
        words = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        log.info("epoch %d done: %s", epoch, words)
        self.restart_clock()

    def restart_clock(self) -> None:
        """What went before (validation, say) is no training time."""
        self._last = time.monotonic()

    def save(self) -> None:
        self.flush()
        for tracker in self._trackers:
            tracker.save()

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.close()

    def _tell(self, group: str, steps_done: int, values: Mapping[str, float]) -> None:
        samples = self._schedule.samples(steps_done)
        for tracker in self._trackers:
            tracker.scalars({f"{group}/{name}": value for name, value in values.items()}, samples)


def progress_line(
    schedule: Schedule, steps_done: int, loss: float, lr: float, rates: Mapping[str, float]
) -> str:
    """`epoch 3/40, step 120/3400 (15,360 samples): loss 2.1, …, 2 h 05 min left`."""
    epoch = schedule.epoch_of(steps_done - 1)
    left_s = (schedule.num_samples - schedule.samples(steps_done)) / rates["samples_per_s"]
    mfu = f", MFU {rates['mfu']:.1%}" if "mfu" in rates else ""
    return (
        f"epoch {epoch.number + 1}/{len(schedule.epochs)}, step {steps_done}/{schedule.num_steps} "
        f"({schedule.samples(steps_done):,} samples): loss {loss:.4f}, lr {lr:.2e}, "
        f"{rates['samples_per_s']:.1f} samples/s{mfu}, waiting for data {rates['wait_share']:.0%}, "
        f"{duration(left_s)} left"
    )


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `2 h 05 min`, `3 d 04 h`."""
    minutes = round(seconds / 60)
    match minutes:
        case _ if seconds < 90:
            return f"{seconds:.0f} s"
        case _ if minutes < 60:
            return f"{minutes} min"
        case _ if minutes < 48 * 60:
            return f"{minutes // 60} h {minutes % 60:02d} min"
        case _:
            return f"{minutes // 1440} d {minutes % 1440 // 60:02d} h"


def memory_bytes() -> int:
    """The most that this process has held: of the GPU where it has one, else of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
