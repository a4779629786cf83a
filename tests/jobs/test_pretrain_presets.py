"""The recipes of the paper: each can be built, and says what the paper says."""

import inspect
from contextlib import nullcontext

import pytest
import torch
from transformers import BertConfig

from figclip.config import config_from_args
from figclip.models import text
from figclip.models.clip import Clip
from figclip.training.pretrain import pretrain
from figclip.training.recipe import PretrainConfig, check_sizes
from figclip.training.schedule import schedule_of
from jobs import pretrain as pretrain_job
from jobs.pretrain import PRESETS

NUM_TRAIN = 13_900_000
PARAMETERS = {
    "biomedclip_vit_b16": 195_902_721,
    "biomedclip_vit_s16": 109_710_849 + 21_665_664 + 384 * 512,
    "biomedclip_vit_m16": 148_297_729,
    "biomedclip_vit_b16_384": 196_194_561,
    "biomedclip_vit_b16_gpt77": 149_620_737 + 768 - 1_536,  # a bias to the patches, no norm before
    "biomedclip_vit_b16_continual": 149_620_737,
    "biomedclip_rn50_continual": 102_007_137,
    "biomedclip_batch_4k_to_64k": 195_902_721,
}


@pytest.fixture(autouse=True)
def _biomedberts_config(monkeypatch):
    """As the hub would tell it: the sizes of BERT-base."""
    monkeypatch.setattr(text, "find_bert_config", lambda name, **_: BertConfig())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_built_and_its_sizes_fit(name):
    preset = PRESETS[name]
    with torch.device("meta"):
        clip = Clip(preset.model.settled())
    if name in PARAMETERS:
        assert sum(parameter.numel() for parameter in clip.parameters()) == PARAMETERS[name]
    check_sizes(
        preset, num_rows=NUM_TRAIN, workers=range(preset.num_workers, preset.num_workers + 1)
    )
    size = preset.pixels.size
    with torch.device("meta"):
        assert clip.encode_image(torch.empty(2, 3, size, size)).shape == (2, preset.model.embed_dim)


def test_every_recipe_of_the_paper_has_its_parameters_counted():
    assert PARAMETERS.keys() == PRESETS.keys() - {"tiny"}


def test_the_recipe_is_supplementary_table_9():
    recipe = PRESETS["biomedclip_vit_b16"]
    optim = recipe.optim
    assert (optim.lr, optim.weight_decay, optim.eps) == (5e-4, 0.2, 1e-6)
    assert (optim.beta1, optim.beta2, optim.warmup_steps) == (0.9, 0.98, 2_000)
    assert (recipe.epochs, recipe.seed, recipe.batch_size) == (32, 0, 4_096)
    assert recipe.pixels.mean == (0.48145466, 0.4578275, 0.40821073)
    assert recipe.pixels.std == (0.26862954, 0.26130258, 0.27577711)
    assert (recipe.model.vision.image_size, recipe.model.text.context_length) == (224, 256)
    assert (recipe.precision, recipe.batch_schedule) == ("bf16", ())


def test_the_growing_batch_takes_four_fifths_of_its_steps_in_the_first_fifth_of_the_samples():
    recipe = PRESETS["biomedclip_batch_4k_to_64k"]
    schedule = schedule_of(
        num_rows=NUM_TRAIN,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        batch_schedule=recipe.batch_schedule,
    )
    first = 8 * (NUM_TRAIN // 4_096)
    assert schedule.num_steps == first + 32 * (NUM_TRAIN // 65_536)
    assert first / schedule.num_steps == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    "words",
    [
        "biomedclip_vit_b16 --epochs 40 --optim.lr-follows steps",
        "biomedclip_vit_b16_384 --model.vision.image-size 336 --pixels.size 336",
        "biomedclip_vit_b16 --model.vision.no-pretrained",
        "biomedclip_vit_b16 --model.text.context-length 77 --epochs 8",
        "biomedclip_rn50_continual --init ./rn50 --adapt.lock-text",
        "biomedclip_vit_b16 --model.initial-bias -10 --model.initial-scale 10",
        "tiny --adapt.lora-rank 8",
    ],
)
def test_the_papers_contradictions_and_choices_are_options(words):
    config = config_from_args(PRESETS, words.split(), "pretrain")
    with torch.device("meta"):
        Clip(config.model.settled())


def test_whatever_a_job_is_told_of_a_run_reaches_the_run(monkeypatch, tmp_path):
    """But for the seams of a test: how often an elastic run looks for machines."""
    told: dict[str, object] = {}
    monkeypatch.setattr(pretrain_job, "joined_ray", lambda config: nullcontext())
    monkeypatch.setattr(pretrain_job, "keep_config", lambda *_: None)
    monkeypatch.setattr(pretrain_job, "pretrain", lambda store, **given: told.update(given))
    job = PRESETS["biomedclip_vit_b16"].with_overrides(
        {"store": str(tmp_path), "min_workers": 8, "reads_per_worker": 7, "max_failures": 5}
    )
    pretrain_job.main(job)
    parameters = inspect.signature(pretrain).parameters.keys() - {"store", "config", "validate"}
    of_job = parameters & type(job).model_fields.keys()
    assert parameters - of_job == {"resize_every_s"}
    assert {name: told[name] for name in of_job - {"corpora"}} == {
        name: getattr(job, name) for name in of_job - {"corpora"}
    }
    assert told["config"] == job.part(PretrainConfig)


def test_the_paper_run_has_what_table_9_and_the_methods_say():
    recipe = PRESETS["biomedclip_vit_b16"]
    assert recipe.model.text.hf_name == "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
    assert recipe.model.vision.pretrained
    assert recipe.model.vision.gradient_checkpointing
    assert recipe.model.text.gradient_checkpointing
    assert recipe.pixels.scale == (0.9, 1.0)
    assert (recipe.batch_size, recipe.epochs, recipe.model.text.context_length) == (4_096, 32, 256)
