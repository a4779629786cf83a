"""Where the panels of a compound figure stand, class by class, before anything is drawn."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from figclip.schema import Box
from figclip.sources.synthetic import arrangements as real
from figclip.sources.synthetic.arrangements import Arrangement, Span, Tree
from figclip.sources.synthetic.canvas import Colour
from figclip.sources.synthetic.themes import Family

LayoutClass = Literal[
    "single", "white-gutter", "thin-gutter", "dark-gutter", "stitched", "irregular", "pinwheel",
    "inset", "grid", "mixed",
]  # fmt: skip
LAYOUT_CLASSES: tuple[LayoutClass, ...] = get_args(LayoutClass)
MIXTURE: dict[LayoutClass, float] = {
    "single": 0.394, "white-gutter": 0.25, "thin-gutter": 0.05, "dark-gutter": 0.03,
    "stitched": 0.05, "irregular": 0.12, "pinwheel": 0.006, "inset": 0.02, "grid": 0.03,
    "mixed": 0.05,
}  # fmt: skip
"""About how often a figure of PubMed Central is of each class."""
GutterStyle = Literal["white", "thin", "dark", "stitched"]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class Plan:
    """Where the panels stand, before anything is drawn."""

    size: tuple[int, int]
    boxes: tuple[Box, ...]
    gutter: GutterStyle
    background: Colour
    tree: Tree | None
    """None where no cut goes through."""

    @property
    def arrangement(self) -> Arrangement:
        if self.tree is None:
            return "uncut"
        if self.gutter == "stitched":
            return "touching"
        return "even" if self.tree.is_grid else "uneven"


def draw_class(rng: random.Random) -> LayoutClass:
    """A class as often as in `MIXTURE`."""
    return rng.choices(tuple(MIXTURE), tuple(MIXTURE.values()))[0]


def usual_shape(rng: random.Random, name: str) -> float:
    values = real.real()[name]
    return float(np.interp(rng.random(), np.linspace(0, 1, len(values)), values))


def draw_gutter(rng: random.Random, layout_class: LayoutClass, family: Family) -> GutterStyle:
    match layout_class:
        case "thin-gutter":
            return "thin"
        case "dark-gutter":
            return "dark"
        case "stitched":
            return "stitched"
        case "irregular" | "pinwheel" | "inset" | "grid" if family == "photo":
            styles: tuple[GutterStyle, ...] = ("white", "thin", "dark", "stitched")
            return rng.choices(styles, (45, 22, 8, 25))[0]
        case _:
            return "white"


def _gap_shares(gutter: GutterStyle, family: Family) -> tuple[float, float]:
    """Which of the real gaps such gutters are: plots bring white of their own, so that the narrower
    half of the gaps, with it, is seen as all real ones are."""
    none, thin = real.gap_share(0.0), real.gap_share(0.0055)
    match gutter:
        case "stitched":
            return 0.0, 0.0
        case "thin":
            return none, thin
        case "dark":
            return none, 0.85
        case "white":
            return (thin, 0.99) if family == "photo" else (0.0, 0.5)


def plan_panels(
    rng: random.Random, layout_class: LayoutClass, gutter: GutterStyle, family: Family
) -> Plan:
    """A canvas, and the panels' boxes on it."""
    aspect = min(max(usual_shape(rng, "panel_shapes"), 0.45), 2.6)
    margin = 0 if gutter == "stitched" or rng.random() < 0.4 else rng.randint(2, 24)
    share = real.draw_gaps(rng, *_gap_shares(gutter, family))
    tree: Tree | None = None
    if layout_class == "pinwheel":
        side = rng.triangular(500, 1000, 750)
        size = (round(side), round(side * rng.uniform(0.7, 1.2)))
        spans = _pinwheel(rng, size, max(share(), 0) * side)
    else:
        tree = real.draw_tree(rng, _fitting(layout_class))
        size = _size(rng, tree, aspect)
        gaps = _gap_pixels(size, gutter, share)
        spans = real.place(tree, (0, 0, *size), aspect, gaps, rng)
        spans = [_narrowed(rng, span, size) for span in spans] if gutter == "white" else spans
    boxes = tuple(_rounded(span, margin) for span in spans)
    dark = gutter == "dark"
    paper = (255, 255, 255) if gutter != "thin" or rng.random() < 0.8 else (200, 200, 200)
    canvas = (size[0] + 2 * margin, size[1] + 2 * margin)
    return Plan(canvas, boxes, gutter, BLACK if dark else paper, tree)


