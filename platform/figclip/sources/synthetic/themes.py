"""What stands in the panels of one figure: photographs, plots or drawings that go together."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from figclip.sources.synthetic.kinds import KINDS
from figclip.sources.synthetic.lettered_drawings import DRAWINGS
from figclip.sources.synthetic.lettered_plots import PLOTS
from figclip.sources.synthetic.scenes import invent_scene
from figclip.sources.synthetic.sheets import Style
from figclip.sources.synthetic.textures import TEXTURES

Drawing = Callable[[np.random.Generator, tuple[int, int]], Image.Image]
Family = Literal["photo", "plot", "drawing"]
Ground = Literal["dark", "light", "any"]
SMALLEST, LARGEST = 48, 1400  # pixels that every drawing can do


@dataclass(frozen=True)
class Content:
    """What one panel shows."""

    family: Family
    draw: Drawing


def draw_contents(
    rng: random.Random, family: Family, count: int, style: Style, ground: Ground = "any"
) -> list[Content]:
    """So many contents of one family that could stand in one figure: mostly alike."""
    first = _draw_content(rng, family, style, ground)
    is_alike = rng.random() < (0.75 if family == "photo" else 0.45)
    others = [
        first if is_alike else _draw_content(rng, family, style, ground) for _ in range(count - 1)
    ]
    return [first, *others]


def _draw_content(rng: random.Random, family: Family, style: Style, ground: Ground) -> Content:
    match family:
        case "photo":
            return Content(family, _photo(rng, ground))
        case "plot":
            plot = rng.choice(PLOTS)
            return Content(family, lambda pixels, size: plot(pixels, size, style))
        case "drawing":
            drawing = rng.choice(DRAWINGS)
            return Content(family, lambda pixels, size: drawing(pixels, size, style))


def _photo(rng: random.Random, ground: Ground) -> Drawing:
    """A kind of picture of the miniature, or a texture, as dark as is wanted."""
    wanted = {"dark": (True,), "light": (False,), "any": (True, False)}[ground]
    if rng.random() < 0.5:
        return rng.choice([texture for texture, is_dark in TEXTURES if is_dark in wanted])
    families = ("radiology", "microscopy", "gel")
    kinds = [kind for kind in KINDS if kind.family in families and kind.is_dark in wanted]
    kind = rng.choice(kinds)
    scene = invent_scene(kind, rng)

    def draw(pixels: np.random.Generator, size: tuple[int, int]) -> Image.Image:
        beside = invent_scene(kind, random.Random(int(pixels.integers(2**32))), scene)
        return beside.draw(pixels, size)

    return draw


def drawn(content: Content, pixels: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """The content at any size, down to a pixel."""
    width, height = (min(max(side, SMALLEST), LARGEST) for side in size)
    image = content.draw(pixels, (width, height))
    return image if image.size == size else image.resize((max(size[0], 1), max(size[1], 1)))


def grid_of(content: Content, columns: int, rows: int, gap: int, ground: int) -> Content:
    """Several pictures of one content as one panel, `gap` pixels of grey level `ground` between."""

    def draw(pixels: np.random.Generator, size: tuple[int, int]) -> Image.Image:
        canvas = Image.new("RGB", size, (ground, ground, ground))
        wide, tall = (size[0] - gap * (columns - 1)) / columns, (size[1] - gap * (rows - 1)) / rows
        for k in range(columns * rows):
            x, y = (k % columns) * (wide + gap), (k // columns) * (tall + gap)
            part = (round(x + wide) - round(x), round(y + tall) - round(y))
            if min(part) > 0:
                canvas.paste(drawn(content, pixels, part), (round(x), round(y)))
        return canvas

    return Content(content.family, draw)


def pair_of(first: Content, other: Content, *, is_row: bool, part: float, gap: int) -> Content:
    """Two things as one panel, as a blot above its bars: `part` of it is the first's."""

    def draw(pixels: np.random.Generator, size: tuple[int, int]) -> Image.Image:
        canvas = Image.new("RGB", size, (255, 255, 255))
        along = 0 if is_row else 1
        cut = round(size[along] * part)
        rest = max(size[along] - cut - gap, 1)
        ends = (cut, size[1]) if is_row else (size[0], cut)
        canvas.paste(drawn(first, pixels, ends), (0, 0))
        ends = (rest, size[1]) if is_row else (size[0], rest)
        canvas.paste(drawn(other, pixels, ends), (cut + gap, 0) if is_row else (0, cut + gap))
        return canvas

    return Content(first.family, draw)


def with_inset(content: Content, inset: Content, corner: str, part: float) -> Content:
    """A panel with a smaller picture in a corner, framed."""

    def draw(pixels: np.random.Generator, size: tuple[int, int]) -> Image.Image:
        canvas = drawn(content, pixels, size)
        wide, tall = max(round(size[0] * part), 8), max(round(size[1] * part), 8)
        pad = int(pixels.integers(0, 8))
        x = pad if "left" in corner else size[0] - wide - pad
        y = pad if "upper" in corner else size[1] - tall - pad
        canvas.paste(drawn(inset, pixels, (wide, tall)), (x, y))
        frame = [None, (255, 255, 255), (0, 0, 0), (255, 255, 0)][int(pixels.integers(4))]
        if frame is not None:
            ImageDraw.Draw(canvas).rectangle((x, y, x + wide - 1, y + tall - 1), None, frame, 2)
        return canvas

    return Content(content.family, draw)
