"""The nouns of the room: spans of a caption, labels in a picture, panels, and what names them.

A label is written bare (`A`, not `(A)`), in the case of its first print; a nested one with its
parent (`Ai`). Boxes are in pixels of the picture as given, `(x0, y0, x1, y1)` with x1 and y1
exclusive.
"""

from dataclasses import dataclass
from typing import Literal

from figclip.schema import Box

SpanKind = Literal["own", "shared"]


@dataclass(frozen=True)
class Span:
    """A stretch of a caption; all of a caption's, in order and concatenated, are the caption."""

    start: int
    """Index of the first character."""
    end: int
    """Index behind the last."""
    kind: SpanKind
    """`own` speaks of the panels in `labels`, and holds the printed label itself where there is
    one; `shared` speaks of the whole figure."""
    labels: tuple[str, ...]
    """In the order of print; empty where shared."""


@dataclass(frozen=True)
class Word:
    """What an OCR read, and where."""

    text: str
    box: Box
    confidence: float
    """0 to 1, as the recogniser says."""


@dataclass(frozen=True)
class Label:
    """A panel label that is printed in a picture."""

    text: str
    box: Box
    confidence: float
    """0 to 1."""


@dataclass(frozen=True)
class PanelBox:
    """A panel of a picture, perhaps with the label that is printed for it."""

    box: Box
    label: Label | None
    confidence: float
    """0 to 1."""
