"""How the labels of a compound figure are printed, and where."""

import functools
import importlib.util
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from figclip.schema import Box
from figclip.sources.synthetic.arrangements import draw_counted
from figclip.sources.synthetic.canvas import Colour
from figclip.sources.synthetic.canvas import font as own_font

Place = Literal["corner", "above", "below", "beside"]
PRINTED = (("{}", 34), ("({})", 12), ("{})", 1), ("{}.", 1), ("[{}]", 1))
"""Forms, as often as 47 annotated figures have them; the last two, which none has, once."""
HEIGHTS = (0.0090, 0.0117, 0.0146, 0.0174, 0.0221, 0.0253, 0.0400)
"""Of labels, as parts of the figure's longer side: at `HEIGHT_SHARES` of the same 47 figures."""
HEIGHT_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
CAPITAL = 0.73
"""Height of a capital, as part of the font's size."""
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
    """`upper left` and so on; above or below its panel's picture only the side counts."""
    size: int
    """Of the font, in pixels."""
    font: str
    pad: int
    """Pixels to the panel's edge."""
    plate: Colour | None
    """Colour of a box behind the label."""
    has_words: bool
    """Below a panel some words may follow the label."""


def draw_label_style(
    rng: random.Random, smallest: int, longest: int, *, on_photo: bool
) -> LabelStyle:
    """For a figure whose longer side, and its panels' shortest one, are so many pixels.

    At that corner as often as real labels are; on photographs mostly inside.
    """
    height = longest * float(np.interp(rng.random(), HEIGHT_SHARES, HEIGHTS))
    size = round(min(height / CAPITAL, max(smallest * 0.2, 8)))
    corner = draw_counted(rng, "label_places")
    place = _draw_place(rng, corner, on_photo=on_photo)
    [form] = rng.choices([form for form, _ in PRINTED], [weight for _, weight in PRINTED])
    has_plate = on_photo and place == "corner" and rng.random() < 0.2
    plate = rng.choice(((255, 255, 255), (0, 0, 0))) if has_plate else None
    pad = rng.choice((1, 2, 3, 5, 8))
    return LabelStyle(form, place, corner, size, rng.choice(FONTS), pad, plate, rng.random() < 0.4)


def _draw_place(rng: random.Random, corner: str, *, on_photo: bool) -> Place:
    """Inside, or in a strip beside the picture; nobody prints a label over a plot's axis."""
    if rng.random() < (0.88 if on_photo else 0.4) and (on_photo or corner.startswith("upper")):
        return "corner"
    if corner.startswith("lower"):
        return "below"
    is_beside = corner.endswith("left") and (rng.random() < 0.15 or corner.startswith("middle"))
    return "beside" if is_beside else "above"


def inside(style: LabelStyle) -> LabelStyle:
    """The same for panels that have no strip for labels."""
    return replace(style, place="corner", has_words=False)


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
    x0, y0, _, y1 = box
    match style.place:
        case "above":
            return _across(style, box, ink, 0), y0
        case "beside":
            return x0, y0
        case "below":
            return _across(style, box, ink, 0), y1 - ink[1]
        case "corner":
            down = {"upper": y0 + style.pad, "lower": y1 - style.pad - ink[1]}
            y = down.get(style.corner.split()[0], (y0 + y1 - ink[1]) // 2)
            return _across(style, box, ink, style.pad), max(y, y0)


def _across(style: LabelStyle, box: Box, ink: tuple[int, int], pad: int) -> int:
    """Where the ink begins from left to right."""
    x0, _, x1, _ = box
    at = {"left": x0 + pad, "right": x1 - pad - ink[0]}
    return max(x0, at.get(style.corner.split()[1], (x0 + x1 - ink[0]) // 2))


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
