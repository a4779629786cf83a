"""A picture of retrieval: captions, and the figures found for each."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

TILE = 260
GAP = 18
MARGIN = 32
CAPTION_WIDTH = 440
FRAME = 7
FONT_SIZE, SMALL_SIZE, TITLE_SIZE = 19, 16, 22
MAX_LINES = 9
GOLD, INK, GREY, RULE = (224, 165, 22), (26, 28, 33), (104, 110, 120), (222, 225, 230)


@dataclass(frozen=True)
class GridRow:
    """One query and what was found for it, the best first."""

    caption: str
    images: tuple[bytes, ...]
    scores: tuple[float, ...]
    """Cosine of the caption and each image."""
    is_right: tuple[bool, ...]
    rank: int
    """Place of the caption's own figure among all, from 1."""
    num_candidates: int
    encoder: str = ""
    """That found them, where the rows are of several: those of one caption follow one another."""


def draw_grid(rows: Sequence[GridRow]) -> bytes:
    """A PNG: a row a query (and encoder), its caption at the left; the right figure is framed in
    gold.

    After Fig. 2B of BiomedCLIP, https://arxiv.org/abs/2303.00915.
    """
    columns = max(len(row.images) for row in rows)
    width = 2 * MARGIN + CAPTION_WIDTH + columns * (TILE + GAP)
    row_height = TILE + SMALL_SIZE + 3 * GAP
    head = MARGIN + 2 * TITLE_SIZE
    canvas = Image.new("RGB", (width, head + len(rows) * row_height + MARGIN // 2), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), "Caption", fill=INK, font=_font(TITLE_SIZE, bold=True))
    found = f"Nearest of {rows[0].num_candidates:,} figures"
    left = MARGIN + CAPTION_WIDTH + GAP
    draw.text((left, MARGIN), found, fill=INK, font=_font(TITLE_SIZE, bold=True))
    key = "framed: the caption's own"
    key_font = _font(SMALL_SIZE)
    key_left = width - MARGIN - key_font.getlength(key)
    draw.text((key_left, MARGIN + 5), key, fill=GREY, font=key_font)
    box = (key_left - 32, MARGIN + 6, key_left - 10, MARGIN + 24)
    draw.rectangle(box, outline=GOLD, width=4)
    for number, row in enumerate(rows):
        top = head + number * row_height
        is_new = number == 0 or row.caption != rows[number - 1].caption
        if is_new:
            draw.line((MARGIN, top, width - MARGIN, top), fill=RULE)
        _draw_row(canvas, row, top=top + GAP, with_caption=is_new)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def wrapped(text: str, font: ImageFont.FreeTypeFont, *, width: int, max_lines: int) -> list[str]:
    """Lines no wider than `width`; the last ends in … where the text goes on. Long words break."""
    lines: list[str] = []
    line = ""
    for word in _pieces(text.split(), font, width):
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        lines.append(line)
        line = word
    lines = [*lines, line] if line else lines
    if len(lines) <= max_lines:
        return lines
    last = lines[max_lines - 1]
    while last and font.getlength(f"{last} …") > width:
        last = last[:-1]
    return [*lines[: max_lines - 1], f"{last.rstrip(' ,.;:(')} …"]


def _pieces(words: Sequence[str], font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    pieces = []
    for word in words:
        while font.getlength(word) > width:
            cut = next(
                n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= width
            )
            pieces.append(word[:cut])
            word = word[cut:]
        pieces.append(word)
    return [piece for piece in pieces if piece]


def _draw_row(canvas: Image.Image, row: GridRow, *, top: int, with_caption: bool) -> None:
    draw, room = ImageDraw.Draw(canvas), CAPTION_WIDTH - GAP
    told = [(row.caption, _font(FONT_SIZE), INK, MAX_LINES)] if with_caption else []
    told += [(row.encoder, _font(SMALL_SIZE, bold=True), INK, 1)] if row.encoder else []
    if not any(row.is_right):
        note = f"its own figure came {ordinal(row.rank)} of {row.num_candidates:,}"
        told.append((note, _font(SMALL_SIZE), GREY, 1))
    below = top
    for text, font, colour, most in told:
        for line in wrapped(text, font, width=room, max_lines=most):
            draw.text((MARGIN, below), line, fill=colour, font=font)
            below += round(font.size * 1.35)
        below += GAP // 2
    for column, (data, score, is_right) in enumerate(
        zip(row.images, row.scores, row.is_right, strict=True)
    ):
        left = MARGIN + CAPTION_WIDTH + GAP + column * (TILE + GAP)
        _draw_tile(canvas, data, left=left, top=top, is_right=is_right)
        label = f"{column + 1}  ·  {score:.2f}".replace("-", "−")
        draw.text((left, top + TILE + GAP // 3), label, fill=GREY, font=_font(SMALL_SIZE))


def _draw_tile(canvas: Image.Image, data: bytes, *, left: int, top: int, is_right: bool) -> None:
    """The whole picture in a square, its sides kept in proportion."""
    room = TILE - 2 * FRAME
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    scale = min(room / image.width, room / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    x = left + (TILE - image.width) // 2
    y = top + (TILE - image.height) // 2
    draw = ImageDraw.Draw(canvas)
    edge = FRAME if is_right else 1
    box = (x - edge, y - edge, x + image.width + edge - 1, y + image.height + edge - 1)
    draw.rectangle(box, fill=GOLD if is_right else RULE)
    canvas.paste(image, (x, y))


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`."""
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if number % 100 in (11, 12, 13) else ends.get(number % 10, "th")
    return f"{number:,}{end}"


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along: Latin, Greek, Cyrillic, mathematical signs."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
