"""Plots as papers print them: numbers at the ticks, titles of axes, legends, stars."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from figclip.sources.synthetic.canvas import Colour
from figclip.sources.synthetic.sheets import INK, PAPER, Sheet, Style, title, word

Plot = Callable[[np.random.Generator, tuple[int, int], Style], Image.Image]
GREY, PALE = (234, 234, 242), (215, 215, 215)


@dataclass(frozen=True)
class Area:
    """A sheet and the part of it inside the axes; values on both axes run from 0 to 1."""

    sheet: Sheet
    left: float
    top: float
    right: float
    bottom: float

    def x(self, value: float) -> float:
        return self.left + value * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - value * (self.bottom - self.top)

    def curve(self, xs: np.ndarray, ys: np.ndarray, fill: Colour, width: float = 1.6) -> None:
        points = zip(xs.tolist(), np.clip(ys, 0, 1).tolist(), strict=True)
        self.sheet.line([(self.x(x), self.y(y)) for x, y in points], fill, width)


def axes(
    rng: np.random.Generator, size: tuple[int, int], style: Style, names: int = 0, legend: int = 0
) -> Area:
    """An empty plot with numbers; `names` words instead of them below, `legend` entries."""
    sheet = Sheet(size, style.letter)
    has_title, is_beside = rng.random() < 0.35, legend > 0 and rng.random() < 0.35
    left = min(sheet.part(4.4, 0), 0.34)
    right = 1 - (min(sheet.part(6, 0), 0.3) if is_beside else sheet.part(0.8, 0))
    top, bottom = sheet.part(2.4 if has_title else 1.0, 1), 1 - sheet.part(3.9, 1)
    area = Area(sheet, left, min(top, 0.25), right, max(bottom, 0.6))
    _paper(area, style)
    _ticks(rng, area, names)
    sheet.words(sheet.part(0.8, 0), (area.top + area.bottom) / 2, title(rng), is_upright=True)
    if rng.random() < 0.75:
        sheet.words((left + right) / 2, 1 - sheet.part(0.8, 1), title(rng))
    if has_title:
        sheet.words((left + right) / 2, sheet.part(1.1, 1), word(rng), scale=1.15)
    for k in range(legend):
        _entry(rng, area, style, k, is_beside=is_beside)
    return area


def _paper(area: Area, style: Style) -> None:
    sheet = area.sheet
    if style.frame == "grey":
        sheet.box(area.left, area.top, area.right, area.bottom, GREY, None)
    if style.frame in ("grid", "grey"):
        for part in (0.2, 0.4, 0.6, 0.8):
            fill = PAPER if style.frame == "grey" else PALE
            sheet.line([(area.left, area.y(part)), (area.right, area.y(part))], fill, 0.8)
            sheet.line([(area.x(part), area.top), (area.x(part), area.bottom)], fill, 0.8)
    if style.frame in ("box", "grid"):
        sheet.box(area.left, area.top, area.right, area.bottom, None, INK)
    elif style.frame == "open":
        corner = (area.left, area.bottom)
        sheet.line([(area.left, area.top), corner, (area.right, area.bottom)], INK, 1.3)


def _ticks(rng: np.random.Generator, area: Area, names: int) -> None:
    sheet, scale = area.sheet, float(rng.choice((1, 0.2, 10, 20, 50, 100, 0.5)))
    short_x, short_y = sheet.part(0.35, 0), sheet.part(0.35, 1)
    for k in range(6):
        y, number = area.y(k / 5), f"{k * scale:.3g}"
        sheet.line([(area.left - short_x, y), (area.left, y)])
        sheet.words(area.left - 1.7 * short_x, y, number, anchor="rm", scale=0.9)
        if not names and (k % 2 == 0 or sheet.part(16, 0) < area.right - area.left):
            x = area.x(k / 5)
            sheet.line([(x, area.bottom), (x, area.bottom + short_y)])
            sheet.words(x, area.bottom + 3.2 * short_y, number, scale=0.9)
    for k in range(names):
        x = area.x((k + 0.5) / names)
        sheet.line([(x, area.bottom), (x, area.bottom + short_y)])
        sheet.words(x, area.bottom + 3.2 * short_y, word(rng)[: max(2, 26 // names)], scale=0.85)


def _entry(rng: np.random.Generator, area: Area, style: Style, k: int, *, is_beside: bool) -> None:
    sheet = area.sheet
    x = area.right + sheet.part(0.5, 0) if is_beside else area.x(0.62)
    y = area.top + sheet.part(0.9 + 1.3 * k, 1)
    sheet.box(x, y - sheet.part(0.3, 1), x + sheet.part(0.8, 0), y + sheet.part(0.3, 1),
              style.colours[k], None)  # fmt: skip
    sheet.words(x + sheet.part(1.2, 0), y, word(rng), anchor="lm", scale=0.9)


def draw_bar_plot(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    groups, series = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    area = axes(rng, size, style, names=groups, legend=series if series > 1 else 0)
    sheet, wide = area.sheet, 0.7 / groups / series
    for k in range(groups * series):
        start = (k // series + 0.15) / groups + (k % series) * wide
        level, error = float(rng.uniform(0.1, 0.85)), float(rng.uniform(0.01, 0.08))
        fill = style.colours[k % series if series > 1 else k % len(style.colours)]
        sheet.box(area.x(start), area.y(level), area.x(start + wide), area.bottom, fill)
        middle = area.x(start + wide / 2)
        sheet.line([(middle, area.y(level + error)), (middle, area.y(level - error))], INK)
        cap = (area.right - area.left) * wide * 0.2
        sheet.line([(middle - cap, area.y(level + error)), (middle + cap, area.y(level + error))])
        if rng.random() < 0.15:
            sheet.words(
                middle, area.y(level + error) - sheet.part(0.4, 1), "*" * int(rng.integers(1, 4))
            )
    return sheet.finished()


def draw_line_plot(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    curves = int(rng.integers(1, 5))
    area = axes(rng, size, style, legend=curves if curves > 1 else 0)
    is_noisy, marks = rng.random() < 0.25, rng.random() < 0.5
    xs = np.linspace(0.02, 0.98, 120 if is_noisy else int(rng.integers(5, 12)))
    for k in range(curves):
        start, end = rng.uniform(0.1, 0.9, 2)
        steep = float(rng.uniform(-4, 4))
        ys = start + (end - start) * (np.expm1(steep * xs) / np.expm1(steep) if steep else xs)
        ys = np.clip(ys + rng.normal(0, 0.06 if is_noisy else 0.025, xs.size), 0.02, 0.98)
        area.curve(xs, ys, style.colours[k])
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True) if marks and not is_noisy else ():
            area.sheet.dot(area.x(x), area.y(y), 0.28, style.colours[k], k)
            error = float(rng.uniform(0.01, 0.05))
            area.sheet.line([(area.x(x), area.y(y - error)), (area.x(x), area.y(y + error))],
                            style.colours[k])  # fmt: skip
    return area.sheet.finished()


def draw_scatter_plot(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    groups, count = int(rng.integers(1, 4)), int(rng.choice((8, 20, 60, 150)))
    area = axes(rng, size, style, legend=groups if groups > 1 else 0)
    is_line = rng.random() < 0.4
    for k in range(groups):
        slope, (cx, cy) = float(rng.uniform(-0.7, 0.9)), rng.uniform(0.3, 0.7, 2)
        xs = np.clip(rng.normal(cx, 0.2, count), 0.02, 0.98)
        ys = np.clip(cy + slope * (xs - cx) + rng.normal(0, 0.1, count), 0.02, 0.98)
        radius = 0.35 if count < 50 else 0.2
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            area.sheet.dot(area.x(x), area.y(y), radius, style.colours[k], k)
        if is_line:
            ends = np.array([0.05, 0.95])
            area.curve(ends, cy + slope * (ends - cx), style.colours[k])
    if is_line:
        area.sheet.words(area.x(0.06), area.y(0.93), "r2 = 0.72, p < 0.01", anchor="lm")
    return area.sheet.finished()


def draw_box_plot(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    groups = int(rng.integers(2, 8))
    area = axes(rng, size, style, names=groups)
    sheet = area.sheet
    for k in range(groups):
        low, first, middle, third, high = np.sort(rng.uniform(0.05, 0.95, 5)).tolist()
        x0, xm, x1 = ((k + part) / groups for part in (0.25, 0.5, 0.75))
        sheet.line([(area.x(xm), area.y(low)), (area.x(xm), area.y(high))])
        sheet.box(area.x(x0), area.y(third), area.x(x1), area.y(first), style.colours[k % 5])
        sheet.line([(area.x(x0), area.y(middle)), (area.x(x1), area.y(middle))], INK, 1.6)
        for _ in range(int(rng.integers(0, 12))):
            at = (
                area.x(xm + float(rng.normal(0, 0.08)) / groups),
                area.y(float(rng.uniform(low, high))),
            )
            sheet.dot(*at, 0.18, INK, 2)
    return sheet.finished()


def draw_step_plot(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    area = axes(rng, size, style, legend=2)
    for k in range(2):
        xs = np.sort(rng.uniform(0, 1, int(rng.integers(8, 30))))
        ys = 1 - np.linspace(0, float(rng.uniform(0.3, 0.9)), xs.size)
        area.curve(np.repeat(xs, 2)[1:], np.repeat(ys, 2)[:-1], style.colours[k])
    area.sheet.words(area.x(0.05), area.y(0.08), "p = 0.003", anchor="lm")
    return area.sheet.finished()


def draw_histogram(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    area = axes(rng, size, style)
    bins = int(rng.integers(8, 40))
    levels = np.exp(
        -(((np.arange(bins) / bins - rng.uniform(0.2, 0.8)) / rng.uniform(0.1, 0.4)) ** 2)
    )
    levels = levels * rng.uniform(0.6, 0.95) * rng.uniform(0.7, 1, bins)
    for k, level in enumerate(levels.tolist()):
        area.sheet.box(area.x(k / bins), area.y(level), area.x((k + 1) / bins), area.bottom,
                       style.colours[0])  # fmt: skip
    return area.sheet.finished()


def draw_heat_plot(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    """A matrix with names at its right, sometimes a dendrogram above, and a colour bar."""
    sheet = Sheet(size, style.letter)
    rows, columns = int(rng.integers(4, 24)), int(rng.integers(3, 14))
    left, right = sheet.part(0.6, 0), 1 - min(sheet.part(5.5, 0), 0.35)
    top, bottom = min(sheet.part(4, 1), 0.25), 1 - min(sheet.part(2.2, 1), 0.15)
    low, high = np.array((40, 70, 200.0)), np.array((215, 40, 40.0))
    values = rng.normal(0, 0.25, (rows, columns)) + rng.choice((-0.6, 0.6), (rows, 1))
    values = np.clip(values * rng.choice((-1, 1), (1, columns)), -1, 1)[..., None]
    shades = 255 + np.where(values < 0, (low - 255) * -values, (high - 255) * values)
    width, height = round((right - left) * sheet.wide), round((bottom - top) * sheet.tall)
    matrix = Image.fromarray(shades.astype(np.uint8)).resize((width, height), 0)
    sheet.image.paste(matrix, (round(left * sheet.wide), round(top * sheet.tall)))
    step = (bottom - top) / rows
    for k in range(rows) if step > sheet.part(0.8, 1) else ():
        sheet.words(
            right + sheet.part(0.3, 0), top + (k + 0.5) * step, word(rng), anchor="lm", scale=0.8
        )
    for k in range(columns):
        x = left + (k + 0.5) * (right - left) / columns
        y = top * (0.35 + 0.25 * (k % 2))
        wide = (right - left) / columns / 2
        sheet.line([(x - wide, top), (x - wide, y), (x + wide, y), (x + wide, top)])
    sheet.words((left + right) / 2, 1 - sheet.part(0.9, 1), title(rng))
    return sheet.finished()


def draw_pie(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    sheet = Sheet(size, style.letter)
    px, py = sheet.at(0.42, 0.5)
    r = 0.36 * min(sheet.wide, sheet.tall)
    ends = np.sort(rng.uniform(0, 360, int(rng.integers(2, 6))))
    for k, (start, end) in enumerate(zip(ends, np.append(ends[1:], ends[0] + 360), strict=True)):
        fill = style.colours[k % 5]
        sheet.draw.pieslice((px - r, py - r, px + r, py + r), start, end, fill, PAPER)
        y = 0.2 + sheet.part(1.5 * k, 1)
        sheet.box(0.8, y, 0.8 + sheet.part(0.7, 0), y + sheet.part(0.7, 1), fill, None)
        sheet.words(
            0.8 + sheet.part(1, 0), y + sheet.part(0.35, 1), word(rng), anchor="lm", scale=0.8
        )
    return sheet.finished()


PLOTS: tuple[Plot, ...] = (
    draw_bar_plot, draw_bar_plot, draw_bar_plot, draw_line_plot, draw_line_plot, draw_line_plot,
    draw_scatter_plot, draw_scatter_plot, draw_box_plot, draw_step_plot, draw_histogram,
    draw_heat_plot, draw_pie,
)  # fmt: skip
"""More often what papers have more often."""
