"""What a trial has learned, judged at its end: by the test split, and by what else is asked."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.inputs.order import RowGroup
from figclip.store import Folder, Store
from figclip.training.alone import judge
from figclip.training.checkpoint import newest_checkpoint, read_checkpoint
from figclip.training.pretrain import NAME, publish_encoder
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
    with tempfile.TemporaryDirectory(prefix="figclip-judged-") as scratch:
        encoder = Encoder.open(checkpoint_encoder(task, Path(scratch)), device=device)
        return found | dict(downstream(encoder))


def checkpoint_encoder(task: Task, scratch: Path) -> Folder:
    """The last checkpoint as an encoder artifact of a store that goes with `scratch`."""
    place = task.run / CHECKPOINTS
    newest = newest_checkpoint(place)
    if newest is None:
        raise UsageError(f"there is no checkpoint in {place.path} any more")
    state = read_checkpoint((place / newest).download(scratch / "state"))
    temporary, values = Store(scratch / "store"), task.config.model_dump(mode="json")
    publish_encoder(temporary, "trial", task, state, values=values, inputs=())
    return temporary.open(NAME, "trial")
