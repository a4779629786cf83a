"""What plots share: axes with ticks and no words, shading, palettes, point markers."""

import numpy as np

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen
from figclip.sources.synthetic.scenes import Attributes

INK = (30, 30, 30)
LEFT, RIGHT, TOP, BOTTOM = 0.13, 0.96, 0.12, 0.88
HUES = ("red", "green", "blue", "orange", "purple", "cyan", "magenta", "grey", "black", "brown")
PALETTES = (
    "red and blue", "green and orange", "purple and yellow", "black and grey", "cyan and magenta",
    "blue and orange", "brown and green", "red and grey", "blue and cyan", "magenta and black",
)  # fmt: skip
SHADES = ("none", "none", "yellow", "cyan", "grey", "green", "magenta")
THIRDS = {"left": 0, "middle": 1, "right": 2}


def axes(size: tuple[int, int], a: Attributes) -> Pen:
    """An empty plot: shading, grid lines, two axes, tick marks."""
    pen = Pen(size, (255, 255, 255), detail=2)
    if a.get("shade", "none") != "none":
        wide = (RIGHT - LEFT) / 3
        x = LEFT + wide * THIRDS[a["shaded part"]]
        shade = tuple(round(255 - (255 - c) * 0.5) for c in COLOURS[a["shade"]])
        pen.rectangle(x, TOP, x + wide, BOTTOM, (shade[0], shade[1], shade[2]))
    ticks = np.linspace(0, 1, 6).tolist()
    for part in ticks:
        x, y = LEFT + part * (RIGHT - LEFT), BOTTOM - part * (BOTTOM - TOP)
        if a.get("grid") == "yes":
            pen.line([(LEFT, y), (RIGHT, y)], (205, 205, 205), 0.005)
        pen.line([(LEFT - 0.025, y), (LEFT, y)], INK, 0.007)
        pen.line([(x, BOTTOM), (x, BOTTOM + 0.025)], INK, 0.007)
    pen.line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], INK, 0.009)
    return pen


def plot_x(value: float) -> float:
    return LEFT + value * (RIGHT - LEFT)


def plot_y(value: float) -> float:
    return BOTTOM - value * (BOTTOM - TOP)


def shade_fact(a: Attributes) -> list[str]:
    if a["shade"] == "none":
        return []
    return [f"The {a['shaded part']} third of the plot is shaded in {a['shade']}."]


def pale(colour: Colour) -> Colour:
    r, g, b = (round(255 - (255 - c) * 0.45) for c in colour)
    return r, g, b


def marker(pen: Pen, shape: str, x: float, y: float, fill: Colour, r: float) -> None:
    if shape == "circles":
        pen.ellipse(x, y, r, r, fill)
    elif shape == "squares":
        px, py = pen.at(x, y)
        side = r * pen.unit * 0.9
        pen.draw.rectangle((px - side, py - side, px + side, py + side), fill=fill)
    else:
        px, py = pen.at(x, y)
        side = r * pen.unit * 1.2
        points = [(px, py - side), (px + side, py + side), (px - side, py + side)]
        pen.draw.polygon(points, fill=fill)
