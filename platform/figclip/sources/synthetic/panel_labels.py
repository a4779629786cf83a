"""How the labels of a compound figure are printed, and where."""

import functools
import importlib.util
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from figclip.schema import Box
from figclip.sources.synthetic.canvas import Colour
from figclip.sources.synthetic.canvas import font as own_font

Place = Literal["corner", "above", "below", "beside"]
PRINTED = (("{}", 58), ("({})", 22), ("{})", 8), ("{}.", 5), ("[{}]", 1))
FONTS = ("", "DejaVuSans-Bold.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans.ttf",
         "DejaVuSerif-Bold.ttf", "STIXGeneralBol.ttf", "STIXGeneral.ttf")  # fmt: skip
"""Pillow's own, and those that matplotlib brings."""
CAPTIONS = ("Control", "Before", "Treated", "Overview", "Linear scale", "Model 1", "Detail")


@dataclass(frozen=True)
class LabelStyle:
    """How all labels of a figure look."""

    form: str
    """With `{}` for the bare label."""
    place: Place
    corner: str
    """Of a label inside its panel: `upper left` and so on."""
    size: int
    """Of the font, in pixels."""
    font: str
    pad: int
    """Pixels to the panel's edge."""
    plate: Colour | None
    """Colour of a box behind the label."""
    has_words: bool
    """Below a panel some words may follow the label."""


def draw_label_style(rng: random.Random, smallest: int, *, on_photo: bool) -> LabelStyle:
    """For panels whose shorter side is `smallest` pixels; inside on photographs, mostly."""
    places: tuple[Place, ...] = ("corner", "above", "beside", "below")
    weights = (85, 8, 2, 5) if on_photo else (35, 40, 10, 15)
    [place] = rng.choices(places, weights)
    size = round(min(rng.triangular(9, 32, 18), max(smallest * 0.2, 8)))
    corners = ("upper left", "lower left", "upper right", "lower right")
    [corner] = rng.choices(corners, (76, 10, 8, 6) if on_photo else (92, 3, 4, 1))
    [form] = rng.choices([form for form, _ in PRINTED], [weight for _, weight in PRINTED])
    has_plate = on_photo and place == "corner" and rng.random() < 0.2
    plate = rng.choice(((255, 255, 255), (0, 0, 0))) if has_plate else None
    pad = rng.choice((1, 2, 3, 5, 8))
    return LabelStyle(form, place, corner, size, rng.choice(FONTS), pad, plate, rng.random() < 0.4)


@functools.lru_cache(maxsize=256)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    spec = importlib.util.find_spec("matplotlib") if name else None
    if spec is None or spec.origin is None:
        return own_font(size)
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / name), size)


def ink_size(style: LabelStyle, label: str) -> tuple[int, int]:
    """Width and height of a label's ink."""
    x0, y0, x1, y1 = _font(style.font, style.size).getbbox(style.form.format(label))
    return round(x1 - x0), round(y1 - y0)


def picture_box(style: LabelStyle, box: Box) -> Box:
    """What of a panel's box is left for its picture."""
    x0, y0, x1, y1 = box
    strip = min(round(style.size * 1.35), (y1 - y0) // 3)
    match style.place:
        case "above":
            return x0, y0 + strip, x1, y1
        case "below":
            return x0, y0, x1, y1 - strip
        case "beside":
            return x0 + min(round(style.size * 1.5), (x1 - x0) // 4), y0, x1, y1
        case "corner":
            return box


def spot(style: LabelStyle, box: Box, ink: tuple[int, int]) -> tuple[int, int]:
    """Upper left of the ink."""
    x0, y0, x1, y1 = box
    match style.place:
        case "above" | "beside":
            return x0, y0
        case "below":
            return (x0 + x1 - ink[0]) // 2, y1 - ink[1]
        case "corner":
            x = x0 + style.pad if "left" in style.corner else x1 - style.pad - ink[0]
            y = y0 + style.pad if "upper" in style.corner else y1 - style.pad - ink[1]
            return max(x, x0), max(y, y0)


def print_label(
    image: Image.Image, style: LabelStyle, label: str, box: Box, rng: random.Random
) -> Box:
    """Print a panel's label and give the box of its ink."""
    text, letters = style.form.format(label), _font(style.font, style.size)
    ink = ink_size(style, label)
    x, y = spot(style, box, ink)
    draw = ImageDraw.Draw(image)
    has_words = style.place == "below" and style.has_words
    if has_words:
        words = f" {rng.choice(CAPTIONS)}"
        x = max(box[0], x - round(letters.getlength(words) / 2))
    found = (x, y, x + ink[0], y + ink[1])
    if style.plate is not None:
        draw.rectangle((x - 3, y - 3, found[2] + 3, found[3] + 3), style.plate)
    ground = float(np.asarray(image.crop(found).convert("L")).mean())
    left, top, _, _ = letters.getbbox(text)
    fill = (255, 255, 255) if ground < 128 else (0, 0, 0)
    draw.text((x - left, y - top), text + (words if has_words else ""), fill, letters)
    return found
