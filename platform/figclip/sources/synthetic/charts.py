"""Charts: bars, lines, scatter plots, survival curves, heat maps. Axes have ticks and no words."""

import math

import numpy as np
from PIL import Image

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen
from figclip.sources.synthetic.scenes import NUMBERS, Attributes, Kind

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
        pale = tuple(round(255 - (255 - c) * 0.42) for c in COLOURS[a["shade"]])
        pen.rectangle(x, TOP, x + wide, BOTTOM, (pale[0], pale[1], pale[2]))
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
            pen.polygon([*points, (RIGHT, BOTTOM), (LEFT, BOTTOM)], _pale(COLOURS[name]))
        pen.line(points, COLOURS[name], 0.024)
        for x, y in points[::5] if a["markers"] != "none" else ():
            _marker(pen, a["markers"], x, y, COLOURS[name], 0.026)
    if a["threshold"] != "none":
        y = plot_y({"high": 0.8, "low": 0.25}[a["threshold"]])
        pen.dashes((LEFT, y), (RIGHT, y), INK, 0.012)
    return pen.finished()


def _pale(colour: Colour) -> Colour:
    r, g, b = (round(255 - (255 - c) * 0.45) for c in colour)
    return r, g, b


def _marker(pen: Pen, shape: str, x: float, y: float, fill: Colour, r: float) -> None:
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

CLUSTERS = {
    "upper left": (0.22, 0.8),
    "upper right": (0.8, 0.8),
    "lower left": (0.22, 0.22),
    "lower right": (0.8, 0.22),
}


def draw_scatter(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = axes(size, a)
    first, second = a["colours"].split(" and ")
    count = {"few": 14, "many": 90}[a["points"]]
    x = rng.uniform(0.06, 0.94, count)
    slope = {"positive": 0.8, "negative": -0.8, "no": 0.0}[a["correlation"]]
    spread = 0.24 if a["correlation"] == "no" else 0.055
    y = np.clip(0.5 + slope * (x - 0.5) + rng.normal(0, spread, count), 0.03, 0.97)
    radius = 0.03 if a["points"] == "few" else 0.021
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        _marker(pen, a["markers"], plot_x(px), plot_y(py), COLOURS[first], radius)
    if a["cluster"] != "none":
        cx, cy = CLUSTERS[a["cluster"]]
        for dx, dy in rng.normal(0, 0.055, (40, 2)).tolist():
            _marker(pen, a["markers"], plot_x(cx + dx), plot_y(cy + dy), COLOURS[second], radius)
    if a["fit"] == "yes":
        ends = [(plot_x(t), plot_y(0.5 + slope * (t - 0.5))) for t in (0.02, 0.98)]
        pen.line(ends, INK, 0.016)
    return pen.finished()


def scatter_title(a: Attributes) -> str:
    return f"Scatter plot of {a['points']} {a['colours'].split(' and ')[0]} {a['markers']}"


def scatter_facts(a: Attributes) -> list[str]:
    facts = [f"There is {a['correlation']} correlation."]
    if a["cluster"] != "none":
        second = a["colours"].split(" and ")[1]
        facts.append(f"A {second} cluster lies at the {a['cluster']}.")
    facts += shade_fact(a)
    if a["fit"] == "yes":
        facts.append("The black line is the regression.")
    return facts


SCATTER = Kind(
    name="scatter plot",
    family="chart",
    choices={
        "points": ("few", "many"),
        "colours": PALETTES,
        "markers": ("circles", "squares", "triangles"),
        "correlation": ("positive", "negative", "no"),
        "cluster": ("none", *CLUSTERS),
        "fit": ("yes", "no"),
        "grid": ("yes", "no"),
        "shade": SHADES,
        "shaded part": tuple(THIRDS),
    },
    shared=("points", "markers"),
    title=scatter_title,
    facts=scatter_facts,
    draw=draw_scatter,
    is_dark=False,
)

ENDS = {"high": 0.75, "moderate": 0.45, "low": 0.12}


def draw_survival(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = axes(size, a)
    first, second = a["colours"].split(" and ")
    gap = {"wide": 0.42, "narrow": 0.1}[a["gap"]]
    end = ENDS[a["end"]]
    for name, last in ((first, end), (second, max(0.03, end - gap))):
        steps = np.sort(rng.random(16)) ** (2.2 if a["drop"] == "early" else 0.6)
        path, level = [(plot_x(0), plot_y(0.98))], 0.98
        for when in steps.tolist():
            path.append((plot_x(when), plot_y(level)))
            level -= (0.98 - last) / len(steps)
            path.append((plot_x(when), plot_y(level)))
        path.append((plot_x(1), plot_y(level)))
        if a["band"] == "yes" and name == first:
            upper = [(x, max(TOP, y - 0.07)) for x, y in path]
            lower = [(x, min(BOTTOM, y + 0.07)) for x, y in reversed(path)]
            pen.polygon(upper + lower, _pale(COLOURS[name]))
        pen.line(path, COLOURS[name], 0.022)
        for x, y in path[4:-1:6] if a["ticks"] == "yes" else ():
            pen.line([(x, y - 0.03), (x, y + 0.03)], COLOURS[name], 0.014)
    if a["median"] == "yes":
        pen.dashes((LEFT, plot_y(0.5)), (RIGHT, plot_y(0.5)), INK, 0.01)
    return pen.finished()


def survival_title(a: Attributes) -> str:
    first, second = a["colours"].split(" and ")
    return f"Kaplan–Meier survival curves, {first} above {second}"


def survival_facts(a: Attributes) -> list[str]:
    facts = [
        f"Survival drops {a['drop']} and ends {a['end']}.",
        f"The gap between the groups is {a['gap']}.",
        *shade_fact(a),
    ]
    if a["band"] == "yes":
        facts.append("The confidence band is filled.")
    if a["median"] == "yes":
        facts.append("A dashed line marks the median.")
    if a["ticks"] == "yes":
        facts.append("Vertical ticks mark censored patients.")
    return facts


SURVIVAL = Kind(
    name="survival curve",
    family="chart",
    choices={
        "colours": PALETTES,
        "end": tuple(ENDS),
        "drop": ("early", "late"),
        "gap": ("wide", "narrow"),
        "band": ("yes", "no"),
        "median": ("yes", "no"),
        "ticks": ("yes", "no"),
        "grid": ("no",),
        "shade": SHADES,
        "shaded part": tuple(THIRDS),
    },
    shared=("ticks", "median", "band"),
    title=survival_title,
    facts=survival_facts,
    draw=draw_survival,
    is_dark=False,
)
