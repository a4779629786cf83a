"""What a worker is handed: the recipe, the pairs, and what follows from both."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from figclip.inputs.corpora import Corpus
from figclip.inputs.lanes import Share, Span, training_span, whole_span
from figclip.inputs.order import RowGroup, SampleOrder
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Reader
from figclip.inputs.tokens import Tokenizer
from figclip.models.adapting import AdaptConfig
from figclip.models.clip import ClipConfig
from figclip.store import Folder
from figclip.training.optim import OptimConfig
from figclip.training.schedule import Epoch, Schedule, schedule_of
from figclip.training.step_config import StepConfig
from figclip.training.trackers import TrackerConfig

Validate = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""Image and text embeddings, float32 [n, dim] each, row beside row → named numbers."""


class LoopConfig(StepConfig):
    model: ClipConfig = ClipConfig()
    init: str | None = None
    """Start from these weights, and its tokenizer: an encoder's folder, one of open_clip or of
    transformers' CLIP, or its name on the hub. Position embeddings are resampled to `model`."""
    adapt: AdaptConfig = AdaptConfig()
    pixels: PixelConfig = PixelConfig()
    optim: OptimConfig = OptimConfig()
    batch_size: PositiveInt = 4_096
    """Pairs of one step, all workers together; a multiple of `lanes`."""
    batch_schedule: tuple[tuple[PositiveInt, PositiveInt], ...] = ()
    """Other batches later, as epochs and size: `8 65536` takes batches of 65,536 after 8 epochs."""
    lanes: PositiveInt = 8
    """Parts that an epoch is cut into; every step takes as many pairs of each, every worker owns as
    many. A multiple of every number of workers that the run may have: with another number it sees
    the same batches. (What dropout leaves out differs then.) Each lane reads a window."""
    epochs: PositiveInt = 32
    seed: NonNegativeInt = 0
    """Decides initial weights, order, crops and dropout."""
    texts_per_image: PositiveInt = 1
    """Of a corpus whose images have several texts, so many are shown at once."""
    groups_per_window: PositiveInt = 2
    """Row groups whose pairs are shuffled together, in each lane."""
    checkpoint_every_steps: PositiveInt = 500
    """Within an epoch; one more is written at the end of every epoch."""
    log_every_s: PositiveFloat = 5.0
    """Seconds between two lines of progress."""


@dataclass(frozen=True)
class Task:
    """All that a worker is handed."""

    config: LoopConfig
    corpora: tuple[Corpus, ...]
    """What is trained on; their pairs are mixed by the row groups of `train`."""
    train: tuple[RowGroup, ...]
    validation: tuple[RowGroup, ...]
    """Of the first corpus, each pair with its caption."""
    tokenizer: Tokenizer
    run: Folder
    """Where TensorBoard files and, below `CHECKPOINTS`, checkpoints go."""
    validate: Validate | None
    cpus_per_read: float
    reads_per_worker: int
    trackers: TrackerConfig

    @property
    def orders(self) -> tuple[SampleOrder, SampleOrder]:
        """Of the training pairs and of those for validation."""
        return (
            SampleOrder(self.train, self.config.seed, self.config.groups_per_window),
            SampleOrder(self.validation, None, 1),
        )

    @property
    def schedule(self) -> Schedule:
        return schedule_of(
            num_rows=self.orders[0].num_rows,
            epochs=self.config.epochs,
            batch_size=self.config.batch_size,
            batch_schedule=self.config.batch_schedule,
        )

    def readers(self) -> tuple[Reader, Reader]:
        """Of the training pairs and of those for validation: a span's `order` says which."""
        config = self.config
        common: dict[str, Any] = {
            "tokenizer": self.tokenizer,
            "context_length": config.model.text.context_length,
            "pixels": config.pixels,
        }
        train, validation = self.orders
        return (
            Reader(
                corpora=self.corpora,
                order=train,
                augment_seed=config.seed,
                texts_per_image=config.texts_per_image,
                **common,
            ),
            Reader(
                corpora=(Corpus(self.corpora[0].pairs),),
                order=validation,
                augment_seed=None,
                **common,
            ),
        )

    def spans(self, share: Share, epoch: Epoch, steps_done: int) -> list[Span]:
        """What is left of the epoch for a rank, and the validation after it."""
        training = training_span(
            share,
            epoch=epoch.number,
            num_rows=self.orders[0].num_rows,
            batch_size=epoch.batch_size,
            num_steps=epoch.num_steps,
            steps_done=max(steps_done - epoch.first_step, 0),
        )
        validation = self.validation_span(share)
        return [training, validation] if validation.sizes else [training]

    def validation_span(self, share: Share) -> Span:
        num_rows = self.orders[1].num_rows if self.validate else 0
        # Without gradients a batch takes less memory than one to train on.
        size = self.config.micro_batch_size or self.config.batch_size // share.num_ranks
        return whole_span(share, num_rows=num_rows, batch_size=size, order=1)

    def num_validation_batches(self, share: Share) -> tuple[int, int]:
        """Of this rank, and of that which has the most."""
        shares = [replace(share, rank=rank) for rank in range(share.num_ranks)]
        every = [len(self.validation_span(one).sizes) for one in shares]
        return every[share.rank], max(every)
