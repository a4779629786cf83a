"""Panels of real annotated figures: what must be reached with what is known of their labels."""

import statistics

import pytest

from figclip.panels.layout.figures import split_figure
from jobs.benchmarks.annotated import TrueFigure, annotated
from jobs.benchmarks.panel_pictures import KNOWN, measure

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def figures(shared_folder) -> list[TrueFigure]:
    return list(annotated(shared_folder("panels").parent))


@pytest.mark.parametrize(
    ("known", "least"),
    [("true_labels", 0.95), ("read_labels", 0.92), ("labels_only", 0.85), ("caption_only", 0.85)],
)
def test_panels_of_real_figures_are_found(figures, known, least):
    results = [one for each in KNOWN[known] for one in measure(figures, split_figure, each)]
    assert statistics.mean(result.score for result in results) >= least


@pytest.mark.parametrize("known", KNOWN)
def test_real_single_figures_stay_whole(figures, known):
    single = [figure for figure in figures if figure.is_single]
    results = measure(single, split_figure, KNOWN[known][0])
    assert statistics.mean(len(result.panels) == 1 for result in results) >= 0.95
