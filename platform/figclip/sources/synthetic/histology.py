"""Histology-like pictures: six tissues in eight stains, nuclei, a region that stands out."""

import math

import numpy as np
from PIL import Image, ImageFilter

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen, clouds, scale_bar, tinted
from figclip.sources.synthetic.fields import CORNERS, LENGTHS, PLACES, mixed
from figclip.sources.synthetic.scenes import Attributes, Kind

# Stain → ground, second tissue colour, nuclei.
STAINS: dict[str, tuple[Colour, Colour, Colour]] = {
    "haematoxylin and eosin": ((236, 170, 200), (214, 110, 160), (92, 40, 130)),
    "Masson's trichrome": ((120, 150, 215), (196, 60, 80), (60, 30, 70)),
    "periodic acid–Schiff": ((240, 200, 225), (205, 30, 130), (80, 60, 150)),
    "DAB immunohistochemistry": ((222, 226, 236), (164, 104, 52), (96, 118, 176)),
    "Safranin O": ((246, 205, 175), (228, 84, 40), (110, 40, 40)),
    "Alcian blue": ((214, 232, 238), (60, 170, 196), (170, 60, 80)),
    "Oil Red O": ((244, 240, 240), (220, 30, 40), (100, 110, 180)),
    "silver impregnation": ((226, 190, 110), (120, 80, 30), (30, 20, 15)),
}
STAIN_WORDS = {
    "haematoxylin and eosin": "pink and purple",
    "Masson's trichrome": "blue and red",
    "periodic acid–Schiff": "magenta",
    "DAB immunohistochemistry": "brown",
    "Safranin O": "orange",
    "Alcian blue": "turquoise",
    "Oil Red O": "red on white",
    "silver impregnation": "black on gold",
}
NUCLEI = {"sparse": 45, "moderate": 170, "dense": 520}


