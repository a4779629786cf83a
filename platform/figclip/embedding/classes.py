"""Zero-shot classification: classes as vectors, and how near pictures are to them.

A class is the mean of its prompts' unit vectors, made a unit vector again, as CLIP did (section
3.1.4 of arXiv 2103.00020).
"""

import numpy as np
from jaxtyping import Float


def ensemble(
    prompts: Float[np.ndarray, "classes templates dim"],
) -> Float[np.ndarray, "classes dim"]:
    """Unit vectors of the means of unit vectors."""
    return _units(_units(prompts).mean(axis=1))


def logits(
    images: Float[np.ndarray, "n dim"], classes: Float[np.ndarray, "classes dim"], scale: float
) -> Float[np.ndarray, "n classes"]:
    """Cosines times the model's inverse temperature."""
    return scale * (images.astype(np.float64) @ classes.T.astype(np.float64))


def probabilities(scores: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, "n classes"]:
    """The softmax over the classes."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _units(vectors: Float[np.ndarray, "*rows dim"]) -> Float[np.ndarray, "*rows dim"]:
    exact = vectors.astype(np.float64)
    return exact / np.linalg.norm(exact, axis=-1, keepdims=True)
