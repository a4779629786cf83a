"""A rank that is alone in its process and keeps its own checkpoints: no worker group."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from figclip.config import UsageError
from figclip.evaluation.vqa.learning import Diverged, Learned, Lesson, learn
from figclip.training.checkpoint import keep_alone, last_kept
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

    def last_checkpoint(self) -> AbstractContextManager[Path | None]:
        return last_kept(self._place)

    def keep(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        assert state is not None
        keep_alone(self._place, state)
