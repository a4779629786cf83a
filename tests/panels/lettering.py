"""Drawn pictures with letters, for tests of what finds and reads them."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def font(size: int, name: str = "DejaVuSans-Bold") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FOLDER / f"{name}.ttf"), size)


def lettered(
    texts: Mapping[str, tuple[int, int]],
    *,
    size: int = 24,
    width: int = 900,
    height: int = 600,
    ink: str = "black",
    ground: str = "white",
    name: str = "DejaVuSans-Bold",
) -> np.ndarray:
    """Each text with its upper left corner at a place."""
    page = Image.new("RGB", (width, height), ground)
    for text, place in texts.items():
        ImageDraw.Draw(page).text(place, text, fill=ink, font=font(size, name))
    return np.array(page)


def is_near(box: tuple[int, int, int, int], place: tuple[int, int], reach: int = 40) -> bool:
    """Whether a box begins at a place, or within the font's own margin of it."""
    return all(-3 <= edge - at <= reach for edge, at in zip(box[:2], place, strict=True))