def draw_histology(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    ground, second, nuclear = STAINS[a["stain"]]
    pen = Pen(size, ground)
    _mottle(pen, rng, ground, second)
    tissue = {
        "liver": _liver,
        "kidney": _kidney,
        "colon": _colon,
        "lung": _lung,
        "skin": _skin,
        "muscle": _muscle,
    }[a["tissue"]]
    tissue(pen, rng, ground, second)
    _nuclei(pen, rng, NUCLEI[a["nuclei"]], nuclear)
    if a["region"] != "none":
        _region(pen, rng, a, nuclear, second)
    image = tinted(pen.image.filter(ImageFilter.GaussianBlur(0.7)), rng, noise=6, uneven=5)
    pen.image.paste(image)
    if a["arrow"] != "none":
        x, y = PLACES["centre" if a["region"] == "none" else a["region"]]
        pen.arrow((x, y), (x + (0.24 if x < 0.6 else -0.24), y - 0.2), COLOURS[a["arrow"]], 0.03)
    scale_bar(pen.image, int(a["bar"]), a["corner"], COLOURS["black"], (250, 250, 250))
    return pen.image


def _mottle(pen: Pen, rng: np.random.Generator, ground: Colour, second: Colour) -> None:
    width, height = pen.image.size
    mask = np.clip(70 + 60 * clouds(rng, height, width, cells=12), 0, 160).astype(np.uint8)
    pen.image.paste(Image.new("RGB", pen.image.size, second), mask=Image.fromarray(mask))


def _nuclei(pen: Pen, rng: np.random.Generator, count: int, colour: Colour) -> None:
    luma = np.asarray(pen.image.convert("L"))
    places = rng.random((count, 2))
    radii = rng.uniform(0.008, 0.0145, (count, 2))
    shades = rng.uniform(0, 0.35, count)
    for (x, y), (rx, ry), shade in zip(places.tolist(), radii.tolist(), shades, strict=True):
        if luma[int(y * len(luma)), int(x * luma.shape[1])] > 243:
            continue  # a lumen holds no nuclei
        pen.ellipse(x, y, rx, ry, mixed(colour, (255, 255, 255), float(shade)))


def _liver(pen: Pen, rng: np.random.Generator, ground: Colour, second: Colour) -> None:
    cx, cy = rng.uniform(0.35, 0.65, 2).tolist()
    for k in range(26):
        angle = 2 * math.pi * k / 26 + rng.uniform(-0.08, 0.08)
        ray = [
            (cx + r * math.cos(angle + r), cy + r * math.sin(angle + r)) for r in (0.1, 0.3, 0.7)
        ]
        pen.line(ray, mixed(ground, (255, 255, 255), 0.6), 0.012)
    pen.blob(rng, cx, cy, 0.12, 0.105, (250, 246, 248), wobble=0.1)


def _kidney(pen: Pen, rng: np.random.Generator, ground: Colour, second: Colour) -> None:
    for _ in range(22):
        x, y = rng.random(2).tolist()
        pen.blob(rng, x, y, 0.07, 0.06, second, wobble=0.1)
        pen.ellipse(x, y, 0.024, 0.02, (250, 246, 248))
    for x, y in ((rng.uniform(0.25, 0.4), 0.35), (rng.uniform(0.6, 0.75), 0.66)):
        pen.blob(rng, x, y, 0.15, 0.15, (250, 246, 248), wobble=0.05)
        pen.blob(rng, x + 0.01, y, 0.125, 0.125, mixed(second, ground, 0.35), wobble=0.12)


def _colon(pen: Pen, rng: np.random.Generator, ground: Colour, second: Colour) -> None:
    for row in range(5):
        for column in range(5):
            x = (column + 0.5 * (row % 2) + 0.25) / 5 + rng.normal(0, 0.01)
            y = (row + 0.5) / 5 + rng.normal(0, 0.01)
            pen.ellipse(x, y, 0.085, 0.09, second)
            pen.ellipse(x, y, 0.058, 0.062, mixed(ground, (255, 255, 255), 0.45))
            pen.ellipse(x, y, 0.02, 0.024, (252, 250, 250))


def _lung(pen: Pen, rng: np.random.Generator, ground: Colour, second: Colour) -> None:
    for _ in range(34):
        x, y = rng.random(2).tolist()
        rx, ry = rng.uniform(0.05, 0.125, 2).tolist()
        pen.blob(rng, x, y, rx, ry, (250, 248, 250), wobble=0.25, turn=rng.uniform(0, 3))


def _skin(pen: Pen, rng: np.random.Generator, ground: Colour, second: Colour) -> None:
    xs = np.linspace(0, 1, 24)
    wave = 0.34 + 0.05 * np.sin(xs * 17 + rng.uniform(0, 6))
    edge = list(zip(xs.tolist(), wave.tolist(), strict=True))
    pen.polygon([(0, 0.14), (1, 0.14), *reversed(edge)], mixed(second, (60, 20, 90), 0.3))
    pen.polygon([(0, 0), (1, 0), (1, 0.11), (0, 0.11)], (252, 250, 250))
    pen.polygon([(0, 0.11), (1, 0.11), (1, 0.16), (0, 0.16)], mixed(second, (255, 80, 120), 0.4))
    for _ in range(30):
        x, y = rng.random(), rng.uniform(0.45, 1.0)
        pen.line([(x - 0.12, y), (x, y + 0.015), (x + 0.12, y - 0.01)], second, 0.012)


def _muscle(pen: Pen, rng: np.random.Generator, ground: Colour, second: Colour) -> None:
    for k in range(9):
        y = (k + 0.5) / 9 + rng.normal(0, 0.006)
        pen.line([(-0.05, y), (0.5, y + 0.02), (1.05, y)], mixed(second, ground, 0.2), 0.075)
        pen.line([(-0.05, y + 0.05), (1.05, y + 0.055)], (252, 244, 246), 0.012)


def _region(
    pen: Pen, rng: np.random.Generator, a: Attributes, nuclear: Colour, second: Colour
) -> None:
    x, y = PLACES[a["region"]]
    match a["feature"]:
        case "necrosis":
            pen.blob(rng, x, y, 0.2, 0.18, (246, 226, 196), wobble=0.2)
        case "inflammatory infiltrate":
            for dx, dy in rng.normal(0, 0.085, (260, 2)).tolist():
                pen.ellipse(x + dx, y + dy, 0.012, 0.012, nuclear)
        case "haemorrhage":
            pen.blob(rng, x, y, 0.2, 0.17, (176, 16, 28), wobble=0.2)
        case _:
            for dx, dy in rng.normal(0, 0.09, (26, 2)).tolist():
                pen.ellipse(x + dx, y + dy, 0.036, 0.036, (254, 254, 254))


def histology_title(a: Attributes) -> str:
    return (
        f"Histology of {a['tissue']} tissue stained with {a['stain']} ({STAIN_WORDS[a['stain']]})"
    )


def histology_facts(a: Attributes) -> list[str]:
    place = "in the centre" if a["region"] == "centre" else f"in the {a['region']} area"
    facts = [f"Nuclei are {a['nuclei']}."]
    if a["region"] != "none":
        facts.insert(0, f"An area of {a['feature']} lies {place}.")
    if a["arrow"] != "none":
        goal = "centre" if a["region"] in ("none", "centre") else f"{a['region']} area"
        facts.append(f"A {a['arrow']} arrow points at the {goal}.")
    return [*facts, f"Scale bar at the {a['corner']}, {a['bar']} µm."]


HISTOLOGY = Kind(
    name="histology",
    family="microscopy",
    choices={
        "stain": (*STAINS, "haematoxylin and eosin", "haematoxylin and eosin"),
        "tissue": ("liver", "kidney", "colon", "lung", "skin", "muscle"),
        "nuclei": tuple(NUCLEI),
        "region": ("none", *PLACES),
        "feature": ("necrosis", "inflammatory infiltrate", "haemorrhage", "fat vacuoles"),
        "arrow": ("none", "none", "black", "yellow", "green"),
        "bar": LENGTHS,
        "corner": CORNERS,
    },
    shared=("stain", "tissue", "bar", "corner"),
    title=histology_title,
    facts=histology_facts,
    draw=draw_histology,
    is_dark=False,
)
