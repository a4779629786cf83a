"""CT-, MRI- and ultrasound-like pictures: grey anatomy on black, a lesion, marks in colour."""

import math

import numpy as np
from PIL import Image

from figclip.sources.synthetic.canvas import COLOURS, Colour, Pen, Point, scanned, washed
from figclip.sources.synthetic.scenes import Attributes, Kind

MARKS = ("none", "none", "white", "yellow", "red", "green", "cyan")
OVERLAYS = ("none", "red", "green", "blue", "yellow", "magenta", "cyan")
RADIUS = {"small": 0.05, "large": 0.115}


def grey(value: float) -> Colour:
    level = int(min(max(value, 0), 255))
    return level, level, level


def lesion_at(a: Attributes, centre: Point, reach: Point) -> Point:
    """Radiological convention: the patient's left is on the viewer's right."""
    x = centre[0] + (reach[0] if a["side"] == "left" else -reach[0])
    y = centre[1] + (-reach[1] if a["level"] in ("anterior", "upper") else reach[1])
    return x, y


def with_marks(
    image: Image.Image, rng: np.random.Generator, a: Attributes, spot: Point, radius: float
) -> Image.Image:
    """Lay the segmentation mask over the lesion, and let the arrow point at it."""
    if a["overlay"] != "none":
        mask = Pen(image.size, (0, 0, 0), square=True)
        mask.blob(rng, *spot, radius * 1.25, radius * 1.15, (255, 255, 255), wobble=0.1)
        image = washed(image, mask.image.convert("L"), COLOURS[a["overlay"]], 0.62)
    if a["arrow"] != "none":
        pen = Pen(image.size, (0, 0, 0), square=True)
        pen.image.paste(image)
        dx = -1 if a["from"] == "the left" else 1
        near, far = radius + 0.03, radius + 0.24
        tip = (spot[0] + dx * near * 0.8, spot[1] - near * 0.6)
        start = (spot[0] + dx * far * 0.8, spot[1] - far * 0.6)
        pen.arrow(tip, start, COLOURS[a["arrow"]], width=0.024)
        image = pen.image
    return image


def mark_facts(a: Attributes) -> list[str]:
    facts = []
    if a["overlay"] != "none":
        facts.append(f"The segmentation mask of the lesion is overlaid in {a['overlay']}.")
    if a["arrow"] != "none":
        facts.append(f"The {a['arrow']} arrow points at the lesion from {a['from']} of the image.")
    return facts


