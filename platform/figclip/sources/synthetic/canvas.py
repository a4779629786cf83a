"""Drawing on one panel: shapes in fractions of its size, grain, overlays, scale bars."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]

COLOURS: dict[str, Colour] = {
    "red": (226, 38, 38),
    "green": (38, 178, 74),
    "blue": (40, 88, 222),
    "orange": (247, 142, 20),
    "purple": (126, 52, 178),
    "yellow": (246, 222, 34),
    "cyan": (34, 206, 222),
    "magenta": (228, 48, 176),
    "brown": (140, 86, 48),
    "grey": (140, 140, 140),
    "black": (24, 24, 24),
    "white": (255, 255, 255),
}


class Pen:
    """Draws on one panel. Positions are fractions of its width and height, radii of its shorter
    side; with `square` positions span a centred square, so that anatomy keeps its proportions.
    """

    def __init__(
        self,
        size: tuple[int, int],
        background: Colour,
        *,
        square: bool = False,
        detail: int = 1,
    ) -> None:
        width, height = size[0] * detail, size[1] * detail
        self.unit = min(width, height)
        self.span = (self.unit, self.unit) if square else (width, height)
        self.origin = ((width - self.span[0]) / 2, (height - self.span[1]) / 2)
        self.detail = detail
        self.image = Image.new("RGB", (width, height), background)
        self.draw = ImageDraw.Draw(self.image)

    def at(self, x: float, y: float) -> Point:
        return self.origin[0] + x * self.span[0], self.origin[1] + y * self.span[1]

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: Colour | None = None,
        *,
        outline: Colour | None = None,
        width: float = 0.0,
    ) -> None:
        cx, cy = self.at(x, y)
        rx, ry = max(rx * self.unit, 0.6), max(ry * self.unit, 0.6)
        box = (cx - rx, cy - ry, cx + rx, cy + ry)
        self.draw.ellipse(box, fill=fill, outline=outline, width=self.pixels(width))

    def pixels(self, width: float) -> int:
        return max(1, round(width * self.unit))

    def polygon(
        self, points: Sequence[Point], fill: Colour | None = None, *, outline: Colour | None = None
    ) -> None:
        self.draw.polygon([self.at(*point) for point in points], fill=fill, outline=outline)

    def blob(
        self,
        rng: np.random.Generator,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: Colour,
        *,
        wobble: float = 0.08,
        turn: float = 0.0,
    ) -> None:
        """An ellipse with an uneven border, turned by `turn` radians."""
        theta = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        orders = np.arange(2, 6)[:, None]
        waves = np.sin(orders * theta + rng.uniform(0, 2 * math.pi, (4, 1)))
        radius = 1 + wobble * (rng.uniform(0.3, 1, (4, 1)) * waves).sum(0) / 2
        px, py = rx * radius * np.cos(theta), ry * radius * np.sin(theta)
        cos, sin = math.cos(turn), math.sin(turn)
        cx, cy = self.at(x, y)
        xs = cx + self.unit * (px * cos - py * sin)
        ys = cy + self.unit * (px * sin + py * cos)
        self.draw.polygon(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=fill)

    def line(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        path = [self.at(*point) for point in points]
        self.draw.line(path, fill=fill, width=self.pixels(width), joint="curve")

    def dashes(self, start: Point, end: Point, fill: Colour, width: float, count: int = 14) -> None:
        for k in range(count):
            a, b = k / count, (k + 0.55) / count
            self.line([_between(start, end, a), _between(start, end, b)], fill, width)

    def rectangle(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: Colour | None = None,
        *,
        outline: Colour | None = None,
        width: float = 0.0,
        radius: float = 0.0,
    ) -> None:
        (left, top), (right, bottom) = self.at(x0, y0), self.at(x1, y1)
        box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        self.draw.rounded_rectangle(
            box, radius * self.unit, fill=fill, outline=outline, width=self.pixels(width)
        )

    def arrow(self, tip: Point, start: Point, fill: Colour, width: float = 0.022) -> None:
        """A straight arrow whose head ends at `tip`."""
        (tx, ty), (sx, sy) = self.at(*tip), self.at(*start)
        length = math.hypot(tx - sx, ty - sy) or 1.0
        ux, uy = (tx - sx) / length, (ty - sy) / length
        head = min(3.2 * width * self.unit, length * 0.6)
        bx, by = tx - ux * head, ty - uy * head
        self.draw.line([(sx, sy), (bx, by)], fill=fill, width=self.pixels(width))
        side = head * 0.62
        self.draw.polygon(
            [(tx, ty), (bx - uy * side, by + ux * side), (bx + uy * side, by - ux * side)],
            fill=fill,
        )

    def finished(self) -> Image.Image:
        """The panel at its own size, edges smoothed where it was drawn with more detail."""
        return self.image if self.detail == 1 else self.image.reduce(self.detail)


def _between(start: Point, end: Point, part: float) -> Point:
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


@functools.cache
def _grain() -> np.ndarray:
    return np.random.default_rng(20261118).standard_normal((1400, 1400), dtype=np.float32)


def grain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Unit Gaussian noise [height, width]: a random window of one fixed field, for speed."""
    field = _grain()
    top = int(rng.integers(0, field.shape[0] - height + 1))
    left = int(rng.integers(0, field.shape[1] - width + 1))
    return field[top : top + height, left : left + width]


