"""Public figures that stand for private pictures: chosen, filtered, and found again by vectors.

The steps of "Privacy-preserving proprietary data analysis" (methods of BiomedCLIP, arXiv
2303.00915): of all figures the 100,000 nearest to 1,000 seeds, of these the tenth whose captions
fit best, and of these the one nearest to each private picture. The paper does not say how the
seeds share the 100,000: here a figure is as near as its nearest seed.
"""

import math

import numpy as np
from jaxtyping import Float, Int


def nearness(
    images: Float[np.ndarray, "n dim"], seeds: Float[np.ndarray, "s dim"]
) -> Float[np.ndarray, " n"]:
    """Of unit vectors: the cosine of each image and the seed that is nearest to it."""
    return (images @ seeds.T).max(axis=1)


def best(scores: Float[np.ndarray, " n"], num: int) -> Int[np.ndarray, " m"]:
    """Places of the `num` greatest, in ascending order; of equal ones the first come in."""
    return np.sort(np.argsort(-scores, kind="stable")[:num])


def most_consistent(
    images: Float[np.ndarray, "n dim"], texts: Float[np.ndarray, "n dim"], *, share: float
) -> Int[np.ndarray, " m"]:
    """Places of the pairs whose image and caption are most alike: that share, at least one."""
    cosines = np.einsum("nd,nd->n", images, texts)
    return best(cosines, max(1, math.floor(share * len(images) + 0.5)))


def nearest(
    queries: Float[np.ndarray, "q dim"], images: Float[np.ndarray, "n dim"], *, tile: int = 1_024
) -> Int[np.ndarray, " q"]:
    """The place of the image that is nearest to each query; of equally near ones the first."""
    parts = [
        (queries[start : start + tile] @ images.T).argmax(axis=1)
        for start in range(0, len(queries), tile)
    ]
    return np.concatenate([np.empty(0, np.int64), *parts])