def _gap_pixels(
    size: tuple[int, int], gutter: GutterStyle, share: Callable[[], float]
) -> Callable[[str], float]:
    def gap(axis: str) -> float:
        value = max(share(), 0.0) * size[0 if axis == "row" else 1]
        return {"stitched": 0.0, "thin": min(max(value, 1.0), 5.0), "dark": max(value, 2.0)}.get(
            gutter, value
        )

    return gap


def _fitting(layout_class: LayoutClass) -> Callable[[Tree], bool]:
    match layout_class:
        case "irregular":
            return lambda tree: tree.num_panels > 2 and not tree.is_grid
        case "grid":
            return lambda tree: 2 <= tree.num_panels <= 5
        case "inset" | "mixed":
            return lambda tree: 2 <= tree.num_panels <= 9
        case _:
            return lambda tree: tree.num_panels > 1 and tree.is_grid


def _size(rng: random.Random, tree: Tree, aspect: float) -> tuple[int, int]:
    """The panels' hull: about as wide as the panels want, and large enough for all of them."""
    wide = min(max(real.shape(tree, aspect), 0.4), 3.0)
    side = max(
        rng.triangular(450, 1050, 760), min(75 * tree.num_panels**0.5 * max(wide, 1 / wide), 1300)
    )
    return (round(side), round(side / wide)) if wide > 1 else (round(side * wide), round(side))


def _narrowed(rng: random.Random, span: Span, size: tuple[int, int]) -> Span:
    """A panel that has a row of its own is sometimes not as wide as the row."""
    x0, y0, x1, y1 = span
    if x1 - x0 < 0.95 * size[0] or y1 - y0 > 0.7 * size[1] or rng.random() > 0.25:
        return span
    wide = (x1 - x0) * rng.uniform(0.5, 0.95)
    start = rng.choice((x0, (x0 + x1 - wide) / 2))
    return start, y0, start + wide, y1


def _pinwheel(rng: random.Random, size: tuple[int, int], gap: float) -> list[Span]:
    """Four panels around a fifth, or around nothing much: no cut goes through."""
    width, height = size
    x1, y1 = width * rng.uniform(0.3, 0.45), height * rng.uniform(0.3, 0.45)
    x2, y2 = width * rng.uniform(0.55, 0.7), height * rng.uniform(0.55, 0.7)
    if rng.random() < 0.4:  # no middle: the arms meet
        x2, y2 = x1 + gap, y1 + gap
        x2, y2 = min(x2 + width * 0.02, width - 20), min(y2 + height * 0.02, height - 20)
    half = gap / 2
    arms = [
        (0.0, 0.0, x2 - half, y1 - half),
        (x2 + half, 0.0, width, y2 - half),
        (0.0, y1 + half, x1 - half, height),
        (x1 + half, y2 + half, width, height),
    ]
    if x2 - x1 > 0.1 * width:
        arms.insert(2, (x1 + half, y1 + half, x2 - half, y2 - half))
    if rng.random() < 0.5:
        arms = [(width - c, b, width - a, d) for a, b, c, d in arms]
    return sorted(arms, key=lambda arm: (arm[1] > height / 4, arm[0]))


def _rounded(span: Span, margin: int) -> Box:
    x0, y0, x1, y1 = (round(value) + margin for value in span)
    return x0, y0, max(x1, x0 + 4), max(y1, y0 + 4)
