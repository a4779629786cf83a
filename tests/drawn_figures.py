"""Compound figures drawn for tests, and pairs that hold them."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from figclip.schema import PAIR_SCHEMA

CAPTION = "Cells. (A) Young ones. (B) Old ones. (C) Dead ones. (D) None. Scale bar: 5 µm."

WIDTH, HEIGHT, GUTTER = 640, 480, 24


def photo(size: tuple[int, int], seed: int) -> Image.Image:
    """Soft blobs, as under a microscope."""
    noise = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def compound(labels: str) -> tuple[np.ndarray, dict[str, tuple[int, int, int, int]]]:
    """Photographs in two columns on white, a letter in the corner of each."""
    rows = -(-len(labels) // 2)
    page = Image.new("RGB", (2 * WIDTH + GUTTER, rows * (HEIGHT + GUTTER) - GUTTER), "white")
    boxes = {}
    for number, label in enumerate(labels):
        x, y = number % 2 * (WIDTH + GUTTER), number // 2 * (HEIGHT + GUTTER)
        page.paste(photo((WIDTH, HEIGHT), number), (x, y))
        pen = ImageDraw.Draw(page)
        pen.rectangle((x + 8, y + 8, x + 56, y + 60), fill="white")
        pen.text((x + 18, y + 10), label, fill="black", font=ImageFont.load_default(42))
        boxes[label] = (x, y, x + WIDTH, y + HEIGHT)
    return np.asarray(page), boxes


ABSENT = {pa.string(): "", pa.int32(): 0, pa.int64(): 0}


def pair(image: bytes, caption: str, width: int, height: int) -> dict:
    row = {field.name: ABSENT.get(field.type, []) for field in PAIR_SCHEMA}
    return row | {
        "pair_id": "PMC1.1/F1/a.jpg",
        "label": "Figure 2",
        "caption": caption,
        "image": image,
        "width": width,
        "height": height,
        "original_width": 2 * width,
        "original_height": 2 * height,
        "image_fingerprint": bytes(32),
        "split": "test",
    }


def saved(levels: np.ndarray, form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, form)
    return stream.getvalue()
