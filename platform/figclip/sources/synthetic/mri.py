"""MRI-like pictures of brain, lumbar spine and knee in three weightings."""

import math
from itertools import pairwise

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
    for (x, y), (_, below) in pairwise(curve):
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
