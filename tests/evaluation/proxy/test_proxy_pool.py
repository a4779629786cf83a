"""Which figures stand for private pictures, judged by plain loops."""

from pathlib import Path

import numpy as np
import pytest
from tiny import publish_tiny_embeddings, publish_tiny_pairs, unit_vectors

from figclip.config import UsageError
from figclip.evaluation.proxy.analysis import ProxyConfig, pool_of
from figclip.evaluation.proxy.pool import best, most_consistent, nearest, nearness
from figclip.store import Store


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum(float(x) * float(y) for x, y in zip(a, b, strict=True)))


@pytest.mark.parametrize("seed", range(3))
def test_every_step_is_that_of_plain_loops(seed: int):
    seeds, images, texts, mine = (
        unit_vectors(n, 8, seed=10 * seed + place) for place, n in enumerate((5, 60, 60, 9))
    )
    near = [max(cosine(image, one) for one in seeds) for image in images]
    np.testing.assert_allclose(nearness(images, seeds), near, atol=1e-6)
    candidates = sorted(sorted(range(60), key=lambda n: -near[n])[:30])
    assert best(nearness(images, seeds), 30).tolist() == candidates
    fit = {n: cosine(images[n], texts[n]) for n in candidates}
    kept = sorted(sorted(candidates, key=lambda n: -fit[n])[:6])
    found = most_consistent(images[candidates], texts[candidates], share=0.2)
    assert [candidates[n] for n in found] == kept
    expected = [max(kept, key=lambda n: cosine(images[n], one)) for one in mine]
    assert [kept[n] for n in nearest(mine, images[kept], tile=4)] == expected


def test_the_papers_numbers_leave_ten_thousand_of_a_hundred_thousand():
    images = np.ones((100_000, 1), np.float32)
    assert len(most_consistent(images, images, share=0.1)) == 10_000


def test_of_equal_figures_the_first_are_taken():
    assert best(np.array([1.0, 2.0, 1.0, 2.0, 1.0]), 3).tolist() == [0, 1, 3]
    same = np.ones((4, 1), np.float32)
    assert most_consistent(same, same, share=0.5).tolist() == [0, 1]
    assert nearest(same[:2], same).tolist() == [0, 0]


def test_more_candidates_than_figures_are_all_of_them():
    assert best(np.array([0.1, 0.3, 0.2]), 100).tolist() == [0, 1, 2]


def test_a_small_share_keeps_one_figure():
    images = unit_vectors(3, 4)
    assert most_consistent(images, images, share=0.001).tolist() == [0]
    assert nearest(images[:0], images).tolist() == []


@pytest.mark.parametrize("column", ["images", "texts"])
def test_a_figure_whose_vector_is_not_of_numbers_is_named_and_never_a_proxy(
    column: str, tmp_path: Path
):
    store = Store(tmp_path)
    publish_tiny_pairs(store, "p", 30)
    sides = {"images": unit_vectors(30, 8), "texts": unit_vectors(30, 8, seed=1)}
    sides[column][0, 2] = np.nan
    publish_tiny_embeddings(store, "e", "p", sides["images"], sides["texts"])
    config = ProxyConfig(num_candidates=30)
    with pytest.raises(UsageError, match=r"a vector of pair PMC9000000\.1/F1/g0\.png is not of"):
        pool_of(store.open("embeddings", "e"), unit_vectors(2, 8, seed=2), config)
