"""What a pretraining run is told, and whether its sizes belong together."""

import torch

from figclip.config import UsageError
from figclip.models.adapting import adapted, mixes_pictures
from figclip.models.clip import Clip
from figclip.models.text import TextConfig
from figclip.training.elastic import largest_divisor
from figclip.training.schedule import schedule_of, warmup_of
from figclip.training.task import LoopConfig


class PretrainConfig(LoopConfig):
    tokenizer: str | None = None
    """A `vocab.txt`, `tokenizer.json`, folder or hub name, or OpenAI's byte pairs
    (`bpe_simple_vocab_16e6.txt.gz`). None takes that of `init`, or else trains a WordPiece of
    `model.text.vocab_size` tokens on the texts of the train split of all corpora."""


def check_sizes(config: PretrainConfig, *, num_rows: int, workers: range) -> None:
    """`UsageError` where batch, lanes, workers, pairs, pictures or warm-up do not fit.

    Of the numbers of `workers` one has to divide the lanes; an elastic run takes only those.
    """
    most = workers[-1]
    if largest_divisor(config.lanes, most) < workers[0]:
        told = f"{most}" if len(workers) == 1 else f"{workers[0]} to {most}"
        raise UsageError(
            f"{config.lanes} lanes cannot be shared evenly by {told} workers: set --num-workers to "
            f"{largest_divisor(config.lanes, most)}, or --lanes to a multiple of {most}"
        )
    for size in (config.batch_size, *(size for _, size in config.batch_schedule)):
        if size % config.lanes:
            raise UsageError(
                f"a batch of {size} pairs cannot take as many of each of {config.lanes} lanes: set "
                f"--batch-size (and --batch-schedule) to multiples of {config.lanes}, or --lanes "
                f"to a divisor of them"
            )
    _check_parts(config, workers[0])
    if config.pixels.size != config.model.vision.image_size:
        raise UsageError(
            f"pictures of {config.pixels.size} px do not fit a tower for "
            f"{config.model.vision.image_size} px: set --pixels.size or --model.vision.image-size"
        )
    schedule = schedule_of(
        num_rows=num_rows,
        epochs=config.epochs,
        batch_size=config.batch_size,
        batch_schedule=config.batch_schedule,
    )
    warmup_of(config.optim, schedule)


def _check_parts(config: PretrainConfig, num_workers: int) -> None:
    """Gradients in parts are those of the whole batch only where its pictures are apart."""
    largest = max(config.batch_size, *(size for _, size in config.batch_schedule), 0)
    if (config.micro_batch_size or largest) * num_workers >= largest:
        return
    only_pictures = config.adapt.with_overrides(
        {"lora_rank": 0, "lock_text": False, "text_unlocked": 0}
    )
    with torch.device("meta"):
        model = config.model.model_copy(update={"text": TextConfig()})  # any: no hub is asked
        clip = adapted(Clip(model.settled()), only_pictures)
    if mixes_pictures(clip):
        raise UsageError(
            f"{config.model.vision.timm_model} normalises a picture by its batch, which cannot go "
            f"through in parts: set --adapt.freeze-batch-norm, or no --micro-batch-size"
        )
