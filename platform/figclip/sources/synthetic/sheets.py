"""Plots and drawings that carry words: a sheet with letters, and what one figure's plots share."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from figclip.sources.synthetic.canvas import Colour, Point, font

INK, PAPER = (20, 20, 20), (255, 255, 255)
WORDS = (
    "Control", "WT", "KO", "siRNA", "Vehicle", "Sham", "LPS", "IL-6", "TNF", "Akt", "p53", "Day 3",
    "24 h", "48 h", "Low", "High", "Male", "Female", "Group 1", "Group 2", "Treated", "Saline",
    "Model", "Placebo", "HeLa", "A549", "Ctrl", "+Dox", "Mock", "ns", "Baseline", "Week 4",
)  # fmt: skip
TITLES = (
    "Relative expression", "Cell viability (%)", "Time (h)", "Survival (%)", "Dose (mg/kg)",
    "Score", "Fold change", "Frequency", "Concentration", "Mean speed", "log10 (p)", "Age (years)",
    "Distance", "Fluorescence (a.u.)", "Body weight (g)", "Sensitivity", "1 - Specificity",
)  # fmt: skip
PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    ((30, 30, 30), (130, 130, 130), (200, 200, 200), (80, 80, 80), (235, 235, 235)),
    ((228, 26, 28), (55, 126, 184), (77, 175, 74), (152, 78, 163), (255, 127, 0)),
    ((0, 0, 0), (220, 30, 30), (40, 60, 200), (20, 140, 60), (240, 160, 20)),
    ((102, 194, 165), (252, 141, 98), (141, 160, 203), (231, 138, 195), (166, 216, 84)),
    ((79, 129, 189), (192, 80, 77), (155, 187, 89), (128, 100, 162), (75, 172, 198)),
)


Frame = Literal["open", "box", "grid", "grey"]


@dataclass(frozen=True)
class Style:
    """What the plots of one figure share."""

    colours: tuple[Colour, ...]
    letter: float
    """Height of letters, as part of the shorter side of a plot of usual size."""
    frame: Frame


def draw_style(rng: random.Random) -> Style:
    colours = list(rng.choice(PALETTES))
    if rng.random() < 0.5:
        rng.shuffle(colours)
    frames: tuple[Frame, ...] = ("open", "open", "box", "box", "grid", "grey")
    return Style(tuple(colours), rng.uniform(0.035, 0.07), rng.choice(frames))


class Sheet:
    """White paper in fractions of its size, drawn twice as fine; letters in pixels of the whole."""

    def __init__(self, size: tuple[int, int], letter: float, ground: Colour = PAPER) -> None:
        self.wide, self.tall = max(size[0], 8) * 2, max(size[1], 8) * 2
        self.size = size
        usual = min(max(min(self.wide, self.tall), 280), 900)
        self.letter = max(9, round(letter * usual))
        self.image = Image.new("RGB", (self.wide, self.tall), ground)
        self.draw = ImageDraw.Draw(self.image)
        self.thin = max(1, round(self.letter / 9))

    def at(self, x: float, y: float) -> Point:
        return x * self.wide, y * self.tall

    def line(self, points: Sequence[Point], fill: Colour = INK, width: float = 1.0) -> None:
        path = [self.at(*point) for point in points]
        self.draw.line(path, fill=fill, width=max(1, round(width * self.thin)))

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour | None = None,
        outline: Colour | None = INK, radius: float = 0.0,
    ) -> None:  # fmt: skip
        (a, b), (c, d) = self.at(x0, y0), self.at(x1, y1)
        spot = (min(a, c), min(b, d), max(a, c), max(b, d))
        if radius:
            self.draw.rounded_rectangle(spot, radius * self.letter, fill, outline, self.thin)
        else:
            self.draw.rectangle(spot, fill, outline, self.thin)

    def dot(self, x: float, y: float, radius: float, fill: Colour, shape: int = 0) -> None:
        """`radius` in letters; circle, square, ring or triangle."""
        px, py = self.at(x, y)
        r = max(1.5, radius * self.letter)
        match shape % 4:
            case 0:
                self.draw.ellipse((px - r, py - r, px + r, py + r), fill)
            case 1:
                self.draw.rectangle((px - r, py - r, px + r, py + r), fill)
            case 2:
                self.draw.ellipse((px - r, py - r, px + r, py + r), None, fill, self.thin)
            case _:
                self.draw.polygon([(px, py - r), (px + r, py + r), (px - r, py + r)], fill)

    def words(
        self, x: float, y: float, text: str, *, anchor: str = "mm", scale: float = 1.0,
        fill: Colour = INK, is_upright: bool = False,
    ) -> None:  # fmt: skip
        """Anchors as Pillow names them; upright words run from below to above, centred."""
        letters = font(max(8, round(self.letter * scale)))
        if not is_upright:
            self.draw.text(self.at(x, y), text, fill, letters, anchor=anchor)
            return
        x0, y0, x1, y1 = (round(v) for v in letters.getbbox(text))
        strip = Image.new("L", (max(x1 - x0, 1), max(y1 - y0, 1)))
        ImageDraw.Draw(strip).text((-x0, -y0), text, 255, letters)
        strip = strip.rotate(90, expand=True)
        px, py = self.at(x, y)
        self.image.paste(fill, (round(px - strip.width / 2), round(py - strip.height / 2)), strip)

    def part(self, letters: float, axis: int) -> float:
        """So many letters' heights as a fraction of the width (0) or height (1)."""
        return letters * self.letter / (self.wide if axis == 0 else self.tall)

    def finished(self) -> Image.Image:
        small = self.image.reduce(2)
        return small if small.size == self.size else small.resize(self.size)


def word(rng: np.random.Generator) -> str:
    return WORDS[int(rng.integers(len(WORDS)))]


def title(rng: np.random.Generator) -> str:
    return TITLES[int(rng.integers(len(TITLES)))]
