"""What a run would take, beside figures that were worked out by hand."""

import pytest

from figclip.config import UsageError
from figclip.models.clip import BIOMEDCLIP
from figclip.training.estimate import RunEstimate, estimate_run
from figclip.training.schedule import schedule_of


def biomedclip(**changes: object) -> RunEstimate:
    schedule = schedule_of(num_rows=40_960, epochs=2, batch_size=4_096)
    options = {"num_gpus": 4, "gpu": "H100", "mfu": 0.5, "mean_tokens": 256, "images_per_cpu_s": 50}
    return estimate_run(BIOMEDCLIP, schedule, **options | changes)


def test_biomedclips_run_takes_what_its_layers_add_up_to():
    """ViT-B/16 takes 105.2 GFLOP of an image and BERT-base 137.7 of 256 tokens, there and back."""
    found = biomedclip()
    assert (found.num_samples, found.num_steps) == (81_920, 20)
    assert found.flops_a_sample == pytest.approx(242.9e9, rel=0.01)
    assert found.samples_per_s == pytest.approx(4 * 989e12 * 0.5 / found.flops_a_sample)
    assert found.gpu_hours == pytest.approx(81_920 * found.flops_a_sample / (989e12 * 0.5) / 3600)
    assert found.feeder_cpus == pytest.approx(found.samples_per_s / 50)
    assert found.checkpoint_bytes == 12 * 195_902_721


def test_shorter_texts_cost_less_and_longer_ones_are_cut_to_the_context():
    assert biomedclip(mean_tokens=128).flops_a_sample < biomedclip().flops_a_sample
    assert biomedclip(mean_tokens=900).flops_a_sample == biomedclip().flops_a_sample


def test_an_unknown_gpu_is_refused_by_the_names_of_those_that_are_known():
    with pytest.raises(UsageError, match="H200"):
        biomedclip(gpu="abacus")


def test_the_cost_is_named_where_a_price_is_given():
    told = "\n".join(biomedclip().lines(10.0))
    assert f"${biomedclip().gpu_hours * 10:,.0f} at $10.0 each" in told
    assert "--plan-dollars-per-gpu-hour" in "\n".join(biomedclip().lines(None))
