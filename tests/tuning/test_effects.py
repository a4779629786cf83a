"""The direction of an effect, where it is known, and where seeds alone could have made it."""

import pytest
from scipy.stats import ttest_ind
from sweeps import batch_sizes, sweep, trial

from figclip.tuning.effects import effects, number_of, sentences


def two_sizes(first: tuple[float, ...], last: tuple[float, ...], **others):
    recalls = [(16, n, recall) for n, recall in enumerate(first)]
    recalls += [(32, n, recall) for n, recall in enumerate(last)]
    trials = [
        trial(number, {"batch_size": size}, seed=seed, recall=recall)
        for number, (size, seed, recall) in enumerate(recalls)
    ]
    return sweep(trials, **others)


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        ((0.10, 0.11, 0.12), (0.20, 0.21, 0.22), "agree"),
        ((0.20, 0.21, 0.22), (0.10, 0.11, 0.12), "disagree"),
        ((0.10, 0.20, 0.30), (0.12, 0.22, 0.32), "undecided"),
        ((0.10,), (0.90,), "undecided"),
        ((0.10, 0.10), (0.20, 0.20), "agree"),
        ((0.10, 0.10), (0.10, 0.10), "undecided"),
    ],
)
def test_a_verdict_needs_more_than_seeds_do(first, last, verdict):
    assert [effect.verdict for effect in effects(two_sizes(first, last))] == [verdict] * 2


def test_the_chance_is_that_of_welchs_test():
    first, last = (0.10, 0.16, 0.13), (0.15, 0.18, 0.22)
    effect = effects(two_sizes(first, last))[0]
    expected = ttest_ind(last, first, equal_var=False).pvalue
    assert effect.chance == pytest.approx(expected)
    assert 0.05 < expected < 0.3, "a case that a careless judge would call clear"


def test_the_sentences_name_both_directions_both_numbers_and_whether_they_agree():
    answer, first, second = sentences(batch_sizes())
    assert answer == "Of 2 measures beside the paper’s: 2 with the same direction."
    assert first == (
        "image-to-text retrieval (%) R@1 (↑): rises from 16 to 32, 12.00 ± 2.00 → 21.00 ± 1.00 "
        "(3 seeds). Supplementary Table 6: rises, 79.69 → 82.90: the two agree."
    )
    assert "78.43 → 81.86" in second


def test_a_step_back_on_the_way_is_told():
    trials = [
        trial(n, {"batch_size": 16 * 2**n}, recall=recall) for n, recall in enumerate((1, 0.5, 2))
    ]
    assert "not at every step" in sentences(sweep(trials))[1]
    assert "with one seed nobody knows" in sentences(sweep(trials))[1]


def test_a_setting_without_a_finished_trial_is_no_end_of_the_effect():
    assert "from 16 to 32" in sentences(batch_sizes())[1]


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_finished_settings_have_no_effect(number):
    assert sentences(sweep([trial(n, {"batch_size": 16}) for n in range(number)])) == []


def test_without_a_table_of_the_papers_the_direction_is_told_alone():
    told = sentences(two_sizes((0.1, 0.11), (0.2, 0.21), paper=None))
    assert told[0].startswith("2 of 3 measures differ by more than seeds do")
    assert not any("Supplementary" in words for words in told)


def test_numbers_are_read_as_the_paper_prints_them():
    cells = ("1.92x", 0.5, "224px", "GPT", "82.90")
    assert [number_of(cell) for cell in cells] == [1.92, 0.5, 224.0, None, 82.9]
