"""Flow charts and heat maps: drawings that are read as a whole."""

from itertools import pairwise

import numpy as np
from PIL import Image

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen, Point
from figclip.sources.synthetic.scenes import NUMBERS, Attributes, Kind

INK = (40, 40, 40)


def draw_flow(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = Pen(size, (255, 255, 255), detail=2)
    steps = int(NUMBERS[a["steps"]])
    fill = COLOURS[a["fill"]]
    is_down = a["direction"] == "top to bottom"
    line = {"left": 0.3, "right": 0.7, "none": 0.5}[a["branch"]] if is_down else 0.5
    spots = [_turned(line, 0.13 + 0.74 * k / (steps - 1), is_down) for k in range(steps)]
    half = 0.3 / steps
    for (x0, y0), (x1, y1) in pairwise(spots):
        pen.arrow(_toward((x1, y1), (x0, y0), half), (x0, y0), INK, 0.014)
    if a["branch"] != "none":
        _branch(pen, a, spots[steps // 2], half, is_down)
    if a["loop"] == "yes":
        _loop(pen, spots[0], spots[-1], is_down)
    for k, spot in enumerate(spots):
        colour = COLOURS[a["last"]] if k == steps - 1 else fill
        shape = "diamond" if k == steps // 2 and a["decision"] == "yes" else a["shape"]
        _node(pen, rng, shape, spot, half, colour)
    return pen.finished()


def _turned(across: float, along: float, is_down: bool) -> Point:
    return (across, along) if is_down else (along, across)


def _toward(end: Point, start: Point, short: float) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(abs(dx), abs(dy))
    return end[0] - dx / length * short * 1.05, end[1] - dy / length * short * 1.05


def _node(
    pen: Pen, rng: np.random.Generator, shape: str, spot: Point, half: float, fill: Colour
) -> None:
    """A box with strokes where its words would be."""
    x, y = spot
    wide, half = max(half, 0.1), max(half, 0.085)
    match shape:
        case "diamond":
            corners = [(x - wide * 1.25, y), (x, y - half), (x + wide * 1.25, y), (x, y + half)]
            pen.polygon(corners, fill, outline=INK)
        case "ellipses":
            pen.ellipse(x, y, wide * 1.2, half * 0.9, fill, outline=INK, width=0.006)
        case _:
            radius = half * 0.5 if shape == "rounded boxes" else 0.0
            box = (x - wide, y - half * 0.85, x + wide, y + half * 0.85)
            pen.rectangle(*box, fill, outline=INK, width=0.006, radius=radius)
    tone = (255, 255, 255) if sum(fill) < 480 else INK
    for dy in (-0.28, 0.12):
        length = wide * rng.uniform(0.35, 0.65)
        pen.line([(x - length, y + dy * half), (x + length, y + dy * half)], tone, 0.012)


def _branch(pen: Pen, a: Attributes, spot: Point, half: float, is_down: bool) -> None:
    """A side box: to the left or right of a chart that runs down, above or below one across."""
    sign = 1 if a["branch"] == "left" else -1
    x, y = spot
    end = (x + 0.42 * sign, y) if is_down else (x, y + 0.3 * sign)
    pen.arrow(_toward(end, spot, half), spot, INK, 0.014)
    fill = COLOURS[a["side box"]]
    wide = max(half, 0.1)
    box = (end[0] - wide, end[1] - half * 0.85, end[0] + wide, end[1] + half * 0.85)
    pen.rectangle(*box, fill, outline=INK, width=0.006)


def _loop(pen: Pen, first: Point, last: Point, is_down: bool) -> None:
    """A feedback arrow round the outside, from the last step to the first."""
    if is_down:
        x = 0.04 if first[0] > 0.45 else 0.96
        pen.line([last, (x, last[1]), (x, first[1])], COLOURS["red"], 0.016)
        pen.arrow(
            (first[0] + (x - first[0]) * 0.45, first[1]), (x, first[1]), COLOURS["red"], 0.016
        )
    else:
        pen.line([last, (last[0], 0.2), (first[0], 0.2)], COLOURS["red"], 0.016)
        pen.arrow((first[0], first[1] - 0.14), (first[0], 0.2), COLOURS["red"], 0.016)


def flow_title(a: Attributes) -> str:
    return f"Flow chart of {a['steps']} steps from {a['direction']}"


def flow_facts(a: Attributes) -> list[str]:
    facts = [f"The steps are {a['fill']} {a['shape']}.", f"The last step is {a['last']}."]
    if a["branch"] != "none":
        side = _side(a)
        facts.append(f"A {a['side box']} side box branches off {side}.")
    if a["decision"] == "yes":
        facts.append("The middle step is a diamond.")
    if a["loop"] == "yes":
        facts.append("A red feedback arrow returns to the start.")
    return facts


def _side(a: Attributes) -> str:
    if a["direction"] == "top to bottom":
        return "to the right" if a["branch"] == "left" else "to the left"
    return "below" if a["branch"] == "left" else "above"


FLOW = Kind(
    name="flow chart",
    family="diagram",
    choices={
        "steps": ("three", "four", "five"),
        "direction": ("top to bottom", "left to right"),
        "shape": ("boxes", "rounded boxes", "ellipses"),
        "fill": ("blue", "green", "yellow", "orange", "grey", "cyan", "magenta"),
        "last": ("red", "purple", "green", "black", "yellow"),
        "branch": ("none", "left", "right"),
        "side box": ("orange", "cyan", "grey", "purple"),
        "decision": ("yes", "no"),
        "loop": ("no", "no", "yes"),
    },
    shared=("direction", "shape"),
    title=flow_title,
    facts=flow_facts,
    draw=draw_flow,
    is_dark=False,
)

# Name → colours of the lowest, the middle and the highest value.
SCALES: dict[str, tuple[Colour, Colour, Colour]] = {
    "blue to red": ((40, 70, 200), (248, 248, 248), (205, 30, 40)),
    "white to red": ((255, 252, 248), (250, 150, 110), (170, 8, 20)),
    "white to blue": ((250, 252, 255), (120, 175, 225), (8, 50, 130)),
    "black to yellow": ((10, 10, 10), (120, 110, 10), (255, 235, 40)),
    "green to red": ((20, 180, 60), (15, 15, 15), (225, 30, 30)),
    "purple to yellow": ((68, 2, 86), (34, 145, 140), (253, 231, 40)),
}
GAPS = {"upper": 0.2, "middle": 0.5, "lower": 0.8}
HOT = {
    "upper left": (0.25, 0.25),
    "upper right": (0.75, 0.25),
    "lower left": (0.25, 0.75),
    "lower right": (0.75, 0.75),
    "diagonal": (0.5, 0.5),
}


def draw_heat(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    cells = {"coarse": 8, "fine": 20}[a["cells"]]
    place = (np.arange(cells) + 0.5) / cells
    x, y = np.meshgrid(place, place)
    if a["hot"] == "diagonal":
        level = np.exp(-(((x - y) / 0.16) ** 2))
    else:
        cx, cy = HOT[a["hot"]]
        level = ((abs(x - cx) < 0.26) & (abs(y - cy) < 0.26)).astype(float)
    level = np.clip(0.12 + 0.76 * level + rng.normal(0, 0.09, level.shape), 0, 1)
    if a["gap"] != "none":
        level[round(cells * GAPS[a["gap"]])] = np.nan
    stops = np.array(SCALES[a["scale"]], dtype=float)
    colours = np.stack([np.interp(level, (0, 0.5, 1), stops[:, c]) for c in range(3)], axis=-1)
    colours[np.isnan(level)] = 255
    pen = Pen(size, (255, 255, 255), detail=2)
    top, right = (0.2 if a["tree"] == "top" else 0.08), 0.84
    left = 0.2 if a["tree"] == "left" else 0.08
    (x0, y0), (x1, y1) = pen.at(left, top), pen.at(right, 0.94)
    grid = Image.fromarray(colours.astype(np.uint8))
    box = (round(x0), round(y0), round(x1), round(y1))
    pen.image.paste(grid.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.NEAREST), box)
    _tree(pen, a["tree"], (left, top, right))
    if a["strip"] != "none":
        pen.rectangle(left, 0.945, right, 0.99, COLOURS[a["strip"]])
    _legend(pen, stops)
    return pen.finished()


def _tree(pen: Pen, where: str, edge: tuple[float, float, float]) -> None:
    """A dendrogram: pairs joined twice, outside the map."""
    left, top, right = edge
    if where == "none":
        return
    for depth, count in ((0.025, 8), (0.06, 4), (0.095, 2)):
        for k in range(0, count, 2):
            a, b = (k + 0.5) / count, (k + 1.5) / count
            if where == "top":
                xa, xb = left + a * (right - left), left + b * (right - left)
                base = top - depth + 0.025
                pen.line([(xa, base), (xa, top - depth), (xb, top - depth), (xb, base)], INK, 0.007)
            else:
                ya, yb = top + a * (0.94 - top), top + b * (0.94 - top)
                base = left - depth + 0.025
                pen.line(
                    [(base, ya), (left - depth, ya), (left - depth, yb), (base, yb)], INK, 0.007
                )


def _legend(pen: Pen, stops: np.ndarray) -> None:
    for k in range(16):
        part = k / 15
        colour = [int(np.interp(part, (0, 0.5, 1), stops[:, c])) for c in range(3)]
        y = 0.7 - 0.028 * k
        pen.rectangle(0.89, y, 0.94, y + 0.03, (colour[0], colour[1], colour[2]))


def heat_title(a: Attributes) -> str:
    return f"Heat map in a {a['scale']} colour scale"


def heat_facts(a: Attributes) -> list[str]:
    where = "along the diagonal" if a["hot"] == "diagonal" else f"at the {a['hot']}"
    facts = [f"High values lie {where}.", f"The cells are {a['cells']}."]
    if a["tree"] != "none":
        facts.append(f"A dendrogram is drawn at the {a['tree']}.")
    if a["strip"] != "none":
        facts.append(f"The strip below the map is {a['strip']}.")
    if a["gap"] != "none":
        facts.append(f"A row in the {a['gap']} part is empty.")
    return facts


HEAT = Kind(
    name="heat map",
    family="chart",
    choices={
        "scale": tuple(SCALES),
        "hot": tuple(HOT),
        "cells": ("coarse", "fine"),
        "tree": ("none", "top", "left"),
        "strip": ("none", "red", "green", "blue", "orange", "purple", "black"),
        "gap": ("none", "none", *GAPS),
    },
    shared=("tree",),
    title=heat_title,
    facts=heat_facts,
    draw=draw_heat,
    is_dark=False,
)
