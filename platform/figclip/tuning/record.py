"""What a sweep leaves: its question, its trials, and how each of them went."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class CurvePoint:
    samples_seen: int
    epoch: int
    metrics: Mapping[str, float]
    """Names as the run's own record writes them."""


@dataclass(frozen=True)
class TrialRecord:
    number: int
    """Optuna's."""
    params: Mapping[str, Any]
    """Dotted config name → plain value."""
    seed: int
    state: Literal["planned", "running", "complete", "pruned", "failed"]
    reason: str
    """Empty, or why pruned or failed."""
    values: tuple[float, ...]
    """One an objective; empty unless complete."""
    curve: tuple[CurvePoint, ...]
    samples_seen: int
    gpu_hours: float
    cpu_hours: float
    seconds: float
    """The trial's own training seconds."""
    revision: str
    """Of git."""
    pairs: str
    """Artifact name @ version."""
    checkpoint: str
    encoder: str
    """Artifact name @ version; empty if none."""


@dataclass(frozen=True)
class PaperTable:
    source: str
    """For example `Supplementary Table 1`."""
    columns: tuple[str, ...]
    """What is varied first, then what is measured, as printed there."""
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True)
class SweepRecord:
    name: str
    space: str
    """File of `tune_spaces`."""
    question: str
    """One sentence."""
    base: str
    """Preset."""
    objectives: tuple[tuple[str, Literal["maximize", "minimize"]], ...]
    varied: tuple[str, ...]
    """Dotted names."""
    planned: int
    paper: PaperTable | None
    trials: tuple[TrialRecord, ...]
