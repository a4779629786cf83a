"""How well borders between panels are hit in real annotated figures, beside plain white gutters.

A border between two neighbours is hit where a found one of the same direction lies in its gutter,
or within 1.5 % of the figure's side of it, along at least half of its length.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from figclip.panels.layout.borders import border_map, cut_at_borders
from figclip.panels.scores import Counts, panel_score
from figclip.schema import Box
from figclip.training.borders import neighbour_gaps
from jobs.benchmarks.annotated import TrueFigure, annotated
from jobs.benchmarks.figures import Figures

TOLERANCE = 0.015
WHITE = 233
"""Grey level, in every channel, from which paper is white."""
NARROWEST = 0.006
"""Of the longer side: a white strip as wide as this is a gutter."""

Gap = tuple[int, float, float, float, float]
Picture = UInt8[np.ndarray, "height width 3"]
Cutter = Callable[[Picture], Sequence[Box]]


def panel_borders(shared: Path) -> Figures:
    """Recall and precision of borders, mean panel scores by kind, and the map's CPU time."""
    path = shared / "panels" / "figures.jsonl"
    if not path.is_file():
        return {"map: recall": None, "white: recall": None}
    figures = list(annotated(shared))
    begin = time.process_time()
    by_net = _measured("map", by_map, figures)
    duration_ms = 1e3 * (time.process_time() - begin) / max(len(figures), 1)
    return by_net | {"map: ms": duration_ms} | _measured("white", by_white, figures)


def _measured(name: str, cutter: Cutter, figures: Sequence[TrueFigure]) -> Figures:
    hit, right = Counts(), Counts()
    scores: dict[str, list[float]] = {"compound": [], "single": []}
    for figure in figures:
        found = cutter(figure.image)
        height, width = figure.image.shape[:2]
        one, other = border_counts(found, figure.boxes, width, height)
        hit, right = hit + one, right + other
        scores["single" if figure.is_single else "compound"].append(
            panel_score(found, figure.boxes)
        )
    return {
        f"{name}: recall": hit.recall,
        f"{name}: precision": right.precision,
        **{f"{name}: {kind} score": float(np.mean(some)) for kind, some in scores.items() if some},
    }


def border_counts(
    found: Sequence[Box], true: Sequence[Box], width: int, height: int
) -> tuple[Counts, Counts]:
    """True borders that are hit, of all true ones; and found borders that hit, of all found."""
    mine, truth = list(neighbour_gaps(found)), list(neighbour_gaps(true))
    slack = (TOLERANCE * width, TOLERANCE * height)
    hit = sum(any(_hits(one, other, slack) for one in mine) for other in truth)
    right = sum(any(_hits(one, other, slack) for other in truth) for one in mine)
    return Counts(hit, hit, len(truth)), Counts(right, len(mine), right)


def _hits(found: Gap, true: Gap, slack: tuple[float, float]) -> bool:
    at, common = (found[1] + found[2]) / 2, min(found[4], true[4]) - max(found[3], true[3])
    beside = slack[true[0]]
    half = 0.5 * min(true[4] - true[3], found[4] - found[3])
    return found[0] == true[0] and true[1] - beside <= at <= true[2] + beside and common >= half


def by_map(picture: Picture) -> list[Box]:
    return cut_at_borders(border_map(picture), picture.shape[1], picture.shape[0])


def by_white(picture: Picture) -> list[Box]:
    """The widest white strip from side to side is cut first, then both sides of it."""
    ink = np.asarray(np.any(picture < WHITE, axis=2))
    return _cut(ink, (0, 0, ink.shape[1], ink.shape[0]), NARROWEST * max(ink.shape))


def _cut(ink: np.ndarray, region: Box, narrowest: float) -> list[Box]:
    x0, y0, x1, y1 = region
    part = ink[y0:y1, x0:x1]
    (wide, x), (tall, y) = _widest(np.any(part, axis=0)), _widest(np.any(part, axis=1))
    if max(wide, tall) < narrowest:
        return [region]
    if wide >= tall:
        sides = (x0, y0, x0 + x, y1), (x0 + x, y0, x1, y1)
    else:
        sides = (x0, y0, x1, y0 + y), (x0, y0 + y, x1, y1)
    return [box for side in sides for box in _cut(ink, side, narrowest)]


def _widest(has_ink: np.ndarray) -> tuple[int, int]:
    """Length and middle of the longest stretch without ink that has ink on both sides."""
    places = np.flatnonzero(has_ink)
    steps = np.diff(places)
    if not len(steps) or steps.max() < 2:
        return 0, 0
    k = int(np.argmax(steps))
    return int(steps[k]) - 1, int(places[k] + places[k + 1] + 1) // 2
