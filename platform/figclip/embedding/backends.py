"""Ways to run an encoder, each proven on a sample to give the plain model's vectors.

`fp32` and `bf16` lay the weights of a CPU's linear layers out once as oneDNN's kernels read them,
and join the activation between the two halves of an MLP to the first of them. `bf16` multiplies in
bfloat16 and adds in float32; residuals, norms and both towers' heads stay float32.
"""

import copy
import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from timm.layers import Mlp, QuickGELU
from torch import Tensor, nn

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder

log = logging.getLogger(__name__)

Backend = Literal["plain", "fp32", "bf16", "compile", "onnx"]

LEAST_COSINE = 0.9999
"""Between the vectors of a backend and those of the plain model."""
BATCH_SIZES = (1, 7)
"""Of the sample: alone, and together."""
WORDS = "Axial CT of the chest shows bilateral ground-glass opacities (arrows), 10 µm scale bar. "
HEADS = ("head", "proj", "text_projection")
"""Names of what makes a tower's features the embedding: float32, for it is all that is left."""
SWISH = 1.702
"""QuickGELU(x) = x · sigmoid(1.702 x) = SiLU(1.702 x) / 1.702."""

mkldnn: Any = torch.ops.mkldnn


@dataclass(frozen=True)
class Parity:
    """The least cosine of a sample's vectors with the plain model's."""

    texts: float
    images: float


def with_backend(encoder: Encoder, backend: Backend) -> Encoder:
    """The same encoder, run in another way.

    `UsageError` where that way is not to be had here, or its vectors are not the plain model's.
    """
    if backend == "plain":
        return encoder
    found = encoder.with_towers(WAYS[backend](encoder))
    parity = parity_of(found, encoder)
    log.info("%s by %s: least cosine of texts %.6f, of images %.6f", encoder.name, backend, *parity)
    check_parity(parity, backend=backend, name=encoder.name)
    return found
