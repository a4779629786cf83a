"""How much a blob looks like each letter: correlation with letters drawn in a few fonts.

It is cheap and knows no context: it decides which blobs a recogniser looks at, no more.
"""

import string
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

LETTERS = string.ascii_uppercase + string.ascii_lowercase
SIGNS = string.digits + "()[]/-+*#%&|<>.■●□○▲"
"""What is no label, drawn too, so that a blob may look more like it."""
# All ship with matplotlib: grotesque, antiqua and Computer Modern, as most figures are lettered.
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSerif-Bold",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "cmr10",
    "cmss10",
)
WIDTHS = (0.85, 1.0)
"""Of the letters as drawn: the DejaVu fonts are wider than those of most figures."""
ROWS, COLUMNS = 16, 20

Patches = Float[np.ndarray, "num pixels"]


def patches(
    gray: UInt8[np.ndarray, "height width"], boxes: Int[np.ndarray, "num 4"]
) -> Float[np.ndarray, "num pixels"]:
    """The blobs at one height, centred; each of mean zero and length one, ink of either polarity
    positive if it is darker."""
    found = np.empty((len(boxes), ROWS * COLUMNS), np.float32)
    for row, (x0, y0, x1, y1) in enumerate(boxes):
        found[row] = _patch(gray[y0:y1, x0:x1])
    return _unit(found)


def likeness(
    blobs: Float[np.ndarray, "num pixels"], wanted: str
) -> tuple[Float[np.ndarray, "num wanted"], Float[np.ndarray, "num"]]:
    """Correlation of each blob with the wanted characters, and the best with any other one.

    Case is not told apart, as some letters differ by size alone.
    """
    characters, drawn = _alphabet()
    scores = blobs @ drawn.T
    lower = np.array([character.lower() for character in characters])
    columns = [scores[:, lower == each.lower()].max(1) for each in wanted]
    others = ~np.isin(lower, [each.lower() for each in wanted])
    found = np.stack(columns, 1) if columns else np.zeros((len(blobs), 0), np.float32)
    return found, scores[:, others].max(1)


def _patch(ink: UInt8[np.ndarray, "height width"]) -> Float[np.ndarray, "pixels"]:
    """One blob at `ROWS` of height in the middle of `COLUMNS`; what is beside it is its border."""
    height, width = ink.shape
    columns = min(COLUMNS, max(1, round(width * ROWS / height)))
    small = cv2.resize(ink, (columns, ROWS), interpolation=cv2.INTER_AREA).astype(np.float32)
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    page = np.full((ROWS, COLUMNS), np.median(border), np.float32)
    start = (COLUMNS - columns) // 2
    page[:, start : start + columns] = small
    return cv2.GaussianBlur(page, (3, 3), 0).ravel()


def _unit(rows: Float[np.ndarray, "num pixels"]) -> Float[np.ndarray, "num pixels"]:
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(1e-6, np.linalg.norm(rows, axis=1, keepdims=True))


@cache
def _alphabet() -> tuple[tuple[str, ...], Float[np.ndarray, "all pixels"]]:
    """Every character in every font and width."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    characters, drawn = [], []
    for name in FONTS:
        font = ImageFont.truetype(str(folder / f"{name}.ttf"), 48)
        for character in LETTERS + SIGNS:
            shape = _drawn(character, font)
            if shape is None:
                continue
            for width in WIDTHS:
                size = (max(1, round(shape.shape[1] * width)), shape.shape[0])
                characters.append(character)
                drawn.append(_patch(cv2.resize(shape, size, interpolation=cv2.INTER_AREA)))
    return tuple(characters), _unit(np.stack(drawn))


def _drawn(character: str, font: ImageFont.FreeTypeFont) -> UInt8[np.ndarray, "h w"] | None:
    """Dark ink on white, cut to the ink; None where the font draws nothing."""
    page = Image.new("L", (128, 128), 255)
    ImageDraw.Draw(page).text((32, 32), character, font=font, fill=0)
    ink = np.asarray(page)
    ys, xs = np.nonzero(ink < 128)
    if not len(ys):
        return None
    return ink[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
