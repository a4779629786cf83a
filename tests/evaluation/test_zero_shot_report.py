"""The artifact of zero-shot classification, by small encoders on drawn pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import publish_tiny_encoder

from figclip.config import UsageError
from figclip.evaluation.bootstrap import Interval
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.drawn import KIND_SET, write_kinds
from figclip.evaluation.datasets.opening import sets_in
from figclip.evaluation.datasets.published import BIOMEDCLIP_224, PAPER, PCAM, TCGA_TIL
from figclip.evaluation.datasets.stand_ins import write_stand_ins
from figclip.evaluation.zero_shot import ZeroShotResult
from figclip.evaluation.zero_shot_report import (
    ZeroShotConfig,
    confusion_table,
    detail_table,
    evaluate_zero_shot,
    summary_table,
)
from figclip.store import Store
from jobs.evaluate import ZeroShotJob, main
from tune_spaces.resolution import SPACE

SMALL = ZeroShotConfig(num_resamples=50)


def result(dataset: Dataset, value: float) -> ZeroShotResult:
    return ZeroShotResult(
        dataset=dataset,
        encoder="mine",
        num_images=1_234,
        num_unreadable=1,
        unreadable={"a.png": "cut"},
        num_cut_prompts=0,
        checksum="0123456789abcdef",
        values={"accuracy": 0.5, "auroc": value}
        if dataset.metric == "auroc"
        else {"accuracy": value},
        intervals={"accuracy": Interval(0.4, 0.6)},
        confusion=np.array([[1_000, 200], [30, 4]]),
    )


SUMMARY = """\
|                             | PCam, accuracy (%) | TCGA-TIL, AUROC (%) | mean of the paper's |
|----------------------------:|-------------------:|--------------------:|--------------------:|
|                        mine |              61.25 |               70.00 |                   – |
| BiomedCLIP (paper, Table 5) |              73.41 |               67.04 |               75.52 |"""


def test_our_line_stands_over_the_papers_in_the_metric_of_each_set():
    assert summary_table({"mine": [result(PCAM, 0.6125), result(TCGA_TIL, 0.7)]}) == SUMMARY


def test_what_only_looks_like_one_of_the_papers_sets_has_no_number_of_the_papers():
    drawn = PCAM.model_copy(update={"title": "PCam (drawn)"})
    assert "paper, Table" not in summary_table({"mine": [result(drawn, 0.6)]})


def test_every_number_stands_with_its_interval_its_pictures_and_its_checksum():
    row = detail_table({"mine": [result(PCAM, 0.5)]}).splitlines()[2]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "PCam",
        "mine",
        "accuracy",
        "50.00",
        "40.00 … 60.00",
        "1,234",
        "1",
        "?",
        "–",
        "0",
        "0123456789ab",
    ]


def test_the_confusion_has_the_truth_in_its_lines():
    lines = [line.split("|")[1:-1] for line in confusion_table(result(PCAM, 0.5)).splitlines()]
    assert [cell.strip() for cell in lines[2]] == ["0", "1,000", "200"]


def test_the_papers_numbers_are_those_of_the_sweeps_table():
    assert SPACE.downstream is not None
    _, *printed = SPACE.downstream.rows[0]
    assert printed == [BIOMEDCLIP_224[name] for name in (*(one.name for one in PAPER), "mean")]
    assert SPACE.downstream.columns[1:-1] == tuple(one.title for one in PAPER)


def test_the_artifact_holds_every_encoder_and_set_and_is_made_again_for_other_files(tmp_path: Path):
    store = Store(tmp_path / "store")
    for version in ("one", "two"):
        publish_tiny_encoder(store, version)
    data = tmp_path / "data"
    write_kinds(data, num_per_class=1)
    write_stand_ins(data, num_per_class=3)
    sets = sets_in(str(data), ["pcam_drawn", "drawn_kinds"])
    words = {"encoders": ("one", "two"), "data": str(data), "datasets": sets, "config": SMALL}
    words["command"] = "c"
    manifest = evaluate_zero_shot(store, version="v", **words)
    folder = store.open("evaluation", "v")
    numbers = json.loads(folder.read("zero_shot.json"))
    assert [one["set"]["name"] for one in numbers["two"]] == ["pcam_drawn", "drawn_kinds"]
    assert numbers["one"][0]["values"] == numbers["two"][0]["values"], "the same weights"
    assert {*numbers["one"][0]["values"]} == {"accuracy", "macro_f1", "auroc"}
    low, high = numbers["one"][0]["intervals"]["accuracy"]
    assert low <= numbers["one"][0]["values"]["accuracy"] <= high
    assert manifest.inputs == ("encoder@one", "encoder@two")
    assert manifest.counts["one"]["zero_shot_pcam_drawn"] == numbers["one"][0]["values"]["accuracy"]
    assert "PCam (drawn), two" in folder.read("zero_shot.md").decode()

    assert evaluate_zero_shot(store, version="v", **words) == manifest
    next((data / "drawn_kinds").rglob("*.png")).unlink()
    with pytest.raises(UsageError, match=r"other|another|already"):
        evaluate_zero_shot(store, version="v", **words)


def test_the_job_draws_its_own_pictures_and_its_config_runs_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store = Store(tmp_path)
    publish_tiny_encoder(store, "tiny")
    job = ZeroShotJob(store=str(tmp_path), encoder="tiny", num_resamples=50)
    manifest = main(job)
    assert KIND_SET.title in capsys.readouterr().out
    kept = store.open("evaluation", manifest.version).read("_jobs.evaluate.json")
    assert main(ZeroShotJob.from_json(kept)) == manifest
    with pytest.raises(UsageError, match="tiny"):
        main(job.with_overrides({"encoder": "tinny", "version": "other"}))
    with pytest.raises(UsageError):
        main(job.with_overrides({"encoder": str(tmp_path / "nothing"), "version": "other"}))
