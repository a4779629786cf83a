"""CT-like pictures: axial slices of four regions, a lesion, fluid."""

import math

import numpy as np
from PIL import Image

from figclip.sources.synthetic.canvas import Pen, Point, scanned
from figclip.sources.synthetic.marks import (
    MARKS,
    OVERLAYS,
    RADIUS,
    grey,
    lesion_at,
    mark_facts,
    with_marks,
)
from figclip.sources.synthetic.scenes import Attributes, Kind


def draw_ct(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = Pen(size, (0, 0, 0), square=True)
    soft = {"soft-tissue window": 1.0, "bone window": 0.45, "narrow window": 1.4}[a["window"]]
    body = {"chest": _chest, "abdomen": _abdomen, "head": _head, "pelvis": _pelvis}[a["organ"]]
    centre, reach = body(pen, rng, soft, 215 if a["contrast"] == "yes" else 105)
    if a["fluid"] != "none":
        x = 0.68 if a["fluid"] == "left" else 0.32
        pen.blob(rng, x, 0.67, 0.15, 0.055, grey(200 * soft), wobble=0.1)
    spot, radius = lesion_at(a, centre, reach), RADIUS[a["size"]]
    value = 245 * max(soft, 0.8) if a["density"] == "hyperdense" else 30 * soft
    pen.blob(rng, *spot, radius, radius * 0.92, grey(value), wobble=0.12)
    image = scanned(pen.image, rng, blur=size[0] / 260, noise=7, texture=5)
    return with_marks(image, rng, a, spot, radius)


def _torso(pen: Pen, rng: np.random.Generator, soft: float, rx: float, ry: float) -> None:
    for k in range(3):
        pen.line([(0.08, 0.92 + k * 0.008), (0.92, 0.92 + k * 0.008)], grey(60), 0.004)
    pen.blob(rng, 0.5, 0.54, rx, ry, grey(62 * soft), wobble=0.03)
    pen.blob(rng, 0.5, 0.54, rx - 0.04, ry - 0.04, grey(128 * soft), wobble=0.03)
    pen.ellipse(0.5, 0.79, 0.06, 0.055, grey(235))
    pen.ellipse(0.5, 0.845, 0.022, 0.022, grey(40))
    pen.polygon([(0.47, 0.86), (0.53, 0.86), (0.5, 0.92)], grey(225))


def _chest(pen: Pen, rng: np.random.Generator, soft: float, vessel: float) -> tuple[Point, Point]:
    _torso(pen, rng, soft, 0.46, 0.36)
    for k in range(14):
        angle = math.pi * (k + 0.5) / 7
        x, y = 0.5 + 0.405 * math.cos(angle), 0.54 + 0.305 * math.sin(angle)
        pen.blob(rng, x, y, 0.05, 0.014, grey(228), turn=angle + math.pi / 2)
    for x in (0.29, 0.71):
        pen.blob(rng, x, 0.54, 0.165, 0.245, grey(26 * soft), wobble=0.05)
        for _ in range(16):
            dx, dy = rng.normal(0, 0.06), rng.normal(0, 0.09)
            pen.ellipse(x + dx, 0.54 + dy, 0.008, 0.006, grey(120 * soft))
    pen.blob(rng, 0.53, 0.48, 0.12, 0.15, grey(vessel * soft), wobble=0.07)
    pen.ellipse(0.565, 0.70, 0.042, 0.042, grey(vessel * 1.2 * soft))
    return (0.5, 0.53), (0.225, 0.12)


def _abdomen(pen: Pen, rng: np.random.Generator, soft: float, vessel: float) -> tuple[Point, Point]:
    _torso(pen, rng, soft, 0.46, 0.35)
    pen.blob(rng, 0.33, 0.49, 0.22, 0.21, grey(158 * soft), wobble=0.08)
    pen.blob(rng, 0.77, 0.58, 0.08, 0.13, grey(165 * soft), wobble=0.1)
    pen.blob(rng, 0.63, 0.39, 0.12, 0.08, grey(95 * soft), wobble=0.1)
    pen.ellipse(0.64, 0.345, 0.07, 0.03, grey(5))
    for x in (0.35, 0.66):
        pen.blob(rng, x, 0.72, 0.065, 0.08, grey(vessel * soft), wobble=0.1)
        pen.ellipse(x, 0.72, 0.024, 0.035, grey(100 * soft))
    pen.ellipse(0.53, 0.685, 0.036, 0.036, grey(vessel * 1.25 * soft))
    pen.ellipse(0.46, 0.67, 0.034, 0.026, grey(vessel * soft))
    return (0.5, 0.54), (0.235, 0.10)


def _head(pen: Pen, rng: np.random.Generator, soft: float, vessel: float) -> tuple[Point, Point]:
    pen.blob(rng, 0.5, 0.5, 0.37, 0.455, grey(70 * soft), wobble=0.02)
    pen.blob(rng, 0.5, 0.5, 0.355, 0.435, grey(248), wobble=0.02)
    pen.blob(rng, 0.5, 0.5, 0.315, 0.395, grey(112 * soft), wobble=0.02)
    pen.line([(0.5, 0.12), (0.5, 0.88)], grey(150 * soft), 0.008)
    for side in (-1, 1):
        pen.blob(rng, 0.5 + 0.055 * side, 0.43, 0.034, 0.1, grey(35 * soft), turn=-0.3 * side)
        pen.blob(rng, 0.5 + 0.07 * side, 0.6, 0.03, 0.075, grey(35 * soft), turn=0.5 * side)
        pen.ellipse(0.5 + 0.12 * side, 0.5, 0.04, 0.06, grey(vessel * soft))
    return (0.5, 0.49), (0.185, 0.17)


def _pelvis(pen: Pen, rng: np.random.Generator, soft: float, vessel: float) -> tuple[Point, Point]:
    _torso(pen, rng, soft, 0.47, 0.31)
    for side in (-1, 1):
        pen.ellipse(0.5 + 0.29 * side, 0.58, 0.085, 0.085, grey(235))
        pen.blob(rng, 0.5 + 0.21 * side, 0.55, 0.03, 0.15, grey(240), turn=-0.2 * side)
        pen.ellipse(0.5 + 0.1 * side, 0.37, 0.025, 0.025, grey(vessel * 1.2 * soft))
    pen.blob(rng, 0.5, 0.49, 0.12, 0.09, grey(85 * soft), wobble=0.04)
    pen.blob(rng, 0.5, 0.66, 0.06, 0.05, grey(140 * soft))
    return (0.5, 0.53), (0.14, 0.11)


def ct_title(a: Attributes) -> str:
    contrast = "contrast-enhanced " if a["contrast"] == "yes" else "unenhanced "
    return f"Axial {contrast}CT of the {a['organ']} in the {a['window']}"


def ct_facts(a: Attributes) -> list[str]:
    facts = [
        f"A {a['size']} {a['density']} lesion lies in the {a['side']} {a['level']} part.",
        *mark_facts(a),
    ]
    if a["fluid"] != "none":
        facts.append(f"A dense fluid collection is seen on the {a['fluid']} side posteriorly.")
    return facts


CT = Kind(
    name="ct",
    family="radiology",
    choices={
        "organ": ("chest", "abdomen", "head", "pelvis"),
        "window": ("soft-tissue window", "bone window", "narrow window"),
        "contrast": ("yes", "no"),
        "side": ("left", "right"),
        "level": ("anterior", "posterior"),
        "size": ("small", "large", "large"),
        "density": ("hyperdense", "hypodense"),
        "overlay": OVERLAYS,
        "arrow": MARKS,
        "from": ("the left", "the right"),
        "fluid": ("none", "none", "left", "right"),
    },
    shared=("organ", "window", "contrast"),
    title=ct_title,
    facts=ct_facts,
    draw=draw_ct,
    is_dark=True,
)
