"""Sizes that belong together, and those that do not, which name the remedy."""

import pytest

from figclip.config import UsageError
from figclip.training.recipe import PretrainConfig, check_sizes


@pytest.mark.parametrize(
    ("overrides", "num_rows", "message"),
    [
        ({"batch_size": 10}, 100, r"a batch of 10 .* --batch-size .* to multiples of 4"),
        ({"batch_schedule": [[1, 18]], "epochs": 2}, 100, r"a batch of 18 .* multiples of 4"),
        ({"lanes": 3}, 100, r"3 lanes .* by 2 workers: set --num-workers to 1, or --lanes to a mu"),
        ({"batch_size": 8}, 7, "7 training pairs .* one batch of 8: set a smaller --batch-size"),
        ({"pixels.size": 64}, 100, "64 px .* 224 px: set --pixels.size or --model.vision.image-si"),
        ({"optim.warmup_steps": 12}, 100, "set --optim.warmup-steps below 12, or raise --epochs"),
        ({"optim.warmup_samples": 96}, 100, "set --optim.warmup-samples below 96, or raise"),
    ],
)
def test_sizes_that_do_not_fit_name_the_remedy(overrides, num_rows, message):
    fits = {"batch_size": 8, "epochs": 1, "lanes": 4, "optim.warmup_steps": 5}
    check_sizes(PretrainConfig().with_overrides(fits), num_rows=100, workers=range(2, 3))
    config = PretrainConfig().with_overrides(fits | overrides)
    with pytest.raises(UsageError, match=message):
        check_sizes(config, num_rows=num_rows, workers=range(2, 3))


def test_of_the_numbers_of_workers_that_a_run_may_come_to_one_must_share_the_lanes():
    config = PretrainConfig().with_overrides({"epochs": 1, "optim.warmup_steps": 0})
    eight = config.with_overrides({"lanes": 8, "batch_size": 24})
    check_sizes(eight, num_rows=100, workers=range(3, 5))
    with pytest.raises(UsageError, match=r"8 lanes .* by 5 to 7 workers: set --num-workers to 4"):
        check_sizes(eight, num_rows=100, workers=range(5, 8))


def test_a_batch_norm_is_not_worked_out_in_parts():
    resnet = {"model.vision.timm_model": "resnet50_clip", "model.embed_dim": 64}
    fits = {"batch_size": 8, "epochs": 1, "lanes": 4, "optim.warmup_steps": 5} | resnet
    whole = PretrainConfig().with_overrides(fits)
    parts = whole.with_overrides({"micro_batch_size": 2})
    check_sizes(whole, num_rows=100, workers=range(2, 3))
    check_sizes(parts, num_rows=100, workers=range(4, 5))  # two a worker: all at once
    with pytest.raises(UsageError, match=r"resnet50_clip .* set --adapt.freeze-batch-norm"):
        check_sizes(parts, num_rows=100, workers=range(2, 3))
    for frozen in ({"adapt.freeze_batch_norm": True}, {"adapt.lock_image": True}):
        check_sizes(parts.with_overrides(frozen), num_rows=100, workers=range(2, 3))
