"""The card that is published with an encoder: what it says is so, and the hub can read it."""

import json

import yaml

from figclip.models.clip import BIOMEDCLIP, OPENAI_RN50
from figclip.models.model_card import model_card
from jobs.presets import VIT_B16

COUNTS = {
    "num_parameters": 195_902_721,
    "num_train_pairs": 13_900_000,
    "num_validation_pairs": 13_600,
    "samples_seen": 444_800_000,
    "num_epochs": 32,
    "final_loss": 0.38194,
    "validation": {"i2t_recall@1": 0.829, "t2i_recall@1": 0.8186},
}


def card(counts=COUNTS, config=BIOMEDCLIP, **run):
    values = {**VIT_B16.model_dump(mode="json"), **run}
    return model_card(
        "encoder@2026.11", config, inputs=("pairs@2026.11",), run=values, counts=counts
    )


def front_matter(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_hub_reads_the_metrics_off_the_front_matter():
    told = front_matter(card())
    (model,) = told["model-index"]
    assert model["name"] == "encoder@2026.11"
    (result,) = model["results"]
    assert {m["type"]: m["value"] for m in result["metrics"]} == COUNTS["validation"]
    assert told["pipeline_tag"] == "zero-shot-image-classification"


def test_a_run_without_validation_claims_nothing():
    text = card({**COUNTS, "validation": {}})
    assert "model-index" not in front_matter(text)
    assert "## Results" not in text


def test_data_sizes_and_metrics_stand_in_the_card():
    text = card()
    for words in (
        "`pairs@2026.11`",
        "195,902,721",
        "13,900,000",
        "444,800,000 in 32 epochs",
        "vit_base_patch16_224",
        "256 at once",
        "| i2t_recall@1 | 0.8290 |",
        "0.3819",
    ):
        assert words in text, words


def test_where_a_run_started_is_told():
    assert "timm's weights; text tower: `microsoft/Biomed" in card()
    assert "| Started from | `timm/resnet50_clip.openai` |" in card(
        config=OPENAI_RN50, init="timm/resnet50_clip.openai"
    )


def test_the_config_in_the_card_is_the_one_that_runs_again():
    told = card().split("```json\n")[1].split("```")[0]
    assert json.loads(told) == VIT_B16.model_dump(mode="json")