def clouds(rng: np.random.Generator, height: int, width: int, *, cells: int) -> np.ndarray:
    """Smooth noise [height, width] of about unit size, `cells` waves along the shorter side."""
    step = min(height, width) / cells
    rows, columns = max(2, round(height / step)), max(2, round(width / step))
    coarse = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def scanned(
    image: Image.Image,
    rng: np.random.Generator,
    *,
    blur: float,
    noise: float,
    texture: float = 0.0,
    cells: int = 24,
) -> Image.Image:
    """A grey picture as a scanner gives it: blurred, grainy, unevenly textured where it is lit."""
    soft = image.convert("L").filter(ImageFilter.GaussianBlur(blur))
    values = np.asarray(soft, dtype=np.float32)
    height, width = values.shape
    lit = np.minimum(values / 60.0, 1.0)
    values = values + noise * grain(rng, height, width) * (0.3 + lit)
    if texture:
        values = values + texture * lit * clouds(rng, height, width, cells=cells)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")


def tinted(
    image: Image.Image, rng: np.random.Generator, *, noise: float, uneven: float = 0.0
) -> Image.Image:
    """A colour picture with sensor noise and uneven light."""
    width, height = image.size
    light = 128 + noise * grain(rng, height, width)
    if uneven:
        light = light + uneven * clouds(rng, height, width, cells=5)
    layer = Image.fromarray(light.astype(np.uint8))
    return ImageChops.add(image, Image.merge("RGB", (layer, layer, layer)), offset=-128)


def washed(image: Image.Image, mask: Image.Image, colour: Colour, opacity: float) -> Image.Image:
    """`image` with `colour` laid over the white part of `mask` (mode L)."""
    layer = Image.new("RGB", image.size, colour)
    return Image.composite(layer, image, mask.point(lambda value: round(value * opacity)))


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, so that pictures do not depend on the fonts of the machine."""
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def ink_box(text: str, size: int) -> tuple[int, int, int, int]:
    """The box of the ink of a text that is printed at (0, 0)."""
    x0, y0, x1, y1 = font(size).getbbox(text, stroke_width=_weight(size))
    return math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)


def write_text(
    image: Image.Image, position: tuple[int, int], text: str, colour: Colour, size: int
) -> None:
    """Print `text` with the upper left of its ink at `position`.

    Only panel labels and lengths of scale bars are ever printed.
    """
    x0, y0, _, _ = ink_box(text, size)
    at = (position[0] - x0, position[1] - y0)
    draw = ImageDraw.Draw(image)
    draw.text(at, text, fill=colour, font=font(size), stroke_width=_weight(size))


def _weight(size: int) -> int:
    """Stroke that makes the regular font as bold as labels are."""
    return round(size / 22)


SCALE_BARS = {20: 0.12, 50: 0.18, 100: 0.25, 200: 0.34}
"""Length in micrometres → fraction of the panel's width."""


def scale_bar(
    image: Image.Image, length_um: int, corner: str, colour: Colour, plate: Colour | None = None
) -> None:
    """A bar in the `lower left` or `lower right` corner, with its length where there is room."""
    width, height = image.size
    unit = min(width, height)
    bar = round(SCALE_BARS[length_um] * width)
    margin, thick = round(0.05 * unit), max(3, round(0.022 * unit))
    left = margin if corner == "lower left" else width - margin - bar
    top = height - margin - thick
    if plate is not None:
        tall = round(0.065 * unit) if unit >= 220 else 0
        box = (left - thick, top - tall - thick, left + bar + thick, top + 2 * thick)
        ImageDraw.Draw(image).rectangle(box, fill=plate)
    ImageDraw.Draw(image).rectangle((left, top, left + bar, top + thick - 1), fill=colour)
    if unit >= 220:
        size = max(11, round(unit * 0.045))
        # Pillow's own font has no micro sign; "um" is what many microscopes print, too.
        write_text(image, (left, top - round(size * 1.15)), f"{length_um} um", colour, size)
