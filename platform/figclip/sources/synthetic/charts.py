"""Bar charts and line charts."""

import math

import numpy as np
from PIL import Image

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen
from figclip.sources.synthetic.plots import (
    BOTTOM,
    INK,
    LEFT,
    PALETTES,
    RIGHT,
    SHADES,
    THIRDS,
    axes,
    marker,
    pale,
    plot_x,
    plot_y,
    shade_fact,
)
from figclip.sources.synthetic.scenes import NUMBERS, Attributes, Kind

BAR_SHAPES = {
    "increase from left to right": lambda part: 0.25 + 0.65 * part,
    "decrease from left to right": lambda part: 0.9 - 0.65 * part,
    "peak in the middle": lambda part: 0.9 - 1.2 * abs(part - 0.5),
    "dip in the middle": lambda part: 0.3 + 1.2 * abs(part - 0.5),
    "are equal": lambda part: 0.65,
}


def draw_bars(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = axes(size, a)
    groups = int(NUMBERS[a["groups"]])
    names = a["colours"].split(" and ")
    series = names if a["series"] == "two bars a group" else names[:1]
    pitch, wide = 1 / groups, 0.76 / groups / len(series)
    for group in range(groups):
        for k, name in enumerate(series):
            level = BAR_SHAPES[a["shape"]](group / (groups - 1)) * (1 - 0.35 * k)
            level = min(0.95, level + rng.normal(0, 0.015))
            start = group * pitch + 0.12 * pitch + k * wide
            _bar(pen, a, (start, start + wide), level, COLOURS[name])
    return pen.finished()


def _bar(pen: Pen, a: Attributes, span: tuple[float, float], level: float, fill: Colour) -> None:
    outline = INK if a["errors"] == "yes" else fill
    middle = (span[0] + span[1]) / 2
    if a["direction"] == "vertical":
        box = (plot_x(span[0]), plot_y(level), plot_x(span[1]), BOTTOM)
        whisker = [(plot_x(middle), plot_y(level + 0.07)), (plot_x(middle), plot_y(level - 0.05))]
    else:
        box = (LEFT, plot_y(1 - span[0]), plot_x(level), plot_y(1 - span[1]))
        y = plot_y(1 - middle)
        whisker = [(plot_x(level - 0.05), y), (plot_x(level + 0.07), y)]
    pen.rectangle(*box, fill, outline=outline, width=0.006)
    if a["errors"] == "yes":
        pen.line(whisker, INK, 0.012)


def bars_title(a: Attributes) -> str:
    first, second = a["colours"].split(" and ")
    bars = f"{first} and {second} bars" if a["series"] == "two bars a group" else f"{first} bars"
    return f"{a['direction'].capitalize()} bar chart with {bars}"


def bars_facts(a: Attributes) -> list[str]:
    shape = a["shape"].replace("left to right", "top to bottom") if (
        a["direction"] == "horizontal") else a["shape"]  # fmt: skip
    facts = [f"The bars of {a['groups']} groups {shape}.", *shade_fact(a)]
    if a["errors"] == "yes":
        facts.append("Error bars are drawn.")
    return facts


BARS = Kind(
    name="bar chart",
    family="chart",
    choices={
        "groups": ("three", "four", "six", "eight"),
        "series": ("one bar a group", "two bars a group"),
        "colours": PALETTES,
        "shape": tuple(BAR_SHAPES),
        "direction": ("vertical", "vertical", "horizontal"),
        "errors": ("yes", "no"),
        "grid": ("yes", "no"),
        "shade": SHADES,
        "shaded part": tuple(THIRDS),
    },
    shared=("series", "direction", "errors"),
    title=bars_title,
    facts=bars_facts,
    draw=draw_bars,
    is_dark=False,
)

CURVES = {
    "sigmoid rise": lambda t: 0.08 + 0.82 / (1 + np.exp(-14 * (t - 0.5))),
    "exponential decay": lambda t: 0.06 + 0.86 * np.exp(-4.5 * t),
    "linear rise": lambda t: 0.08 + 0.8 * t,
    "linear fall": lambda t: 0.9 - 0.8 * t,
    "bell shape": lambda t: 0.06 + 0.86 * np.exp(-(((t - 0.5) / 0.16) ** 2)),
    "oscillation": lambda t: 0.5 + 0.38 * np.sin(6 * math.pi * t),
    "plateau": lambda t: 0.06 + 0.8 * (1 - np.exp(-6 * t)),
}


def draw_lines(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = axes(size, a)
    t = np.linspace(0, 1, 40)
    names = a["colours"].split(" and ")[: int(NUMBERS[a["curves"]])]
    for k, name in enumerate(names):
        level = CURVES[a["curve"]](t) * (1 - 0.42 * k) + rng.normal(0, 0.006, t.size)
        points = [(plot_x(x), plot_y(y)) for x, y in zip(t.tolist(), level.tolist(), strict=True)]
        if a["fill"] == "yes" and k == 0:
            pen.polygon([*points, (RIGHT, BOTTOM), (LEFT, BOTTOM)], pale(COLOURS[name]))
        pen.line(points, COLOURS[name], 0.024)
        for x, y in points[::5] if a["markers"] != "none" else ():
            marker(pen, a["markers"], x, y, COLOURS[name], 0.026)
    if a["threshold"] != "none":
        y = plot_y({"high": 0.8, "low": 0.25}[a["threshold"]])
        pen.dashes((LEFT, y), (RIGHT, y), INK, 0.012)
    return pen.finished()


def lines_title(a: Attributes) -> str:
    names = a["colours"].split(" and ")[: int(NUMBERS[a["curves"]])]
    noun = "two curves" if len(names) > 1 else "one curve"
    return f"Line chart with {noun} ({' and '.join(names)})"


def lines_facts(a: Attributes) -> list[str]:
    verb = "The curves show" if a["curves"] == "two" else "The curve shows"
    facts = [f"{verb} a {a['curve']}."]
    facts += shade_fact(a)
    if a["fill"] == "yes":
        curve = "upper curve" if a["curves"] == "two" else "curve"
        facts.append(f"The area below the {curve} is filled.")
    if a["markers"] != "none":
        facts.append(f"Data points are drawn as {a['markers']}.")
    if a["threshold"] != "none":
        facts.append(f"A dashed black line marks the {a['threshold']} threshold.")
    return facts


LINES = Kind(
    name="line chart",
    family="chart",
    choices={
        "curves": ("one", "two"),
        "colours": PALETTES,
        "curve": tuple(CURVES),
        "fill": ("yes", "no"),
        "markers": ("none", "circles", "squares", "triangles"),
        "threshold": ("none", "none", "high", "low"),
        "grid": ("yes", "no"),
        "shade": SHADES,
        "shaded part": tuple(THIRDS),
    },
    shared=("curves", "fill"),
    title=lines_title,
    facts=lines_facts,
    draw=draw_lines,
    is_dark=False,
)
