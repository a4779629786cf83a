"""Recall and F1 of findings, judged by scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, recall_score

from figclip.evaluation.proxy.agreement import MEAN, PAPER_RECALL, agreements
from figclip.evaluation.proxy.findings import FINDINGS

TABLES = st.integers(1, 20).flatmap(
    lambda n: st.tuples(arrays(bool, (n, 13)), arrays(bool, (n, 13)))
)


@settings(deadline=None, max_examples=25)
@given(TABLES)
def test_every_number_is_scikit_learns(tables: tuple[np.ndarray, np.ndarray]):
    truth, told = tables
    found = agreements(truth, told, num_resamples=50, seed=0)
    assert [one.finding for one in found] == [*FINDINGS, MEAN]
    known: dict[str, list[float]] = {"recall": [], "f1": []}
    for place, one in enumerate(found[:-1]):
        columns = truth[:, place], told[:, place]
        recall = recall_score(*columns, zero_division=np.nan)
        f1 = f1_score(*columns, zero_division=np.nan)
        for share, expected in ((one.recall, recall), (one.f1, f1)):
            assert (share is None) == np.isnan(expected)
            assert share is None or share.value == pytest.approx(expected)
        if truth[:, place].any():
            known["recall"].append(recall)
            known["f1"].append(f1)
        assert one.num_true == truth[:, place].sum()
        assert one.num_both == (truth & told)[:, place].sum()
    for what, values in known.items():
        share = getattr(found[-1], what)
        assert (share is None) == (not values)
        assert share is None or share.value == pytest.approx(np.mean(values))


def test_intervals_are_those_of_pictures_drawn_anew_one_by_one():
    random = np.random.default_rng(3)
    truth = random.random((80, 13)) < 0.4
    told = truth ^ (random.random((80, 13)) < 0.3)
    found = agreements(truth, told, num_resamples=2_000, seed=1)
    recalls, f1s = [], []
    for _ in range(600):
        rows = random.integers(0, 80, 80)
        recalls.append(recall_score(truth[rows, 2], told[rows, 2]))
        f1s.append(f1_score(truth[rows], told[rows], average="macro"))
    for share, drawn in ((found[2].recall, recalls), (found[-1].f1, f1s)):
        assert share is not None
        low, high = np.quantile(drawn, (0.025, 0.975))
        assert share.low == pytest.approx(low, abs=0.03)
        assert share.high == pytest.approx(high, abs=0.03)
        assert share.low < share.value < share.high


def test_the_papers_numbers_are_of_findings_that_there_are():
    assert {*PAPER_RECALL} == {"Lung Opacity", "Atelectasis"} <= {*FINDINGS}