def draw_ct(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = Pen(size, (0, 0, 0), square=True)
    soft = {"soft-tissue window": 1.0, "bone window": 0.45, "narrow window": 1.4}[a["window"]]
    body = {"chest": _chest, "abdomen": _abdomen, "head": _head, "pelvis": _pelvis}[a["organ"]]
    centre, reach = body(pen, rng, soft, 190 if a["contrast"] == "yes" else 120)
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


def draw_mri(a: Attributes, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    pen = Pen(size, (0, 0, 0), square=True)
    tissue, fluid, fat = {
        "T1-weighted": (125.0, 22.0, 225.0),
        "T2-weighted": (88.0, 245.0, 150.0),
        "FLAIR": (170.0, 12.0, 95.0),
    }[a["weighting"]]
    view = {"brain": _brain, "lumbar spine": _spine, "knee": _knee}[a["organ"]]
    centre, reach = view(pen, rng, (tissue, fluid, fat), a["ventricles"] == "enlarged")
    spot, radius = lesion_at(a, centre, reach), RADIUS[a["size"]]
    value = 252.0 if a["signal"] == "hyperintense" else 6.0
    pen.blob(rng, *spot, radius, radius, grey(value), wobble=0.1)
    if a["form"] == "ring-like":
        pen.blob(rng, *spot, radius * 0.6, radius * 0.55, grey(255 - value), wobble=0.1)
    image = scanned(pen.image, rng, blur=size[0] / 220, noise=5, texture=14, cells=30)
    return with_marks(image, rng, a, spot, radius)


Tissues = tuple[float, float, float]


def _brain(
    pen: Pen, rng: np.random.Generator, tissues: Tissues, is_enlarged: bool
) -> tuple[Point, Point]:
    tissue, fluid, fat = tissues
    pen.blob(rng, 0.5, 0.5, 0.39, 0.47, grey(fat), wobble=0.015)
    pen.blob(rng, 0.5, 0.5, 0.365, 0.445, grey(12), wobble=0.015)
    pen.blob(rng, 0.5, 0.5, 0.335, 0.415, grey(fluid * 0.6 + 20), wobble=0.015)
    for k in range(40):
        angle = 2 * math.pi * k / 40
        x, y = 0.5 + 0.285 * math.cos(angle), 0.5 + 0.365 * math.sin(angle)
        pen.blob(rng, x, y, 0.05, 0.02, grey(tissue * rng.uniform(0.8, 1.0)), turn=angle)
    pen.blob(rng, 0.5, 0.5, 0.285, 0.36, grey(tissue), wobble=0.06)
    pen.line([(0.5, 0.1), (0.5, 0.3)], grey(fluid * 0.7), 0.01)
    wide = 0.065 if is_enlarged else 0.03
    for side in (-1, 1):
        pen.blob(rng, 0.5 + wide * 1.7 * side, 0.43, wide, 0.12, grey(fluid), turn=-0.25 * side)
        pen.blob(rng, 0.5 + wide * 2 * side, 0.6, wide, 0.08, grey(fluid), turn=0.5 * side)
    return (0.5, 0.5), (0.18, 0.19)


def _spine(
    pen: Pen, rng: np.random.Generator, tissues: Tissues, is_enlarged: bool
) -> tuple[Point, Point]:
    tissue, fluid, fat = tissues
    pen.polygon(
        [(0.08, 0.0), (0.95, 0.0), (0.9, 0.5), (0.97, 1.0), (0.15, 1.0)], grey(tissue * 0.4)
    )
    pen.polygon([(0.78, 0.0), (0.95, 0.0), (0.9, 0.5), (0.97, 1.0), (0.84, 1.0)], grey(fat))
    curve = [(0.47 + 0.05 * math.sin(3.2 * t + 0.3), t) for t in np.linspace(0.0, 1.0, 7)]
    canal = 0.10 if is_enlarged else 0.055
    pen.line([(x + 0.17, y) for x, y in curve], grey(fluid), canal)
    pen.line([(x + 0.17, y) for x, y in curve], grey(tissue), canal * 0.35)
    for (x, y), (_, below) in zip(curve, curve[1:], strict=False):
        pen.rectangle(x - 0.12, y + 0.015, x + 0.11, below - 0.035, grey(tissue * 1.3), radius=0.02)
        pen.blob(rng, x, below - 0.01, 0.115, 0.018, grey(fluid * 0.7 + 10))
    return (0.5, 0.5), (-0.19, 0.24)


def _knee(
    pen: Pen, rng: np.random.Generator, tissues: Tissues, is_enlarged: bool
) -> tuple[Point, Point]:
    tissue, fluid, fat = tissues
    pen.rectangle(0.16, 0.0, 0.84, 1.0, grey(fat * 0.45), radius=0.06)
    for top, bottom in ((0.0, 0.46), (0.54, 1.0)):
        pen.rectangle(0.33, top, 0.67, bottom, grey(tissue * 1.25), radius=0.03)
    for side in (-1, 1):
        pen.blob(rng, 0.5 + 0.14 * side, 0.37, 0.145, 0.12, grey(tissue * 1.25))
        pen.blob(rng, 0.5 + 0.13 * side, 0.60, 0.145, 0.075, grey(tissue * 1.25))
        pen.blob(rng, 0.5 + 0.2 * side, 0.505, 0.07, 0.022, grey(10))
    pen.blob(rng, 0.5, 0.505, 0.3, 0.05 if is_enlarged else 0.014, grey(fluid))
    return (0.5, 0.5), (0.15, 0.2)


def mri_title(a: Attributes) -> str:
    plane = {"brain": "Axial", "lumbar spine": "Sagittal", "knee": "Coronal"}[a["organ"]]
    return f"{plane} {a['weighting']} MRI of the {a['organ']}"


def mri_facts(a: Attributes) -> list[str]:
    space = {"brain": "ventricles are", "lumbar spine": "spinal canal is", "knee": "joint space is"}
    return [
        f"A {a['size']} {a['form']} {a['signal']} lesion is located {_mri_side(a)} "
        f"in the {a['level']} part.",
        *mark_facts(a),
        f"The {space[a['organ']]} {a['ventricles']}.",
    ]


def _mri_side(a: Attributes) -> str:
    if a["organ"] == "lumbar spine":
        return "anteriorly" if a["side"] == "left" else "posteriorly"
    return f"on the {a['side']} side"


MRI = Kind(
    name="mri",
    family="radiology",
    choices={
        "organ": ("brain", "brain", "lumbar spine", "knee"),
        "weighting": ("T1-weighted", "T2-weighted", "FLAIR"),
        "ventricles": ("normal", "enlarged"),
        "side": ("left", "right"),
        "level": ("upper", "lower"),
        "size": ("small", "large", "large"),
        "signal": ("hyperintense", "hypointense"),
        "form": ("solid", "ring-like"),
        "overlay": OVERLAYS,
        "arrow": MARKS,
        "from": ("the left", "the right"),
    },
    shared=("organ", "weighting"),
    title=mri_title,
    facts=mri_facts,
    draw=draw_mri,
    is_dark=True,
)
