"""The thirteen findings of CheXbert, what a text may say of each, and who reads it."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

FINDINGS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""In CheXbert's order (Smit et al. 2020, arXiv 2004.09167), without its "No Finding"."""

BLANK, POSITIVE, NEGATIVE, UNCERTAIN = range(4)
"""What a text says of a finding, as CheXbert numbers it; blank is not a word."""

Told = Int[np.ndarray, "n 13"]
"""A line a text, a column a finding."""


@runtime_checkable
class Labeller(Protocol):
    """Reads findings from texts."""

    @property
    def name(self) -> str:
        """As every table has it."""

    def label(self, texts: Sequence[str]) -> Told: ...


def positive(told: Told) -> Bool[np.ndarray, "n 13"]:
    """Uncertain, blank and negative count as negative (the paper's methods)."""
    return told == POSITIVE
