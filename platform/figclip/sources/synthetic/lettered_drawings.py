"""Drawings as papers print them: flow charts, networks, trees, tables, blots, schemes, traces."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from figclip.sources.synthetic.canvas import Colour, grain
from figclip.sources.synthetic.sheets import INK, PAPER, Sheet, Style, title, word

Drawn = Callable[[np.random.Generator, tuple[int, int], Style], Image.Image]


def pale(colour: Colour, part: float = 0.45) -> Colour:
    r, g, b = (round(255 - (255 - level) * part) for level in colour)
    return r, g, b


def draw_flow_chart(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    """Boxes with words in rows, arrows between rows, much white."""
    sheet = Sheet(size, style.letter)
    rows = int(rng.integers(2, 6))
    counts = [int(rng.integers(1, 4)) for _ in range(rows)]
    radius = float(rng.choice((0, 0, 0.8)))
    above: list[float] = []
    for row, count in enumerate(counts):
        y, tall = (row + 0.5) / rows, float(rng.uniform(0.22, 0.34)) / rows
        spots = [(k + 0.5) / count for k in range(count)]
        for x in spots:
            wide = float(rng.uniform(0.26, 0.42)) / count
            if above:
                nearest = min(above, key=lambda other: abs(other - x))
                _arrow(sheet, (nearest, y - 1 / rows + tall), (x, y - tall))
            sheet.box(x - wide, y - tall, x + wide, y + tall, _fill(rng, style), INK, radius)
            for line in (-0.4, 0.4):
                words = (
                    f"{word(rng)} {title(rng)}"
                    if wide * sheet.wide > 8 * sheet.letter
                    else word(rng)
                )
                sheet.words(
                    x, y + line * tall, words[: int(3.2 * wide * sheet.wide / sheet.letter)]
                )
        above = spots
    return sheet.finished()


def _fill(rng: np.random.Generator, style: Style) -> Colour:
    return PAPER if rng.random() < 0.5 else pale(style.colours[int(rng.integers(5))])


def _arrow(sheet: Sheet, start: tuple[float, float], end: tuple[float, float]) -> None:
    sheet.line([start, end], INK, 1.2)
    x, y = sheet.at(*end)
    r = 0.4 * sheet.letter
    sheet.draw.polygon([(x, y), (x - r, y - 1.6 * r), (x + r, y - 1.6 * r)], INK)


def draw_network(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    is_dark = rng.random() < 0.12
    sheet = Sheet(size, style.letter, (0, 0, 0) if is_dark else PAPER)
    spots = rng.uniform(0.06, 0.94, (int(rng.integers(4, 28)), 2))
    for spot in spots:
        near = np.argsort(((spots - spot) ** 2).sum(1))[1 : 2 + int(rng.integers(1, 3))]
        for other in spots[near]:
            line = [(float(spot[0]), float(spot[1])), (float(other[0]), float(other[1]))]
            sheet.line(line, (120, 120, 120))
    for x, y in spots.tolist():
        sheet.dot(x, y, float(rng.uniform(0.4, 1.3)), style.colours[int(rng.integers(5))])
        if rng.random() < 0.6:
            sheet.words(x, y + sheet.part(1.4, 1), word(rng), fill=PAPER if is_dark else INK)
    return sheet.finished()


def draw_phylogeny(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    """A tree from left to right with a name at each leaf."""
    sheet = Sheet(size, min(style.letter, 0.05))
    most = max(4, int(1 / sheet.part(1.3, 1)))
    leaves = int(rng.integers(4, most + 1))
    right = 1 - min(sheet.part(8, 0), 0.4)
    tops = [(right, (k + 0.5) / leaves) for k in range(leaves)]
    for x, y in tops:
        name = f"{word(rng)} sp. {int(rng.integers(1000, 9999))}"
        sheet.words(x + sheet.part(0.3, 0), y, name, anchor="lm", scale=0.9)
    while len(tops) > 1:
        k = int(rng.integers(len(tops) - 1))
        (x0, y0), (x1, y1) = tops[k], tops[k + 1]
        x = max(
            0.03, min(x0, x1) - float(rng.uniform(0.4, 1.6)) * (right - 0.05) / (leaves**0.7 + 2)
        )
        sheet.line([(x0, y0), (x, y0), (x, y1), (x1, y1)], INK, 1.2)
        tops[k : k + 2] = [(x, (y0 + y1) / 2)]
    return sheet.finished()


def draw_table(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    """Words in rows and columns, with rules or without."""
    sheet = Sheet(size, min(style.letter, 0.05))
    rows = int(rng.integers(4, max(5, int(0.9 / sheet.part(1.5, 1))) + 1))
    columns = int(rng.integers(2, max(3, int(1 / sheet.part(7, 0))) + 1))
    is_ruled, is_striped = rng.random() < 0.4, rng.random() < 0.3
    for row in range(rows):
        y0, y1 = row / rows * 0.96 + 0.02, (row + 1) / rows * 0.96 + 0.02
        if row == 0 or (is_striped and row % 2):
            fill = pale(style.colours[0], 0.5 if row == 0 else 0.15)
            sheet.box(0.01, y0, 0.99, y1, fill if is_striped else PAPER, None)
        if is_ruled or row in (0, 1):
            sheet.line([(0.01, y0), (0.99, y0)])
        for column in range(columns):
            x = 0.03 + 0.96 * column / columns
            text = word(rng) if column == 0 or row == 0 else f"{rng.uniform(0, 100):.2f}"
            sheet.words(x, (y0 + y1) / 2, text, anchor="lm")
    sheet.line([(0.01, 0.98), (0.99, 0.98)])
    for column in range(columns + 1) if is_ruled else ():
        x = 0.01 + 0.98 * column / columns
        sheet.line([(x, 0.02), (x, 0.98)])
    return sheet.finished()


def draw_blot(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    """Strips with bands and white between them, names beside and above."""
    sheet = Sheet(size, style.letter)
    rows, lanes = int(rng.integers(1, 7)), int(rng.integers(2, 9))
    left, right = min(sheet.part(4.5, 0), 0.3), 1 - min(sheet.part(3.2, 0), 0.16)
    top = min(sheet.part(2.4, 1), 0.3)
    for lane in range(lanes):
        x = left + (lane + 0.5) / lanes * (right - left)
        sheet.words(x, top * 0.55, word(rng)[: max(2, 24 // lanes)], scale=0.85)
    pitch = (1 - top - 0.02) / rows
    has_frame, space = rng.random() < 0.5, float(rng.uniform(0.06, 0.3))
    for row in range(rows):
        y0, y1 = top + row * pitch, top + (row + 1 - space) * pitch
        box = (*sheet.at(left, y0), *sheet.at(right, y1))
        strip = _strip(rng, lanes, round(box[2] - box[0]) // 2, round(box[3] - box[1]) // 2)
        sheet.image.paste(
            strip.resize((strip.width * 2, strip.height * 2)), (round(box[0]), round(box[1]))
        )
        if has_frame:
            sheet.box(left, y0, right, y1, None, INK)
        sheet.words(left - sheet.part(0.4, 0), (y0 + y1) / 2, word(rng), anchor="rm")
        sheet.words(right + sheet.part(0.3, 0), (y0 + y1) / 2, "55", anchor="lm", scale=0.8)
    return sheet.finished()


def _strip(rng: np.random.Generator, lanes: int, width: int, height: int) -> Image.Image:
    width, height = max(width, 4), max(height, 4)
    values = np.full((height, width), float(rng.uniform(185, 240)))
    ys, xs = np.mgrid[0:height, 0:width]
    for lane in range(lanes):
        x, y = (lane + 0.5) / lanes * width, height * rng.uniform(0.42, 0.58)
        rx, ry = width / lanes * 0.32, max(1.2, min(height * 0.16, width / lanes * 0.14))
        dark = float(rng.uniform(0, 200))
        values -= dark * np.exp(-(np.abs((xs - x) / rx) ** 4) - ((ys - y) / ry) ** 2)
    values += 4 * grain(rng, height, width)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")


def draw_scheme(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    """Shapes of a cell or an experiment, with arrows and words between."""
    sheet = Sheet(size, style.letter)
    if rng.random() < 0.3:
        sheet.box(0.01, 0.01, 0.99, 0.99, pale(style.colours[0], 0.2), INK, 1.5)
    count = int(rng.integers(2, 6))
    is_down = sheet.tall > sheet.wide
    for k in range(count):
        along, across = (k + 0.5) / count, float(rng.uniform(0.35, 0.65))
        x, y = (across, along) if is_down else (along, across)
        (px, py), r = sheet.at(x, y), float(rng.uniform(0.18, 0.36)) * min(
            max(sheet.wide, sheet.tall) / count, min(sheet.wide, sheet.tall)
        )  # fmt: skip
        fill = pale(style.colours[int(rng.integers(5))], float(rng.uniform(0.3, 0.9)))
        shape = int(rng.integers(3))
        box = (px - r, py - 0.8 * r, px + r, py + 0.8 * r)
        if shape == 0:
            sheet.draw.ellipse(box, fill, INK, sheet.thin)
            sheet.draw.ellipse(
                (px - r / 3, py - r / 3, px + r / 3, py + r / 3), pale(fill, 1.6 % 1)
            )
        elif shape == 1:
            sheet.draw.rounded_rectangle(box, r / 3, fill, INK, sheet.thin)
        else:
            sheet.draw.polygon(
                [(px, py - r), (px + r, py + r / 2), (px - r, py + r / 2)], fill, INK
            )
        sheet.words(px / sheet.wide, (py + r) / sheet.tall + sheet.part(0.2, 1), word(rng))
        if k and rng.random() < 0.8:
            before = (k - 0.2) / count, (k + 0.12) / count
            ends = (
                [(0.5, before[0]), (0.5, before[1])]
                if is_down
                else [(before[0], 0.5), (before[1], 0.5)]
            )
            sheet.line(ends, style.colours[1], 2.5)
    return sheet.finished()


def draw_traces(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Image.Image:
    """Recordings one below the other, or the peaks of a sequencer with letters above."""
    sheet = Sheet(size, style.letter)
    rows = int(rng.integers(1, 6))
    xs = np.linspace(0.12, 0.98, min(700, sheet.wide // 2))
    for row in range(rows):
        middle = (row + 0.55) / rows
        peaks = rng.random(xs.size) < rng.uniform(0.01, 0.08)
        values = rng.normal(0, 0.03, xs.size) + np.convolve(
            peaks * rng.uniform(0.2, 0.45, xs.size), np.exp(-(np.linspace(-2, 2, 9) ** 2)), "same"
        )
        ys = np.clip(middle + 0.25 / rows - values / rows, 0, 1)
        points = list(zip(xs.tolist(), ys.tolist(), strict=True))
        sheet.line(points, style.colours[row % 5], 1.0)
        sheet.words(0.06, middle, word(rng)[:6], scale=0.9)
    sheet.line([(0.85, 0.97), (0.97, 0.97)], INK, 2)
    return sheet.finished()


def softened(image: Image.Image, blur: float) -> Image.Image:
    """As a scan or a strong JPEG leaves a drawing."""
    return image.filter(ImageFilter.GaussianBlur(blur)) if blur else image


DRAWINGS: tuple[Drawn, ...] = (
    draw_flow_chart, draw_network, draw_phylogeny, draw_table, draw_blot, draw_blot, draw_scheme,
    draw_scheme, draw_traces,
)  # fmt: skip
