"""Ultrasound-like pictures: speckle in the probe's field, a cyst or nodule, Doppler flow."""

import math

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from figclip.sources.synthetic.canvas import COLOURS, Pen, Point, clouds, grain, washed
from figclip.sources.synthetic.marks import grey
from figclip.sources.synthetic.scenes import Attributes, Kind


def draw_ultrasound(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = Pen(size, (120, 120, 120), square=True)
    for depth in (0.25, 0.42, 0.8):
        y = depth + rng.uniform(-0.05, 0.05)
        pen.line([(0.0, y), (0.5, y + 0.05), (1.0, y)], grey(rng.uniform(150, 215)), 0.02)
    _organ(pen, rng, a["organ"])
    spot = (
        {"left": 0.33, "centre": 0.5, "right": 0.67}[a["where"]],
        {"shallow": 0.38, "deep": 0.68}[a["depth"]],
    )
    radius = {"small": 0.06, "large": 0.13}[a["size"]]
    dark = a["echo"] == "anechoic"
    if dark:
        pen.rectangle(spot[0] - radius, spot[1], spot[0] + radius, 1.0, grey(205))
    pen.blob(rng, *spot, radius * 1.25, radius, grey(2 if dark else 250), wobble=0.08)
    soft = np.asarray(pen.image.convert("L").filter(ImageFilter.GaussianBlur(size[0] / 120)))
    height, width = soft.shape
    speckle = 1 + 0.16 * grain(rng, height, width) + 0.38 * clouds(rng, height, width, cells=60)
    values = np.clip(soft * np.abs(speckle), 0, 255).astype(np.uint8)
    image = ImageChops.multiply(Image.fromarray(values), _beam(a["probe"], size)).convert("RGB")
    return _with_flow(image, rng, a, spot, radius)


def _organ(pen: Pen, rng: np.random.Generator, organ: str) -> None:
    match organ:
        case "kidney":
            pen.blob(rng, 0.5, 0.52, 0.4, 0.25, grey(70), wobble=0.06)
            pen.blob(rng, 0.5, 0.52, 0.24, 0.1, grey(215), wobble=0.25)
        case "thyroid":
            for side in (-1, 1):
                pen.blob(rng, 0.5 + 0.25 * side, 0.42, 0.2, 0.16, grey(185), wobble=0.06)
            pen.ellipse(0.5, 0.5, 0.1, 0.12, grey(12))
        case "breast":
            for y in np.linspace(0.15, 0.6, 8).tolist():
                pen.line([(0.0, y), (0.5, y + rng.normal(0, 0.02)), (1.0, y)], grey(200), 0.018)
        case _:
            for _ in range(9):
                pen.ellipse(rng.uniform(0.1, 0.9), rng.uniform(0.3, 0.9), 0.04, 0.02, grey(30))


def _beam(probe: str, size: tuple[int, int]) -> Image.Image:
    """White where the probe sees."""
    pen = Pen(size, (0, 0, 0), square=True)
    if probe == "linear":
        pen.rectangle(0.08, 0.06, 0.92, 0.95, (255, 255, 255))
    else:
        arc = [0.5 * math.pi + angle for angle in np.linspace(-0.66, 0.66, 24)]
        outer = [(0.5 + 1.02 * math.cos(t), -0.08 + 1.02 * math.sin(t)) for t in arc]
        inner = [(0.5 + 0.2 * math.cos(t), -0.08 + 0.2 * math.sin(t)) for t in reversed(arc)]
        pen.polygon(outer + inner, (255, 255, 255))
    return pen.image.convert("L")


def _with_flow(
    image: Image.Image, rng: np.random.Generator, a: Attributes, spot: Point, radius: float
) -> Image.Image:
    if a["doppler"] != "none":
        first, second = a["doppler"].split(" and ")
        for colour, dy in ((first, -1), (second, 1)):
            mask = Pen(image.size, (0, 0, 0), square=True)
            y = spot[1] + dy * (radius * 0.75 + 0.03)
            mask.blob(rng, spot[0], y, 0.2, 0.055, (255, 255, 255), wobble=0.2)
            image = washed(image, mask.image.convert("L"), COLOURS[colour], 0.85)
    pen = Pen(image.size, (0, 0, 0), square=True)
    pen.image.paste(image)
    if a["doppler"] != "none":
        x0, x1 = spot[0] - 0.25, spot[0] + 0.25
        pen.rectangle(x0, spot[1] - 0.25, x1, spot[1] + 0.25, outline=COLOURS["white"], width=0.006)
    if a["calipers"] != "none":
        left, right = (spot[0] - radius * 1.2, spot[1]), (spot[0] + radius * 1.2, spot[1])
        pen.dashes(left, right, COLOURS[a["calipers"]], 0.018, count=7)
    return pen.image


def ultrasound_title(a: Attributes) -> str:
    shape = "linear" if a["probe"] == "linear" else "curved"
    return f"Ultrasound of the {a['organ']} with a {shape} probe"


def ultrasound_facts(a: Attributes) -> list[str]:
    noun = {"anechoic": "cyst", "hyperechoic": "nodule"}[a["echo"]]
    place = "in the centre" if a["where"] == "centre" else f"on the {a['where']}"
    facts = [f"A {a['size']} {a['echo']} {noun} is visible {place} at a {a['depth']} position."]
    if a["doppler"] != "none":
        facts.append(f"Colour Doppler shows {a['doppler']} flow around the {noun}.")
    if a["calipers"] != "none":
        facts.append(f"Dashed {a['calipers']} calipers measure its width.")
    return facts


ULTRASOUND = Kind(
    name="ultrasound",
    family="radiology",
    choices={
        "organ": ("liver", "thyroid", "kidney", "breast"),
        "probe": ("linear", "curved"),
        "where": ("left", "centre", "right"),
        "depth": ("shallow", "deep"),
        "size": ("small", "large"),
        "echo": ("anechoic", "hyperechoic"),
        "doppler": ("none", "red and blue", "blue and red", "orange and cyan"),
        "calipers": ("none", "yellow", "green"),
    },
    shared=("organ", "probe"),
    title=ultrasound_title,
    facts=ultrasound_facts,
    draw=draw_ultrasound,
    is_dark=True,
)
