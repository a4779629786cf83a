"""What a trial has learned, judged at its end: by the test split, and by what else is asked."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.inputs.order import RowGroup
from figclip.training.alone import judge
from figclip.training.checkpoint import newest_checkpoint, read_checkpoint
from figclip.training.publishing import learned_clip
from figclip.training.rank import CHECKPOINTS
from figclip.training.task import Task

Downstream = Callable[[Encoder], Mapping[str, float]]
"""What an encoder is worth elsewhere, under names of its own: `zero_shot_pcam` and so on."""


def judged(
    task: Task,
    test: tuple[RowGroup, ...],
    downstream: Downstream | None,
    *,
    device: torch.device,
) -> dict[str, float]:
    """The last checkpoint's `test_…`, and what `downstream` says of its encoder."""
    found = {f"test_{name}": value for name, value in judge(task, test, device=device).items()}
    if downstream is None:
        return found
    return found | dict(downstream(checkpoint_encoder(task, device=device)))


def checkpoint_encoder(task: Task, *, device: torch.device | str) -> Encoder:
    """Of a run's last checkpoint, published nowhere; `UsageError` where that is gone."""
    place = task.run / CHECKPOINTS
    newest = newest_checkpoint(place)
    if newest is None:
        raise UsageError(f"there is no checkpoint in {place.path} any more")
    with tempfile.TemporaryDirectory(prefix="figclip-checkpoint-") as copy:
        state = read_checkpoint((place / newest).download(Path(copy)))
    model = task.config.model.settled()
    return Encoder(
        learned_clip(task.config, state),
        task.tokenizer,
        task.config.pixels,
        name=f"{task.run.path}/{newest}",
        context_length=model.text.context_length,
        dim=model.embed_dim,
        device=device,
    )
