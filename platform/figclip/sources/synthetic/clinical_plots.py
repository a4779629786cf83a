"""Scatter plots and survival curves."""

import numpy as np
from PIL import Image

from figclip.sources.synthetic.canvas import COLOURS
from figclip.sources.synthetic.plots import (
    BOTTOM,
    INK,
    LEFT,
    PALETTES,
    RIGHT,
    SHADES,
    THIRDS,
    TOP,
    axes,
    marker,
    pale,
    plot_x,
    plot_y,
    shade_fact,
)
from figclip.sources.synthetic.scenes import Attributes, Kind

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
        marker(pen, a["markers"], plot_x(px), plot_y(py), COLOURS[first], radius)
    if a["cluster"] != "none":
        cx, cy = CLUSTERS[a["cluster"]]
        for dx, dy in rng.normal(0, 0.055, (40, 2)).tolist():
            marker(pen, a["markers"], plot_x(cx + dx), plot_y(cy + dy), COLOURS[second], radius)
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

ENDS = {"high": 0.82, "moderate": 0.55, "low": 0.32}


def draw_survival(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = axes(size, a)
    first, second = a["colours"].split(" and ")
    gap = {"wide": 0.29, "narrow": 0.08}[a["gap"]]
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
            pen.polygon(upper + lower, pale(COLOURS[name]))
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
