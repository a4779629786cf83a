"""The validation loss beside plain loops in double precision."""

import math

import numpy as np
import pytest
from tiny import unit_vectors

from figclip.training.validation import gathered, validation_loss


def plain_loss(images: np.ndarray, texts: np.ndarray, scale: float) -> float:
    scores = scale * images.astype(float) @ texts.astype(float).T
    both = [
        math.log(sum(math.exp(other - row[i]) for other in row))
        for side in (scores, scores.T)
        for i, row in enumerate(side)
    ]
    return sum(both) / len(both)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(12, 4), (14, 4), (5, 8)])
def test_it_is_the_mean_loss_of_whole_batches_in_their_order(num_rows, batch_size):
    images, texts = unit_vectors(num_rows, 8), unit_vectors(num_rows, 8, seed=1)
    size = min(batch_size, num_rows)
    parts = [slice(start, start + size) for start in range(0, num_rows - size + 1, size)]
    expected = np.mean([plain_loss(images[part], texts[part], 20) for part in parts])
    found = validation_loss(images, texts, scale=20, batch_size=batch_size)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_huge_batch_is_judged_in_parts():
    same = np.repeat(unit_vectors(1, 2), 5_000, axis=0)
    found = validation_loss(same, same, scale=9, batch_size=65_536)
    assert found == pytest.approx(math.log(4_096), rel=1e-5)


def test_parts_of_one_process_are_laid_end_to_end():
    parts = [(unit_vectors(n, 3, seed=n), unit_vectors(n, 3)) for n in (4, 2)]
    images, texts = gathered(parts)
    np.testing.assert_array_equal(images, np.concatenate([parts[0][0], parts[1][0]]))
    assert texts.shape == (6, 3)
