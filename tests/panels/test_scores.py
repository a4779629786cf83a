"""The measures, on cases that were counted by hand and against matchings tried one by one."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.panels.scores import (
    Counts,
    caption_counts,
    label_counts,
    matched_panels,
    overlap,
    panel_score,
    word_overlap,
)

LEFT, RIGHT, WHOLE = (0, 0, 30, 30), (30, 0, 60, 30), (0, 0, 60, 30)


def test_panels_as_annotated_score_one() -> None:
    assert panel_score([RIGHT, LEFT], [LEFT, RIGHT]) == 1.0


def test_a_figure_left_whole_is_right_for_one_of_its_panels() -> None:
    assert panel_score([WHOLE], [LEFT, RIGHT]) == 0.5


def test_pieces_of_a_single_figure_count_against_it() -> None:
    assert panel_score([(0, 0, 45, 30), (45, 0, 60, 30)], [WHOLE]) == 0.5
    assert panel_score([LEFT, RIGHT], [WHOLE]) == 0.0


def test_exactly_two_thirds_is_not_enough() -> None:
    assert panel_score([(0, 0, 20, 30)], [LEFT]) == 0.0
    assert panel_score([(0, 0, 21, 30)], [LEFT]) == 1.0


def test_nothing_found_scores_nothing() -> None:
    assert panel_score([], [LEFT]) == 0.0


boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    *(st.integers(0, 6), st.integers(0, 6), st.integers(1, 8), st.integers(1, 8)),
)


@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=1, max_size=4))
def test_no_other_matching_has_more_right(found: list, true: list) -> None:
    def fits(i: int, j: int) -> bool:
        area = (true[j][2] - true[j][0]) * (true[j][3] - true[j][1])
        return 3 * overlap(found[i], true[j]) > 2 * area

    few, many = sorted([len(found), len(true)])
    best = 0
    for order in permutations(range(many), few):
        ways = (
            enumerate(order) if len(found) <= len(true) else ((j, i) for i, j in enumerate(order))
        )
        best = max(best, sum(fits(i, j) for i, j in ways))
    matched = matched_panels(found, true)
    assert len(matched) == best
    assert all(fits(i, j) for i, j in matched)
    assert len({i for i, _ in matched}) == len({j for _, j in matched}) == best


def test_words_count_as_often_as_they_stand() -> None:
    assert word_overlap("a b b", "B, b (a).") == 1.0
    assert word_overlap("a a", "a") == pytest.approx(2 / 3)
    assert word_overlap("", "") == 1.0
    assert word_overlap("a", "") == 0.0


def test_a_sub_caption_is_right_by_its_label_and_nine_of_ten_words() -> None:
    true = {"A": "one two three four five six seven eight nine ten", "B": "blood"}
    found = {"A": "one two three four five six seven eight nine", "C": "blood"}
    assert caption_counts(found, true) == Counts(right=1, found=2, true=2)


def test_counts_of_figures_add_up_before_they_become_shares() -> None:
    total = label_counts(["A"], ["A", "B"]) + label_counts(["A", "B", "C"], ["A"])
    assert (total.precision, total.recall, total.f1) == (0.5, pytest.approx(2 / 3), 4 / 7)
