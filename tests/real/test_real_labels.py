"""Labels of annotated real figures: found, and matched with the right panels."""

import json
from pathlib import Path

import pytest

from figclip.panels.labels.matching import match_labels
from figclip.panels.parts import Label
from jobs.benchmarks.panel_labels import EXPECTED, findings, summary

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def shared(shared_folder) -> Path:
    return shared_folder("panels").parent


def test_labels_that_captions_name_are_found_and_few_others(shared: Path) -> None:
    figures = summary(findings(shared, EXPECTED["annotated"]))
    assert figures["label_recall"] >= 0.9
    assert figures["label_precision"] >= 0.95
    assert figures["label_to_panel"] >= 0.92


def test_few_labels_are_invented_where_the_caption_names_none(shared: Path) -> None:
    found = findings(shared, EXPECTED["none"])
    assert summary(found)["label_precision"] >= 0.9
    assert sum(len(each.labels) for each in found if not each.true) <= 2


def test_labels_stand_at_one_corner_of_their_panels(shared: Path) -> None:
    right = total = 0
    with (shared / "panels" / "layouts.jsonl").open() as lines:
        for line in list(lines)[:1_000]:
            panels = json.loads(line)["panels"]
            labels = [
                Label(str(n), tuple(panel["label_box"]), 1.0)
                for n, panel in enumerate(panels)
                if panel.get("label_box")
            ]
            named = match_labels([tuple(panel["box"]) for panel in panels], labels)
            total += len(labels)
            right += sum(
                panel.label is not None and panel.label.text == str(n)
                for n, panel in enumerate(named)
            )
    assert total > 1_000
    assert right >= 0.99 * total
