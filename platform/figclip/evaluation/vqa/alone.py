"""A rank that is alone in its process and keeps its own checkpoints: no worker group."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from figclip.config import UsageError
from figclip.evaluation.vqa.learning import Diverged, Learned, Lesson, learn
from figclip.training.checkpoint import newest_checkpoint, save_checkpoint
from figclip.training.rank import CHECKPOINTS


def learn_alone(lesson: Lesson, *, device: str = "cpu") -> Learned:
    """In this process, from the last checkpoint where there is one."""
    try:
        return learn(lesson, LoneRank(lesson, torch.device(device)))
    except Diverged as error:
        raise UsageError(str(error)) from error


class LoneRank:
    number, num_ranks = 0, 1

    def __init__(self, lesson: Lesson, device: torch.device) -> None:
        self._place, self.device = lesson.run / CHECKPOINTS, device

    @contextmanager
    def last_checkpoint(self) -> Iterator[Path | None]:
        newest = newest_checkpoint(self._place)
        if newest is None:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="figclip-checkpoint-") as copy:
            yield (self._place / newest).download(Path(copy))

    def keep(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        assert state is not None
        name = f"checkpoint_{datetime.now(UTC):%Y-%m-%d_%H-%M-%S.%f}"
        save_checkpoint(self._place / name, state)
        for older in {path.partition("/")[0] for path in self._place.files()} - {name}:
            (self._place / older).clear()
