"""Recipes as a corpus allows them: batch and warm-up that fit, figures and panels mixed evenly."""

import logging
import math

from figclip.inputs.corpora import CorpusShare
from figclip.training.pretrain import PretrainConfig

log = logging.getLogger(__name__)


def fitted(train: PretrainConfig, num_pairs: int, num_workers: int) -> PretrainConfig:
    """`train` as a small corpus allows it: a batch of half the pairs, a fifth of the steps to warm
    up, at the most."""
    largest = max(num_pairs // 2 // num_workers, 1) * num_workers
    batch_size = min(train.batch_size, largest)
    num_steps = num_pairs // batch_size * train.epochs
    warmup_steps = min(train.optim.warmup_steps, num_steps // 5)
    if (batch_size, warmup_steps) == (train.batch_size, train.optim.warmup_steps):
        return train
    log.info(
        "%d training pairs: a batch of %d instead of %d, %d steps of warm-up instead of %d",
        *(num_pairs, batch_size, train.batch_size, warmup_steps, train.optim.warmup_steps),
    )
    return train.with_overrides({"batch_size": batch_size, "optim.warmup_steps": warmup_steps})


def mixed(
    figures: str, panels: str, panel_share: float, num_figures: int, num_panels: int
) -> tuple[CorpusShare, CorpusShare]:
    """Two versions of pairs, mixed so that an epoch has as many samples as one of all figures.

    `panel_share` of them are panels; the numbers are of training pairs.
    """
    num_shown = num_figures - math.floor((1 - panel_share) * num_figures + 0.5)
    return (
        CorpusShare(pairs=figures, weight=1 - panel_share),
        CorpusShare(pairs=panels, weight=max(num_shown, 1) / num_panels),
    )
