import numpy as np
import pytest
from tiny import unit_vectors

from figclip.evaluation.approximate import Graph, approximate_recall, found_shares
from figclip.evaluation.retrieval import recall

N, DIM = 400, 16


def pairs(noise: float) -> tuple[np.ndarray, np.ndarray]:
    images = unit_vectors(N, DIM)
    texts = images + noise * unit_vectors(N, DIM, seed=1)
    return images, texts / np.linalg.norm(texts, axis=1, keepdims=True)


def test_a_graph_that_looks_at_everything_loses_nothing():
    images, texts = pairs(1.2)
    exact = recall(images, texts)
    own = np.arange(N)
    found = approximate_recall(images, texts, exact, groups=own, graph=Graph(breadth=N))
    assert 0.1 < exact.text_to_image.expected[1] < 0.9
    assert found.text_to_image == pytest.approx(exact.text_to_image.expected)
    assert found.image_to_text == pytest.approx(exact.image_to_text.expected)
    assert found.loss == pytest.approx({1: 0, 5: 0, 10: 0})


def test_a_poor_graph_says_how_much_it_loses():
    images, texts = pairs(1.0)
    exact = recall(images, texts)
    poor = Graph(links=2, breadth_built=2, breadth=1)
    found = approximate_recall(images, texts, exact, groups=np.arange(N), graph=poor)
    for k in (1, 5, 10):
        losses = [
            exact.text_to_image.expected[k] - found.text_to_image[k],
            exact.image_to_text.expected[k] - found.image_to_text[k],
        ]
        assert found.loss[k] == pytest.approx(max(losses))
    assert found.loss[1] > 0.05


def test_any_of_the_querys_group_is_found():
    images, texts = pairs(0.0)
    groups = np.arange(N) // 2
    swapped = texts.reshape(-1, 2, DIM)[:, ::-1].reshape(N, DIM)  # each beside its neighbour's
    shares = [
        found_shares(images, swapped, groups=one, ks=(1,), graph=Graph())[1]
        for one in (np.arange(N), groups)
    ]
    assert shares == [0.0, 1.0]
