"""The layouts of generated figures are measured against real ones by plain statistics."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from jobs.benchmarks.panel_layouts import (
    area_shares,
    arrangement,
    distance,
    gaps,
    label_summary,
    panel_layouts,
    read_layouts,
    summary,
    tree_text,
)

GRID = [(0, 0, 90, 90), (110, 0, 200, 90), (0, 110, 90, 200), (110, 110, 200, 200)]


def test_a_grid_of_four_has_four_gaps_of_a_tenth() -> None:
    assert gaps(GRID) == pytest.approx([0.1] * 4)
    assert area_shares(GRID) == pytest.approx([0.45**2] * 4)


def test_panels_with_another_between_are_no_neighbours() -> None:
    assert gaps([(0, 0, 30, 50), (35, 0, 65, 50), (70, 0, 100, 50)]) == pytest.approx([0.05] * 2)


def test_overlapping_panels_have_a_negative_gap() -> None:
    assert gaps([(0, 0, 60, 50), (50, 0, 100, 50)]) == pytest.approx([-0.1])


def test_cuts_from_side_to_side_name_the_arrangement() -> None:
    assert tree_text(GRID) == "C(R(1,1),R(1,1))"
    assert tree_text([(0, 0, 200, 90), (0, 100, 90, 200), (110, 100, 200, 200)]) == "C(1,R(1,1))"
    pinwheel = [(0, 0, 60, 30), (70, 0, 100, 60), (40, 70, 100, 100), (0, 40, 30, 100)]
    assert tree_text(pinwheel) == "?"


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 9, 50), rng.normal(4, 2, 70)
        expected = ks_2samp(one, other).statistic
        assert distance(one.tolist(), other.tolist()) == pytest.approx(expected)


def test_a_summary_counts_every_figure_once() -> None:
    found = summary([GRID] * 4 + [GRID[:1]] * 3 + [GRID[:2]])
    assert found["trees"] == {"C(R(1,1),R(1,1))": 4, "1": 3}
    assert found["other"] == {"2": 1}


def test_a_summary_of_labels_counts_figures_by_what_they_print() -> None:
    corners = [
        (box, "ABCD"[k], (box[0], box[3] - 9, box[0] + 9, box[3])) for k, box in enumerate(GRID)
    ]
    printed, bare = corners, [(box, "", None) for box in GRID]
    found = label_summary([printed, printed, bare, printed[:3] + bare[3:], bare[:2], printed[:1]])
    assert found["unprinted"] == {"even": {"2": [1, 1], "4": [1, 4]}}
    assert found["partly_printed"] == [1, 3]
    assert found["label_cases"] == {"upper": 3, "lower": 0}
    assert found["label_places"] == {"lower left": 3}


def test_arrangements_are_told_apart() -> None:
    assert arrangement(GRID) == "even"
    assert arrangement(GRID[:3]) == "uneven"
    assert arrangement([(0, 0, 60, 50), (60, 0, 100, 50)]) == "touching"
    pinwheel = [(0, 0, 60, 30), (70, 0, 100, 60), (40, 70, 100, 100), (0, 40, 30, 100)]
    assert arrangement(pinwheel) == "uncut"


@pytest.mark.slow
@pytest.mark.real
def test_generated_layouts_are_close_to_real_ones(shared_folder: Callable[[str], Path]) -> None:
    folder = shared_folder("panels")
    assert len(read_layouts(folder / "layouts.jsonl")) == 9_642
    figures = panel_layouts(folder.parent)
    assert all(value is not None and value <= 0.1 for value in figures.values())
