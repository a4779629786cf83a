"""The `image_types` artifact: beside each file of embeddings the types of its images.

An image is of the type whose keyword is nearest to it in the encoder's space, as Fig. 1B of
BiomedCLIP (arXiv 2303.00915) counts PMC.
"""

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

NAME = "image_types"
COLUMN = "image_type"
SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        (COLUMN, pa.string()),
        ("keyword", pa.string()),
        ("cosine", pa.float32()),
    ]
)
ROUNDING = 1e-6
"""Cosines in fp32 that differ by less are one: what they differ by depends on the machine."""


def nearest_keywords(
    images: Float[np.ndarray, "n dim"], keywords: Float[np.ndarray, "k dim"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Of unit vectors: each image's nearest keyword, of equally near ones the first; its cosine."""
    cosines = images @ keywords.T
    best = cosines.max(axis=1, keepdims=True)
    found = np.argmax(cosines >= best - ROUNDING, axis=1)
    return found, cosines[np.arange(len(images)), found]
