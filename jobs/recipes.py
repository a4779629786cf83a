"""Recipes as a corpus allows them: batch and warm-up that fit, figures and panels mixed evenly."""

import logging
import math

from figclip.inputs.corpora import CorpusShare
from figclip.training.recipe import PretrainConfig

log = logging.getLogger(__name__)


def fitted(train: PretrainConfig, num_pairs: int, num_workers: int) -> PretrainConfig:
    """`train` as a small corpus allows it: a batch of half the pairs, a fifth of the steps to warm
    up, at the most."""
    fits = train.lanes % num_workers == 0 and train.lanes <= num_pairs // 2
    lanes = train.lanes if fits else num_workers
    largest = max(num_pairs // 2 // lanes, 1) * lanes
    batch_size = min(train.batch_size // lanes * lanes, largest)
    num_steps = num_pairs // batch_size * train.epochs
    warmup_steps = min(train.optim.warmup_steps, num_steps // 5)
    fitted = {"lanes": lanes, "batch_size": batch_size, "optim.warmup_steps": warmup_steps}
    found = train.with_overrides(fitted)
    if found == train:
        return train
    told = (
        ("a batch of %d instead of %d", batch_size, train.batch_size),
        ("%d steps of warm-up instead of %d", warmup_steps, train.optim.warmup_steps),
        ("%d lanes instead of %d", lanes, train.lanes),
    )
    changed = ", ".join(words % (now, before) for words, now, before in told if now != before)
    log.info("%d training pairs: %s", num_pairs, changed)
    return found


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
