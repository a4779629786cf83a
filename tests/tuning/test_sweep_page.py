"""A sweep's report: whole at any state of the sweep, the same for the same record, safe to open."""

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from browsing import needs_chromium, num_like, pixels
from lxml import html
from PIL import Image
from sweeps import batch_sizes, recorded, sweep, trial

from figclip.tuning.record import SweepRecord, read_sweep
from figclip.tuning.report import (
    PAGE,
    REPORT,
    RESULTS,
    report_files,
    report_markdown,
    results_markdown,
)

TWO = (("image_to_text_recall_at_1", "maximize"), ("cpu_hours", "minimize"))
RECORDS = {
    "whole": batch_sizes(),
    "not begun": sweep([], planned=4),
    "planned": sweep([trial(0, {"batch_size": 16}, state="planned", num_epochs=0)], planned=4),
    "all failed": sweep([trial(0, {"batch_size": 16}, state="failed", reason="no memory")]),
    "one trial": sweep([trial(0, {"batch_size": 16})]),
    "two objectives": sweep(
        [trial(n, {"lr": n / 7}, values=(n / 9, n / 3), recall=n / 9) for n in range(1, 25)],
        objectives=TWO, varied=("lr",), paper=None,
    ),
    "no curve": replace(
        batch_sizes(), trials=tuple(replace(each, curve=()) for each in batch_sizes().trials)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_a_sweep_in_any_state_has_its_page_its_markdown_and_its_pictures(name):
    record = RECORDS[name]
    files = report_files(record)
    page = html.fromstring(files[PAGE].decode())
    words = page.text_content()
    num_complete = sum(trial.state == "complete" for trial in record.trials)
    assert f"{num_complete} of {record.planned}" in words
    assert ("No trial is complete yet" in words) == (num_complete == 0)
    for number, drawn in enumerate(sorted(n for n in files if n.endswith(".png"))):
        assert Image.open(io.BytesIO(files[drawn])).width > 1000, number
        assert drawn.encode() in files[REPORT]
    assert len(page.xpath("//img")) == sum(name.endswith(".png") for name in files)
    assert all(len(line) for line in files[RESULTS].decode().splitlines()[:1])


def test_the_pictures_of_a_whole_sweep_are_all_there():
    assert {"curves.png", "pareto.png", "importance.png"} <= report_files(batch_sizes()).keys()
    assert "curves.png" not in report_files(RECORDS["no curve"])
    assert not any(name.endswith(".png") for name in report_files(sweep([])))


def digest(record: SweepRecord) -> str:
    files = report_files(record)
    return hashlib.sha256(
        b"".join(name.encode() + files[name] for name in sorted(files))
    ).hexdigest()


def test_the_same_record_gives_the_same_bytes_in_another_process():
    code = "from sweeps import *; from test_sweep_page import digest; print(digest(batch_sizes()))"
    places = [*sys.path, str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(places)}
    other = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert other.stdout.strip() == digest(batch_sizes())


def test_the_order_in_which_trials_ended_changes_nothing():
    record = batch_sizes()
    before, after = report_files(record), report_files(replace(record, trials=record.trials[::-1]))
    for name in (REPORT, RESULTS, "curves.png", "importance.png"):
        assert after[name] == before[name], name


def test_how_long_it_took_changes_nothing_in_the_results():
    record = batch_sizes()
    slower = tuple(replace(each, seconds=9e3, cpu_hours=2.5) for each in record.trials)
    assert results_markdown(replace(record, trials=slower)) == results_markdown(record)
    told = [
        report_markdown(replace(record, trials=trials), []) for trials in (slower, record.trials)
    ]
    assert told[0] != told[1]


def test_words_of_a_record_stay_words_and_the_page_loads_nothing():
    evil = '<script>alert(1)</script><img src="http://evil.example/x.png">'
    bad = trial(0, {"tower": evil}, state="failed", reason=evil, revision=evil)
    record = sweep([bad], name=evil, question=evil, varied=("tower",), base=evil)
    text = report_files(record)[PAGE].decode()
    page = html.fromstring(text)
    assert page.xpath("//script") == []
    links = page.xpath("//@src | //@srcset | //@href")
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert text.count("&lt;script&gt;") >= 4
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy.startswith("default-src 'none'")


def test_a_sweep_comes_out_of_the_storage_as_it_went_in(tmp_path):
    url = f"sqlite:///{tmp_path / 'sweeps.db'}"
    recorded(batch_sizes(), url)
    assert read_sweep(url, "batch_size") == batch_sizes()


@needs_chromium
def test_a_browser_shows_the_page_in_both_themes_and_cuts_nothing_off(tmp_path):
    path = tmp_path / PAGE
    path.write_bytes(report_files(batch_sizes())[PAGE])
    light = pixels(path.as_uri(), tmp_path / "light.png")
    dark = pixels(path.as_uri(), tmp_path / "dark.png", is_dark=True)
    assert tuple(light[0, 0]) == (0xFB, 0xFA, 0xF7)
    assert tuple(dark[0, 0]) == (0x14, 0x15, 0x17)
    assert num_like(light, (0x00, 0x72, 0xB2)) > 2_000, "the bar and curves on white"
    assert num_like(dark, (0x56, 0xB4, 0xE9)) > 2_000, "and on dark"
    assert num_like(dark, (0xFF, 0xFF, 0xFF)) < 2_000, "no white picture on the dark page"
    assert 1_500 < len(light) < 3_000, "the page ends within the window"
    for shown in (light, dark):
        edge = shown[:, -20:]
        assert (edge == edge[0, 0]).all(), "nothing runs out at the right"
