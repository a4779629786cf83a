"""Differences of recall and their intervals, beside known cases."""

import numpy as np
import pytest
from tiny import unit_vectors

from figclip.embedding.vectors import Embeddings
from figclip.evaluation.bootstrap import Interval, bootstrap
from figclip.evaluation.compare import Difference, compare_table, compared, hits
from figclip.evaluation.forest import draw_differences
from figclip.evaluation.retrieval import recall

N = 200


def embeddings(noise: float, seed: int = 0) -> Embeddings:
    """Texts near their images: the nearer, the more are found."""
    images = unit_vectors(N, 16)
    texts = images + noise * unit_vectors(N, 16, seed + 1)
    texts = (texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32)
    return Embeddings([str(n) for n in range(N)], images, texts)


def test_hits_have_the_mean_that_recall_tells():
    found = embeddings(2.0)
    told = recall(found.images, found.texts)
    each = hits(found, ks=(1, 5, 10), tile=64, device="cpu")
    for k in (1, 5, 10):
        assert each[f"text → image @{k}"].mean() == pytest.approx(told.text_to_image.expected[k])
        assert each[f"image → text @{k}"].mean() == pytest.approx(told.image_to_text.expected[k])
    assert 0.02 < told.text_to_image.expected[1] < 0.98, "a case that could go wrong"


def test_an_encoder_beside_itself_differs_in_nothing():
    for one in compared(embeddings(2.0), embeddings(2.0), num_resamples=200):
        assert one.difference == 0
        assert not one.is_clear


def test_the_better_encoder_is_the_one_with_less_noise_whichever_stands_first():
    forth = compared(embeddings(2.5, 3), embeddings(1.0, 7), ks=(1,), num_resamples=500)
    back = compared(embeddings(1.0, 7), embeddings(2.5, 3), ks=(1,), num_resamples=500)
    assert all(0 < one.interval.low < one.difference < one.interval.high for one in forth)
    for one, other in zip(forth, back, strict=True):
        assert one.difference == -other.difference
        assert one.interval.low == pytest.approx(-other.interval.high)


def test_drawing_both_together_is_surer_than_drawing_each_alone():
    """Queries hard for one are hard for the other, here by construction."""
    first, second = embeddings(2.0), embeddings(2.0)
    second.texts[:10] = second.images[:10]
    one = compared(first, second, ks=(1,), num_resamples=2_000)[0]
    of_each = [
        bootstrap(
            hits(e, ks=(1,), tile=64, device="cpu")[one.measure][:, None],
            num_resamples=2_000,
            seed=s,
        )[0]
        for s, e in enumerate((first, second))
    ]
    alone = sum((interval.high - interval.low) ** 2 for interval in of_each) ** 0.5
    assert one.interval.high - one.interval.low < alone / 2


def test_other_pairs_are_refused():
    other = embeddings(1.0)
    with pytest.raises(ValueError, match="not of the same pairs"):
        compared(other, Embeddings(other.pair_ids[::-1], other.images, other.texts))


def test_vectors_that_are_not_of_numbers_are_never_ranked():
    broken = embeddings(1.0)
    broken.texts[7, 3] = np.nan
    with pytest.raises(ValueError, match=r"texts are no unit vectors: row 7 .*\(1 such rows\)"):
        hits(broken, ks=(1,), tile=64, device="cpu")
    with pytest.raises(ValueError, match="row 7"):
        compared(embeddings(1.0), broken, num_resamples=5)


FOUND = [
    Difference("text → image @1", 0.25, 0.3, Interval(0.01, 0.09)),
    Difference("image → text @1", 0.3, 0.296, Interval(-0.05, 0.04)),
]
TABLE = """\
|          recall |       a |       b | difference | 95 % interval | better |
|----------------:|--------:|--------:|-----------:|--------------:|-------:|
| text → image @1 | 25.00 % | 30.00 % |      +5.00 | +1.00 … +9.00 |      b |
| image → text @1 | 30.00 % | 29.60 % |      −0.40 | −5.00 … +4.00 |      – |"""


def test_the_table_names_the_better_one_only_where_the_interval_leaves_zero_out():
    assert compare_table(FOUND, ("a", "b")) == TABLE


def test_the_picture_is_the_same_for_the_same_differences_and_another_for_others():
    first = draw_differences(FOUND, ("a", "b" * 60))
    assert first == draw_differences(FOUND, ("a", "b" * 60))
    assert first != draw_differences(FOUND[:1], ("a", "b" * 60))
