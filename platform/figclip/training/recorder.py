"""What a person sees of a run: a line every few seconds, and TensorBoard files."""

import logging
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from figclip.store import Folder
from figclip.training.step import StepMetrics

log = logging.getLogger(__name__)


class Recorder:
    """Collects the steps' metrics without waiting for the device, and writes them in bursts.

    TensorBoard's files grow in a local folder and reach the run's folder at every `upload`, so
    that they agree with the checkpoint written then, whatever is killed in between. A run that
    goes on after `steps_done` steps takes back what an earlier try recorded of later ones.
    """

    def __init__(
        self,
        target: Folder,
        *,
        steps_done: int,
        num_steps: int,
        steps_per_epoch: int,
        batch_size: int,
        every_s: float,
    ) -> None:
        self._target = target
        self._num_steps = num_steps
        self._steps_per_epoch = steps_per_epoch
        self._batch_size = batch_size
        self._every_s = every_s
        self._local = tempfile.TemporaryDirectory(prefix="figclip-tensorboard-")
        self._writer = SummaryWriter(
            self._local.name, purge_step=steps_done * batch_size + 1 if steps_done else None
        )
        self._pending: list[tuple[int, float, StepMetrics]] = []
        self._last = time.monotonic()

    def step(self, steps_done: int, lr: float, metrics: StepMetrics) -> None:
        self._pending.append((steps_done, lr, metrics))
        if time.monotonic() - self._last >= self._every_s or steps_done == self._num_steps:
            self.flush()

    def flush(self) -> None:
        """Write what has come since the last time, and a line for the reader of the log."""
        if not self._pending:
            return
        steps = [step for step, _, _ in self._pending]
        values = torch.stack(
            [torch.stack([m.loss, m.grad_norm, m.scale]).float() for _, _, m in self._pending]
        ).tolist()
        now = time.monotonic()
        rate = len(steps) * self._batch_size / max(now - self._last, 1e-9)
        for (step, lr, _), (loss, grad_norm, scale) in zip(self._pending, values, strict=True):
            scalars = {"loss": loss, "grad_norm": grad_norm, "scale": scale, "lr": lr}
            self.scalars("train", step, scalars)
        self.scalars("train", steps[-1], {"samples_per_s": rate})
        self._log_line(steps[-1], self._pending[-1][1], values[-1][0], rate)
        self._pending, self._last = [], now

    def end_epoch(self, epoch: int, steps_done: int, found: dict[str, float]) -> None:
        self.flush()
        self.scalars("epoch", steps_done, found)
        words = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        log.info("epoch %d done: %s", epoch, words)
        self._last = time.monotonic()  # validation is no training time

    def scalars(self, group: str, step: int, values: dict[str, float]) -> None:
        """Points of the curves `group/name`; the axis counts samples."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step * self._batch_size)

    def upload(self) -> None:
        self.flush()
        self._writer.flush()
        self._target.upload(Path(self._local.name))

    def close(self) -> None:
        """End the writer's thread before its folder goes; what was not uploaded is lost."""
        self._writer.close()
        self._local.cleanup()

    def _log_line(self, step: int, lr: float, loss: float, rate: float) -> None:
        left_s = (self._num_steps - step) * self._batch_size / rate
        log.info(
            "epoch %d, step %d/%d: loss %.4f, lr %.2e, %.1f samples/s, %.0f s left",
            (step - 1) // self._steps_per_epoch + 1,
            step,
            self._num_steps,
            loss,
            lr,
            rate,
            left_s,
        )
