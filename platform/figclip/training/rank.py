"""What a rank of a run finds around it, be it a worker of Ray Train or alone in its process."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch

from figclip.inputs.lanes import Span
from figclip.inputs.reader import Batch
from figclip.training.checkpoint import Progress
from figclip.training.learner import Learner

CHECKPOINTS = "train"
"""The folder of the checkpoints in the run's."""


class Rank(Protocol):
    number: int
    """From 0."""
    num_ranks: int
    device: torch.device

    def batches(self, spans: Sequence[Span]) -> Iterator[Batch]:
        """Those of the spans, one after another; a span's `order` is the number of its reader."""
        ...

    def last_checkpoint(self) -> AbstractContextManager[Path | None]:
        """The run's newest whole one as a local folder; None where the run begins."""
        ...

    def report(self, metrics: dict[str, Any], learner: Learner, progress: Progress) -> None:
        """Keep a checkpoint and tell where the run stands; every rank calls it after that step."""
        ...
