"""Fluorescence-like pictures: stained cells on black, nuclei, a dashed box."""

import math

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen, clouds, scale_bar, tinted
from figclip.sources.synthetic.fields import CORNERS, LENGTHS, PLACES, mixed
from figclip.sources.synthetic.scenes import NUMBERS, Attributes, Kind

CHANNELS: dict[str, Colour] = {
    "green": (30, 255, 60),
    "red": (255, 40, 30),
    "magenta": (255, 30, 230),
    "cyan": (20, 230, 255),
    "yellow": (255, 230, 30),
    "orange": (255, 140, 10),
}
# Where a protein is found → one that is found there.
MARKERS = {
    "filamentous": "tubulin",
    "punctate": "LAMP1",
    "membrane": "E-cadherin",
    "cytoplasmic": "GFP",
    "star-shaped": "GFAP",
}


def draw_fluorescence(
    a: Attributes, rng: np.random.Generator, size: tuple[int, int]
) -> Image.Image:
    centres = _cell_places(a, rng)
    nuclei, marker = Pen(size, (0, 0, 0)), Pen(size, (0, 0, 0))
    radius = 0.4 / math.sqrt(max(len(centres), 4)) * (0.8 if a["spread"] == "everywhere" else 0.6)
    for x, y in centres:
        turn = rng.uniform(0, math.pi)
        _cell(marker, rng, a, (x, y), radius, turn)
        shade = rng.uniform(0.75, 1.0)
        blue = (round(70 * shade), round(90 * shade), round(255 * shade))
        nuclei.blob(rng, x, y, radius * 0.42, radius * 0.36, blue, turn=turn)
    image = _glowing(marker, rng, radius, CHANNELS[a["colour"]])
    if a["nuclei"] == "stained":
        image = ImageChops.lighter(image, nuclei.image.filter(ImageFilter.BoxBlur(1)))
    image = tinted(image, rng, noise=7)
    if a["box"] != "none":
        pen = Pen(size, (0, 0, 0))
        pen.image.paste(image)
        x, y = PLACES[a["box"]]
        for start, end in _square(x, y, 0.17):
            pen.dashes(start, end, COLOURS["white"], 0.014, count=8)
        image = pen.image
    scale_bar(image, int(a["bar"]), a["corner"], COLOURS["white"])
    return image


def _glowing(pen: Pen, rng: np.random.Generator, radius: float, colour: Colour) -> Image.Image:
    """What was drawn in white, as unevenly stained light of one colour."""
    sharp = pen.image.getchannel("R")
    glow = sharp.filter(ImageFilter.GaussianBlur(radius * pen.unit * 0.12))
    light = ImageChops.add(sharp.filter(ImageFilter.BoxBlur(1)), glow)
    width, height = light.size
    uneven = np.clip(175 + 55 * clouds(rng, height, width, cells=34), 60, 255).astype(np.uint8)
    light = ImageChops.multiply(light, Image.fromarray(uneven))
    return Image.merge("RGB", [light.point(lambda v, c=c: v * c // 255) for c in colour])


def _square(
    x: float, y: float, half: float
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    corners = [
        (x - half, y - half),
        (x + half, y - half),
        (x + half, y + half),
        (x - half, y + half),
    ]
    return list(zip(corners, corners[1:] + corners[:1], strict=True))


def _cell_places(a: Attributes, rng: np.random.Generator) -> list[tuple[float, float]]:
    count = int(NUMBERS.get(a["cells"], "28"))
    if a["spread"] == "everywhere":
        side = math.ceil(math.sqrt(count))
        slots = rng.permutation(side * side)[:count]
        jitter = rng.uniform(-0.25, 0.25, (count, 2))
        return [
            ((slot % side + 0.5 + dx) / side, (slot // side + 0.5 + dy) / side)
            for slot, (dx, dy) in zip(slots.tolist(), jitter.tolist(), strict=True)
        ]
    x = {"left half": 0.27, "right half": 0.73}[a["spread"]]
    ys = (np.arange(count) + 0.5) / count + rng.normal(0, 0.03, count)
    xs = x + rng.uniform(-0.17, 0.17, count)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def _cell(
    pen: Pen,
    rng: np.random.Generator,
    a: Attributes,
    at: tuple[float, float],
    radius: float,
    turn: float,
) -> None:
    x, y = at
    colour = COLOURS["white"]
    dim = mixed(colour, (0, 0, 0), 0.55)
    match a["pattern"]:
        case "filamentous":
            for angle in (turn + rng.uniform(-0.5, 0.5, 9)).tolist():
                dx, dy = 1.15 * radius * math.cos(angle), 1.15 * radius * math.sin(angle)
                off = rng.uniform(-0.5, 0.5) * radius
                pen.line([(x - dx + off, y - dy), (x + off, y + dy - off)], colour, 0.008)
        case "punctate":
            for dx, dy in rng.normal(0, 0.5 * radius, (26, 2)).tolist():
                pen.ellipse(x + dx, y + dy, 0.09 * radius, 0.09 * radius, colour)
        case "membrane":
            pen.blob(rng, x, y, radius, radius * 0.85, colour, turn=turn)
            pen.blob(rng, x, y, radius * 0.82, radius * 0.67, (8, 8, 8), turn=turn)
        case "cytoplasmic":
            pen.blob(rng, x, y, radius, radius * 0.8, mixed(colour, (0, 0, 0), 0.25), turn=turn)
        case _:
            for angle in rng.uniform(0, 2 * math.pi, 5).tolist():
                dx, dy = 1.6 * radius * math.cos(angle), 1.6 * radius * math.sin(angle)
                pen.line([(x, y), (x + dx, y + dy)], dim, 0.014)
            pen.blob(rng, x, y, radius * 0.55, radius * 0.5, colour, turn=turn)


def fluorescence_title(a: Attributes) -> str:
    return f"Immunofluorescence of {MARKERS[a['pattern']]}"


def fluorescence_facts(a: Attributes) -> list[str]:
    where = "everywhere in the field" if a["spread"] == "everywhere" else f"in the {a['spread']}"
    facts = [
        f"There are {a['cells']} star-shaped cells in {a['colour']} {where}."
        if a["pattern"] == "star-shaped"
        else f"There is {a['colour']} {a['pattern']} staining of {a['cells']} cells {where}.",
        "Nuclei are blue (DAPI)." if a["nuclei"] == "stained" else "Nuclei are not stained.",
    ]
    if a["box"] != "none":
        facts.append(f"A dashed white box marks the {a['box']}.")
    return [*facts, f"Scale bar at the {a['corner']}, {a['bar']} µm."]


FLUORESCENCE = Kind(
    name="fluorescence",
    family="microscopy",
    choices={
        "colour": tuple(CHANNELS),
        "nuclei": ("stained", "stained", "unstained"),
        "pattern": tuple(MARKERS),
        "cells": ("two", "four", "nine", "many"),
        "spread": ("everywhere", "everywhere", "left half", "right half"),
        "box": ("none", *PLACES),
        "bar": LENGTHS,
        "corner": CORNERS,
    },
    shared=("pattern", "nuclei", "bar", "corner"),
    title=fluorescence_title,
    facts=fluorescence_facts,
    draw=draw_fluorescence,
    is_dark=True,
)
