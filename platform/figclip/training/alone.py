"""A rank that is alone in its process: it reads its batches itself and keeps its own checkpoints.

No worker group, no pipeline: what a short run would wait for before its first step.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from figclip.inputs.batches import assembled, read_bundle
from figclip.inputs.lanes import Span, bundles
from figclip.inputs.order import RowGroup
from figclip.inputs.reader import Batch, batch_of
from figclip.training.checkpoint import Progress, keep_alone, last_kept, snapshot
from figclip.training.learner import Learner
from figclip.training.loop import Worker, usable
from figclip.training.rank import CHECKPOINTS
from figclip.training.task import Task
from figclip.training.validation import gathered

Tell = Callable[[Progress], None]


def train_alone(task: Task, tell: Tell, *, device: torch.device) -> None:
    """Train to the end in this process, from the last checkpoint where there is one.

    It ends with the bits of a run of one worker. `tell` hears of every checkpoint that is kept,
    first of the one that the run goes on from. `loop.Diverged` where the run has no future.
    """
    worker = Worker(task, LoneRank(task, tell, device))
    try:
        if worker.progress.steps_done:
            tell(worker.progress)
        worker.train()
    finally:
        worker.close()


def judge(task: Task, groups: tuple[RowGroup, ...], *, device: torch.device) -> dict[str, float]:
    """What `task.validate` says of the run's last checkpoint and another split of its corpus."""
    if task.validate is None or not groups:
        return {}
    other = replace(task, validation=groups)
    rank = LoneRank(other, lambda progress: None, device)
    worker = Worker(other, rank)
    try:
        span = other.validation_span(worker.share)
        parts = worker.learner.embed(usable(rank.batches([span])), num_passes=len(span.sizes))
    finally:
        worker.close()
    whole = gathered(parts)
    return task.validate(*whole) if whole else {}


class LoneRank:
    number, num_ranks = 0, 1

    def __init__(self, task: Task, tell: Tell, device: torch.device) -> None:
        self._task, self._tell, self.device = task, tell, device
        self._place = task.run / CHECKPOINTS

    def batches(self, spans: Sequence[Span]) -> Iterator[Batch]:
        readers = self._task.readers()
        orders = tuple(reader.order for reader in readers)
        blocks = (
            columns for bundle in bundles(spans, orders) for columns in read_bundle(readers, bundle)
        )
        sizes = [size for span in spans for size in span.sizes]
        return (batch_of(columns) for columns in assembled(blocks, sizes))

    def last_checkpoint(self) -> AbstractContextManager[Path | None]:
        return last_kept(self._place)

    def report(self, metrics: dict[str, Any], learner: Learner, progress: Progress) -> None:
        state = snapshot(learner.model, learner.optimizer, progress, learner.others)
        keep_alone(self._place, state)
        self._tell(progress)
