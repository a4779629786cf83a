"""Borders are counted as hit where found ones lie in the true gutters."""

import numpy as np

from jobs.benchmarks.panel_borders import border_counts, by_white

TRUE = [(0, 0, 190, 100), (210, 0, 400, 100)]


def test_a_cut_in_the_gutter_hits_and_one_beside_it_does_not() -> None:
    hit, right = border_counts([(0, 0, 205, 100), (205, 0, 400, 100)], TRUE, 400, 100)
    assert (hit.recall, right.precision) == (1.0, 1.0)
    hit, right = border_counts([(0, 0, 230, 100), (230, 0, 400, 100)], TRUE, 400, 100)
    assert (hit.recall, right.precision) == (0.0, 0.0)


def test_a_cut_too_many_costs_precision_alone() -> None:
    found = [(0, 0, 100, 100), (100, 0, 200, 100), (200, 0, 400, 100)]
    hit, right = border_counts(found, TRUE, 400, 100)
    assert (hit.recall, right.precision) == (1.0, 0.5)


def test_white_gutters_are_cut_and_white_margins_are_not() -> None:
    picture = np.full((120, 300, 3), 255, np.uint8)
    picture[10:110, 10:140] = 0
    picture[10:110, 160:290] = 80
    assert by_white(picture) == [(0, 0, 150, 120), (150, 0, 300, 120)]
    assert by_white(np.full((5, 5, 3), 255, np.uint8)) == [(0, 0, 5, 5)]
