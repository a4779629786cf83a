"""What is quoted stands in the source; what the source only draws has no number."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from test_whole import measure, report

from figclip.evaluation.quoted import DRAWN, QUOTED, quoted_for
from figclip.evaluation.whole_report import report_files

NUMBER = re.compile(r"\d+\.\d\d")
FORMS = {"over 56": "over 56%", "over 77": "over 77%"}


def test_a_quotation_is_a_written_number_or_none():
    written = [one.value for one in QUOTED if one.value != DRAWN]
    assert all(NUMBER.fullmatch(value) or value in FORMS for value in written)
    drawn = {one.model for one in QUOTED if one.value == DRAWN}
    assert {"Med-Flamingo", "LLaVA-Med", "GLoRIA", "Med-PaLM M (562B)"} <= drawn
    assert not [one for one in QUOTED if not one.where]


@pytest.mark.real
def test_every_quoted_number_stands_in_the_papers_text(shared_folder: Callable[[str], Path]):
    paper = shared_folder("paper") / "001_c621832eaca4eace.txt"
    text = paper.read_text()
    for one in QUOTED:
        if one.value != DRAWN:
            number = FORMS.get(one.value, one.value)
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", text), one
        name = re.sub(r"^OpenAI |\W?\(.*", "", one.model)
        assert name in text, one


def test_quotations_stand_in_tables_of_their_own_beside_what_was_measured():
    files = report_files(report(measure(0.8)))
    text = files["report.md"].decode()
    own, quoted = text.split("## Zero-shot classification: quoted, not measured here")
    assert "Med-Flamingo" not in own
    assert "Med-Flamingo |" in quoted
    assert "arXiv 2303.00915, not measured here" in quoted
    assert "quoted, not measured here" in files["index.html"].decode()
    assert "Cross-modal retrieval" not in text, "of tasks that were measured alone"
    assert not quoted_for("something else")


def test_texts_that_the_context_cuts_are_counted_beside_each_number():
    text = report_files(report(measure(0.8, num_cut=7)))["report.md"].decode()
    head, line = (
        [cell.strip() for cell in row.split("|")]
        for row in text.split("## Every number")[1].splitlines()
        if row.startswith("|") and ("cut texts" in row or "mine@1" in row)
    )
    assert line[head.index("cut texts")] == "7"
