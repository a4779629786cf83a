"""X-ray-like pictures of chest, hand, femur and pelvis, plain or inverted."""

import numpy as np
from PIL import Image, ImageOps

from figclip.sources.synthetic.canvas import COLOURS, Pen, Point, scanned
from figclip.sources.synthetic.marks import MARKS, grey
from figclip.sources.synthetic.scenes import Attributes, Kind

HEIGHTS = {"upper": 0.28, "middle": 0.5, "lower": 0.72}


def draw_xray(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = Pen(size, (8, 8, 8), square=True)
    part = {"chest": _chest, "hand": _hand, "femur": _femur, "pelvis": _pelvis}[a["part"]]
    spot = part(pen, rng, a)
    image = scanned(pen.image, rng, blur=size[0] / 150, noise=6, texture=6)
    if a["scale"] == "inverted":
        image = ImageOps.invert(image)
    if a["mark"] != "none":
        marks = Pen(size, (0, 0, 0), square=True)
        marks.image.paste(image)
        if a["sign"] == "circle":
            marks.ellipse(*spot, 0.14, 0.14, outline=COLOURS[a["mark"]], width=0.022)
        else:
            start = (spot[0] - 0.26, spot[1] - 0.16)
            marks.arrow((spot[0] - 0.05, spot[1] - 0.03), start, COLOURS[a["mark"]], 0.03)
        image = marks.image
    return image


def _x(a: Attributes, reach: float) -> float:
    return 0.5 + reach if a["side"] == "left" else 0.5 - reach


def _chest(pen: Pen, rng: np.random.Generator, a: Attributes) -> Point:
    pen.rectangle(0.03, 0.1, 0.97, 1.0, grey(128), radius=0.2)
    pen.rectangle(0.4, 0.0, 0.6, 0.2, grey(120))
    for side in (-1, 1):
        pen.blob(rng, 0.5 + 0.22 * side, 0.5, 0.165, 0.34, grey(34), wobble=0.04, turn=0.1 * side)
    for k in range(8):
        y = 0.22 + 0.075 * k
        for side in (-1, 1):
            rib = [
                (0.5 + side * r, y - 0.05 + 0.5 * (r - 0.05) ** 1.6)
                for r in np.linspace(0.06, 0.43, 9)
            ]
            pen.line(rib, grey(84), 0.014)
    pen.rectangle(0.455, 0.05, 0.545, 0.95, grey(190), radius=0.02)
    heart = 0.24 if a["heart"] == "enlarged" else 0.14
    pen.blob(rng, 0.53, 0.64, heart, heart * 0.95, grey(196), wobble=0.05)
    pen.polygon([(0.08, 0.84), (0.3, 0.74), (0.5, 0.82), (0.7, 0.76), (0.92, 0.86),
                 (0.95, 1.0), (0.05, 1.0)], grey(205))  # fmt: skip
    for side in (-1, 1):
        pen.line([(0.5 + 0.04 * side, 0.17), (0.5 + 0.36 * side, 0.12)], grey(200), 0.022)
    spot = (_x(a, 0.22), HEIGHTS[a["level"]])
    if a["hardware"] != "none":
        x = _x(a, -0.28)
        pen.rectangle(x - 0.07, 0.2, x + 0.07, 0.3, grey(255), radius=0.03)
        pen.line([(x, 0.3), (x * 0.6 + 0.2, 0.5), (0.53, 0.62), (0.58, 0.72)], grey(255), 0.012)
    pen.blob(rng, *spot, 0.13, 0.11, grey(225), wobble=0.2)
    return spot


def _bone(pen: Pen, start: Point, end: Point, width: float) -> None:
    pen.line([start, end], grey(225), width)
    pen.line([start, end], grey(150), width * 0.45)
    for x, y in (start, end):
        pen.ellipse(x, y, width * 0.75, width * 0.62, grey(215))


def _hand(pen: Pen, rng: np.random.Generator, a: Attributes) -> Point:
    mirror = -1 if a["side"] == "left" else 1
    spot = (0.5, 0.5)
    pen.blob(rng, 0.5, 0.72, 0.24, 0.26, grey(62), wobble=0.05)
    for finger, (lean, top) in enumerate(
        ((-0.38, 0.42), (-0.17, 0.12), (-0.02, 0.06), (0.12, 0.1), (0.25, 0.2))
    ):
        root = (0.5 + mirror * lean * 0.35, 0.78)
        tip = (0.5 + mirror * lean, top)
        pen.line([root, tip], grey(62), 0.095)
        for k, (begin, stop) in enumerate(((0.02, 0.42), (0.46, 0.68), (0.71, 0.87), (0.9, 1.0))):
            p = (root[0] + (tip[0] - root[0]) * begin, root[1] + (tip[1] - root[1]) * begin)
            q = (root[0] + (tip[0] - root[0]) * stop, root[1] + (tip[1] - root[1]) * stop)
            _bone(pen, p, q, 0.042 - 0.006 * k)
        if finger == {"upper": 1, "middle": 2, "lower": 4}[a["level"]]:
            spot = ((root[0] * 2 + tip[0] * 3) / 5, (root[1] * 2 + tip[1] * 3) / 5)
    for _ in range(9):
        pen.blob(rng, rng.normal(0.5, 0.06), rng.normal(0.84, 0.02), 0.035, 0.03, grey(205))
    for x in (0.42, 0.58):
        _bone(pen, (x, 0.93), (x, 1.05), 0.075)
    _finding(pen, a, spot, 0.035)
    return spot


def _femur(pen: Pen, rng: np.random.Generator, a: Attributes) -> Point:
    mirror = 1 if a["side"] == "left" else -1
    pen.rectangle(0.2, 0.0, 0.8, 1.0, grey(58), radius=0.1)
    _bone(pen, (0.5, 0.14), (0.5, 0.88), 0.13)
    pen.line([(0.5, 0.16), (0.5 - mirror * 0.16, 0.06)], grey(220), 0.1)
    pen.ellipse(0.5 - mirror * 0.18, 0.05, 0.085, 0.085, grey(225))
    for side in (-1, 1):
        pen.blob(rng, 0.5 + side * 0.075, 0.9, 0.1, 0.09, grey(222))
    spot = (0.5, HEIGHTS[a["level"]])
    _finding(pen, a, spot, 0.08)
    return spot


def _finding(pen: Pen, a: Attributes, spot: Point, half: float) -> None:
    """A break, bridged by a plate with screws where there is hardware."""
    x, y = spot
    pen.polygon(
        [
            (x - half, y),
            (x + half, y - half),
            (x + half, y - half * 0.3),
            (x - half, y + half * 0.8),
        ],
        grey(12),
    )
    if a["hardware"] != "none":
        pen.rectangle(x + half * 0.6, y - 0.16, x + half * 0.6 + 0.045, y + 0.16, grey(255))
        for k in (-0.13, -0.08, 0.08, 0.13):
            pen.line([(x - half * 1.3, y + k), (x + half * 1.2, y + k)], grey(255), 0.014)


def _pelvis(pen: Pen, rng: np.random.Generator, a: Attributes) -> Point:
    pen.rectangle(0.02, 0.05, 0.98, 1.0, grey(66), radius=0.12)
    pen.rectangle(0.44, 0.0, 0.56, 0.36, grey(190))
    pen.polygon([(0.4, 0.32), (0.6, 0.32), (0.53, 0.55), (0.47, 0.55)], grey(180))
    for side in (-1, 1):
        pen.blob(rng, 0.5 + side * 0.24, 0.34, 0.11, 0.2, grey(190), turn=-0.5 * side)
        pen.ellipse(0.5 + side * 0.14, 0.72, 0.1, 0.12, outline=grey(205), width=0.04)
        pen.ellipse(0.5 + side * 0.28, 0.6, 0.075, 0.075, grey(228))
        pen.line([(0.5 + side * 0.29, 0.61), (0.5 + side * 0.4, 0.72)], grey(215), 0.07)
        pen.line([(0.5 + side * 0.4, 0.7), (0.5 + side * 0.4, 1.0)], grey(215), 0.09)
    spot = (_x(a, 0.26), {"upper": 0.3, "middle": 0.5, "lower": 0.66}[a["level"]])
    if a["hardware"] != "none":
        x = _x(a, -0.28)
        pen.ellipse(x, 0.59, 0.09, 0.09, grey(255))
        pen.line([(x, 0.6), (_x(a, -0.38), 0.9)], grey(255), 0.05)
    pen.blob(rng, *spot, 0.08, 0.07, grey(20), wobble=0.2)
    return spot


FINDINGS = {"chest": "opacity", "hand": "fracture", "femur": "fracture", "pelvis": "lytic lesion"}
HARDWARE = {"chest": "pacemaker", "hand": "plate", "femur": "plate", "pelvis": "hip prosthesis"}


def xray_title(a: Attributes) -> str:
    inverted = " in inverted greyscale" if a["scale"] == "inverted" else ""
    return f"X-ray of the {a['part']}{inverted}"


def xray_facts(a: Attributes) -> list[str]:
    part = a["part"]
    where = {
        "chest": f"in the {a['level']} zone of the {a['side']} lung",
        "hand": f"of the {a['side']} hand, in the "
        + {"upper": "index", "middle": "middle", "lower": "little"}[a["level"]]
        + " finger",
        "femur": f"of the {a['side']} femur, in the {a['level']} third",
        "pelvis": f"on the {a['side']} side, in the {a['level']} part of the pelvis",
    }[part]
    facts = [f"There is a {FINDINGS[part]} {where}."]
    if a["hardware"] != "none":
        facts.append(f"A bright metallic {HARDWARE[part]} is in place.")
    if part == "chest":
        facts.append(f"The heart is {a['heart']}.")
    if a["mark"] != "none":
        facts.append(f"A {a['mark']} {a['sign']} marks the {FINDINGS[part]}.")
    return facts


XRAY = Kind(
    name="xray",
    family="radiology",
    choices={
        "part": ("chest", "chest", "hand", "femur", "pelvis"),
        "scale": ("usual", "usual", "inverted"),
        "side": ("left", "right"),
        "level": ("upper", "middle", "lower"),
        "hardware": ("none", "some"),
        "heart": ("normal in size", "enlarged"),
        "mark": MARKS,
        "sign": ("circle", "arrow"),
    },
    shared=("part", "scale"),
    title=xray_title,
    facts=xray_facts,
    draw=draw_xray,
    is_dark=True,
)
