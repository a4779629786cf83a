"""The words of the ingest job: lists of articles, plans, and what it says at the end."""

import json
from pathlib import Path

import pytest

from figclip.config import UsageError
from figclip.corpus.rules import COMMERCIAL, NONCOMMERCIAL
from jobs.ingest import MEASURED, PRESETS, IngestJob, plan, read_pmcids


@pytest.mark.parametrize(
    "text", ["PMC1\nPMC22\n", "1 22", "PMC1,pmc22", "\ufeffPMC1\r\nPMC22", " PMC1 , 22\n\n"]
)
def test_a_list_of_articles_is_read_however_it_is_set_apart(tmp_path: Path, text: str):
    path = tmp_path / "ids.txt"
    path.write_text(text, encoding="utf-8")
    assert read_pmcids(path) == ["PMC1", "PMC22"]


def test_a_version_may_be_named(tmp_path: Path):
    (tmp_path / "ids.txt").write_text("PMC1.2")
    assert read_pmcids(tmp_path / "ids.txt") == ["PMC1.2"]


@pytest.mark.parametrize(
    ("text", "fault"), [("", "names no article"), ("PMC1 title", "'PMCtitle' is no article id")]
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str, fault: str):
    (tmp_path / "ids.txt").write_text(text)
    with pytest.raises(UsageError, match=fault):
        read_pmcids(tmp_path / "ids.txt")
    with pytest.raises(UsageError, match="cannot be read"):
        read_pmcids(tmp_path / "none.txt")


def test_the_names_of_licence_sets_stand_for_their_codes():
    assert PRESETS["pmc15m"].allowed_licenses == frozenset(COMMERCIAL)
    assert PRESETS["cloud"].allowed_licenses == frozenset(NONCOMMERCIAL)
    assert IngestJob(licenses=("CC0", "commercial")).allowed_licenses == frozenset(COMMERCIAL)
    assert IngestJob(licenses=None).allowed_licenses is None
    with pytest.raises(UsageError, match="'CCBY' is no licence"):
        IngestJob().with_overrides({"licenses": ["CCBY"]})


def test_a_plan_goes_by_the_licences_and_the_machines():
    text = plan(IngestJob(plan_nodes=4, licenses=("CC0",)))
    assert "4 of 16 CPUs" in text
    assert "articles read    169,017" in text
    assert "8,203,807" in text


def test_a_plan_goes_by_the_rates_that_were_measured_here(tmp_path: Path):
    figures = {**MEASURED.model_dump(), "media_bytes": 1_000_000, "xml_ratio": 3.0}
    path = tmp_path / "benchmark.json"
    path.write_text("a table\n" + json.dumps({"benchmark": "ingest", "figures": figures}) + "\n")
    assert "1,000.0 kB a picture" in plan(IngestJob(plan_rates=str(path)))
    path.write_text("nothing of the kind")
    with pytest.raises(UsageError, match="--plan-rates"):
        plan(IngestJob(plan_rates=str(path)))
