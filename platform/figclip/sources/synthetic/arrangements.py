"""How the panels of real figures stand: trees of rows and columns, and the gutters between them.

`arrangements.json` holds counts and quantiles of 9,642 figures of PubMed Central whose panels the
NLM annotated (PanelSeg, Zou, Antani and Thoma 2020); `jobs.benchmarks.panel_layouts` makes it.
"""

import functools
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Axis = Literal["row", "column"]
Arrangement = Literal["touching", "even", "uneven", "uncut"]
"""Panels that touch; else rows of as many panels each, or not; or panels that no cut divides."""
Span = tuple[float, float, float, float]
"""`(x0, y0, x1, y1)` before it is rounded to pixels."""


@dataclass(frozen=True)
class Tree:
    """A panel, or a row or column of trees."""

    axis: Axis | None = None
    """`None` for a panel."""
    parts: tuple["Tree", ...] = ()

    @property
    def num_panels(self) -> int:
        return sum(part.num_panels for part in self.parts) if self.parts else 1

    @property
    def is_grid(self) -> bool:
        """Whether all rows have as many panels: nothing spans."""
        rows = {part.num_panels for part in self.parts}
        flat = all(not part.parts or not any(p.parts for p in part.parts) for part in self.parts)
        return len(rows) < 2 and flat


PANEL = Tree()


def read_tree(text: str) -> Tree:
    """`C(R(1,1),1)`, a row of two panels above a third, as a tree."""
    stack: list[tuple[Axis, list[Tree]]] = []
    done: list[Tree] = []
    for sign in text:
        match sign:
            case "R" | "C":
                stack.append(("row" if sign == "R" else "column", done))
                done = []
            case "1":
                done.append(PANEL)
            case ")":
                axis, outer = stack.pop()
                done = [*outer, Tree(axis, tuple(done))]
    [tree] = done
    return tree


def rows_of(counts: Sequence[int]) -> Tree:
    """Rows with so many panels each, one below the other."""
    rows = [PANEL if count == 1 else Tree("row", (PANEL,) * count) for count in counts]
    return rows[0] if len(rows) == 1 else Tree("column", tuple(rows))


@functools.cache
def real() -> dict[str, Any]:
    """The summary of the real figures."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("arrangements.json").read_text())
    return found


def draw_tree(rng: random.Random, fits: Callable[[Tree], bool]) -> Tree:
    """An arrangement as often as real figures have it, among those that fit."""
    trees, weights = _trees()
    for _ in range(200):
        tree = rng.choices(trees, weights)[0]
        if fits(tree):
            return tree
    raise ValueError("no real arrangement fits")


FEW = 100
"""Figures, below which those of one arrangement count together, however many their panels."""


def unprinted_share(arrangement: Arrangement, num_panels: int) -> float:
    """Of real figures of that arrangement and so many panels, those that print no label."""
    counts = real()["unprinted"][arrangement]
    own = counts.get(str(num_panels), [0, 0])
    none, num_figures = own if own[1] >= FEW else map(sum, zip(*counts.values(), strict=True))
    return float(none / num_figures)


def partly_printed_share() -> float:
    """Of real figures that print labels, those that miss some."""
    partly, num_figures = real()["partly_printed"]
    return partly / num_figures


def draw_counted(rng: random.Random, name: str) -> str:
    """One of the counted things of that name, as often as real figures have it."""
    counts = real()[name]
    return rng.choices(tuple(counts), tuple(counts.values()))[0]


@functools.cache
def _trees() -> tuple[list[Tree], list[int]]:
    """Those that occur more than once, and the rest by their numbers of panels."""
    summary = real()
    known = [(read_tree(text), count) for text, count in summary["trees"].items()]
    rest = [(_default_rows(int(num)), count) for num, count in summary["other"].items()]
    return [tree for tree, _ in known + rest], [count for _, count in known + rest]


def _default_rows(num_panels: int) -> Tree:
    """As square as can be, the last row shorter."""
    width = max(1, round(math.sqrt(num_panels)))
    full, left = divmod(num_panels, width)
    return rows_of([width] * full + [left] * (left > 0))


def gap_quantile(share: float) -> float:
    """The gap that `share` of the real gaps stay below, in sides of the panels' hull."""
    values = real()["gaps"]
    place = min(max(share, 0.0), 1.0) * (len(values) - 1)
    low = min(int(place), len(values) - 2)
    part = place - low
    return float(values[low] * (1 - part) + values[low + 1] * part)


def gap_share(gap: float) -> float:
    """Share of the real gaps that are not above `gap`."""
    values = real()["gaps"]
    return sum(value <= gap for value in values) / len(values)


def draw_gaps(rng: random.Random, low: float, high: float) -> Callable[[], float]:
    """Draws gaps of one figure from the part `low` to `high` of the real ones.

    Those of one figure are alike, as a Gaussian copula has it, and all figures' gaps together
    follow the real ones' quantiles.
    """
    own = rng.gauss(0, 1)
    alike = math.sqrt(0.85)

    def draw() -> float:
        z = alike * own + math.sqrt(1 - alike**2) * rng.gauss(0, 1)
        share = 0.5 * (1 + math.erf(z / math.sqrt(2)))
        return gap_quantile(low + (high - low) * share)

    return draw


def place(
    tree: Tree, box: Span, aspect: float, gap: Callable[[str], float], rng: random.Random
) -> list[Span]:
    """Boxes of the panels in the order of the tree, which is the order of reading.

    `aspect` is a panel's usual width / height, `gap("row")` pixels between neighbours in a row.
    """
    if tree.axis is None:
        return [box]
    weights = [_extent(part, tree.axis, aspect) for part in tree.parts]
    firmness = rng.choice((1.0, 1.0, 0.5, 0.2))
    weights = [
        weight**firmness * math.exp(rng.gauss(0, 0.12 * (1 - firmness))) for weight in weights
    ]
    along = 0 if tree.axis == "row" else 1
    gaps = [gap(tree.axis) for _ in weights[1:]]
    free = max(box[along + 2] - box[along] - sum(gaps), 1.0)
    boxes: list[Span] = []
    start = box[along]
    for part, weight, after in zip(tree.parts, weights, [*gaps, 0.0], strict=True):
        end = start + free * weight / sum(weights)
        inner = (start, box[1], end, box[3]) if along == 0 else (box[0], start, box[2], end)
        boxes += place(part, inner, aspect, gap, rng)
        start = end + after
    return boxes


def _extent(tree: Tree, axis: Axis, aspect: float) -> float:
    """Width of a tree of height 1 (`row`), or height of one of width 1 (`column`)."""
    wide = shape(tree, aspect)
    return wide if axis == "row" else 1 / wide


def shape(tree: Tree, aspect: float) -> float:
    """Width / height of a tree whose panels are all `aspect`."""
    match tree.axis:
        case None:
            return aspect
        case "row":
            return sum(shape(part, aspect) for part in tree.parts)
        case "column":
            return 1 / sum(1 / shape(part, aspect) for part in tree.parts)
