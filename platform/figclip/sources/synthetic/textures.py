"""Photographs of no particular thing: electron micrographs, macros on plain ground, sparse light.

They widen what stands in a panel; what they show has no words.
"""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from figclip.sources.synthetic.canvas import clouds, grain, scale_bar

Texture = Callable[[np.random.Generator, tuple[int, int]], Image.Image]


def _picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")


def _cells(rng: np.random.Generator, size: tuple[int, int], low: int, high: int) -> np.ndarray:
    width, height = size
    most = max(2, min(int(rng.integers(low, high)), min(size) // 2))
    return clouds(rng, height, width, cells=most)


def draw_micrograph(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Membranes: dark lines where smooth noise crosses zero, as in electron micrographs."""
    width, height = size
    field = _cells(rng, size, 5, 18)
    lines = np.exp(-((field / rng.uniform(0.05, 0.2)) ** 2))
    values = rng.uniform(130, 200) - rng.uniform(60, 120) * lines
    values = values + rng.uniform(5, 25) * _cells(rng, size, 20, 60)
    values = values + rng.uniform(4, 18) * grain(rng, height, width)
    return _with_bar(_picture(values), rng)


def draw_surface(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A relief lit from one side: scanning electron micrographs, skin, rock."""
    width, height = size
    relief = sum(_cells(rng, size, 2**k, 2 ** (k + 1) + 1) / 1.7**k for k in range(2, 7))
    turn = rng.uniform(0, 2 * math.pi)
    slope = np.gradient(relief)
    light = math.cos(turn) * slope[0] + math.sin(turn) * slope[1]
    light = light / (light.std() + 1e-6)
    values = rng.uniform(70, 170) + rng.uniform(25, 50) * light + 5 * grain(rng, height, width)
    if rng.random() < 0.5:
        return _with_bar(_picture(values), rng)
    tint = rng.uniform(0.6, 1.15, 3)
    return _with_bar(_picture(values[..., None] * tint), rng)


def draw_specimen(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A thing on plain, evenly lit ground: an insect, an organ, a plate."""
    width, height = size
    dark = rng.random() < 0.35
    ground = rng.uniform(0, 45, 3) if dark else 255 - rng.uniform(3, 70) * rng.uniform(0.5, 1, 3)
    ys, xs = np.mgrid[0:height, 0:width] / min(size)
    cx, cy = width / min(size) * rng.uniform(0.4, 0.6), height / min(size) * rng.uniform(0.4, 0.6)
    turn = rng.uniform(0, math.pi)
    u = (xs - cx) * math.cos(turn) + (ys - cy) * math.sin(turn)
    v = (ys - cy) * math.cos(turn) - (xs - cx) * math.sin(turn)
    wide, tall = rng.uniform(0.25, 0.5), rng.uniform(0.1, 0.35)
    edge = 1 - (u / wide) ** 2 - (v / tall) ** 2 + 0.25 * _cells(rng, size, 4, 9)
    inside = 1 / (1 + np.exp(-np.clip(edge * 12, -30, 30)))
    thing = rng.uniform(40, 220, 3) * (1 + 0.18 * _cells(rng, size, 8, 40)[..., None])
    values = ground + (thing - ground) * inside[..., None]
    values = values * (1 + 0.03 * _cells(rng, size, 2, 4)[..., None])
    return _with_bar(_picture(values + 3 * grain(rng, height, width)[..., None]), rng)


def draw_sparks(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Little light in the dark: cells, fibres or spots in one or two channels."""
    width, height = size
    values = np.zeros((height, width, 3))
    hues = np.array(((1, 0.1, 0.1), (0.1, 1, 0.15), (0.15, 0.2, 1), (1, 1, 1), (1, 0.2, 1)))
    for _ in range(int(rng.integers(1, 3))):
        field = _cells(rng, size, 8, 50)
        sharp = rng.uniform(0.9, 2.2)
        light = (
            np.clip(field - sharp, 0, 1) if rng.random() < 0.6 else np.exp(-((field / 0.09) ** 2))
        )
        glow = light * np.clip(_cells(rng, size, 2, 6) + 0.6, 0.05, 1.4)
        values = values + rng.uniform(150, 320) * glow[..., None] * hues[int(rng.integers(5))]
    values = values + rng.uniform(2, 14) + rng.uniform(1, 6) * grain(rng, height, width)[..., None]
    return _with_bar(_picture(values), rng)


def draw_scene(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A photograph of the world: large soft patches of related colours, shade, fine detail."""
    width, height = size
    tone = rng.uniform(60, 190, 3)
    patches = np.clip(tone + rng.normal(0, 38, (int(rng.integers(2, 6)), 3)), 5, 250)
    field = np.exp(6 * np.stack([_cells(rng, size, 2, 5) for _ in patches]))
    values = np.einsum("khw,kc->hwc", field / field.sum(0), patches)
    fine = 0.1 * _cells(rng, size, 6, 14) + 0.12 * _cells(rng, size, 20, 90)
    values = values * (1 + fine[..., None]) * (1 + 0.15 * _cells(rng, size, 2, 4)[..., None])
    image = _picture(values + rng.uniform(1, 5) * grain(rng, height, width)[..., None])
    if rng.random() < 0.3:
        x0, x1 = np.sort(rng.uniform(0, width, 2))
        y0, y1 = np.sort(rng.uniform(0, height, 2))
        fill = np.clip(tone + rng.normal(0, 50, 3), 0, 255).astype(int).tolist()
        ImageDraw.Draw(image).rectangle((x0, y0, x1, y1), (fill[0], fill[1], fill[2]))
    return _with_bar(image.filter(ImageFilter.GaussianBlur(0.8)), rng)


def _with_bar(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    if min(image.size) >= 60 and rng.random() < 0.4:
        light = np.asarray(image.convert("L")).mean() < 128
        colour = (255, 255, 255) if light else (0, 0, 0)
        scale_bar(image, int(rng.choice((20, 50, 100))), "lower right", colour)
    return image


TEXTURES: tuple[tuple[Texture, bool], ...] = (
    (draw_micrograph, False),
    (draw_surface, False),
    (draw_specimen, False),
    (draw_sparks, True),
    (draw_scene, False),
)
"""A texture, and whether it is dark."""
