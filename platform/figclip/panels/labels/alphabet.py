"""How much a blob looks like each letter: correlation with letters drawn in a few fonts.

It is cheap and knows no context: it decides which blobs a recogniser looks at, no more.
"""

import string
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

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
DRAWN = frozenset(string.ascii_letters + string.digits)
ROWS, COLUMNS = 16, 20


def patches(
    gray: UInt8[np.ndarray, "height width"],
    boxes: Int[np.ndarray, "num 4"],
    is_pale: Bool[np.ndarray, "num"],
) -> Float[np.ndarray, "num pixels"]:
    """The blobs' ink at one height, centred; each of mean zero and length one."""
    found = np.empty((len(boxes), ROWS * COLUMNS), np.float32)
    for row, (x0, y0, x1, y1) in enumerate(boxes):
        blob = gray[y0:y1, x0:x1]
        found[row] = _patch(255 - blob if is_pale[row] else blob)
    return _unit(found)


def likeness(
    blobs: Float[np.ndarray, "num pixels"], wanted: str
) -> Float[np.ndarray, "num wanted"]:
    """Best correlation of each blob with each wanted character in any font, -1 to 1.

    Case is not told apart, as some letters differ by size alone.
    """
    drawn = _alphabet()
    columns = [(blobs @ drawn[each.lower()].T).max(1) for each in wanted]
    return np.stack(columns, 1) if columns else np.zeros((len(blobs), 0), np.float32)


def _patch(blob: UInt8[np.ndarray, "height width"]) -> Float[np.ndarray, "pixels"]:
    """One dark blob's ink at `ROWS` of height in the middle of `COLUMNS`."""
    ink = np.float32(blob.max()) - blob.astype(np.float32)
    # Blur widens what is told from the ground; half of the contrast is where the print ends.
    half = ink > ink.max() / 2
    rows, columns = np.flatnonzero(half.any(1)), np.flatnonzero(half.any(0))
    if len(rows):
        ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = min(COLUMNS, max(1, round(ink.shape[1] * ROWS / ink.shape[0])))
    page = np.zeros((ROWS, COLUMNS), np.float32)
    start = (COLUMNS - width) // 2
    page[:, start : start + width] = cv2.resize(ink, (width, ROWS), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(page, (3, 3), 0).ravel()


def _unit(rows: Float[np.ndarray, "num pixels"]) -> Float[np.ndarray, "num pixels"]:
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(1e-6, np.linalg.norm(rows, axis=1, keepdims=True))


@cache
def _alphabet() -> dict[str, Float[np.ndarray, "forms pixels"]]:
    """Every character, by its small letter, in both cases and every font and width."""
    import matplotlib  # slow to import, and only its folder of fonts is wanted

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [ImageFont.truetype(str(folder / f"{name}.ttf"), 48) for name in FONTS]
    return {
        small: _unit(np.stack([_patch(form) for form in _forms({small, small.upper()}, fonts)]))
        for small in string.ascii_lowercase + string.digits
    }


def _forms(
    characters: Iterable[str], fonts: Sequence[ImageFont.FreeTypeFont]
) -> Iterator[UInt8[np.ndarray, "height width"]]:
    for character, font, share in product(sorted(characters), fonts, WIDTHS):
        ink = _drawn(character, font)
        size = (max(1, round(ink.shape[1] * share)), ink.shape[0])
        yield np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.uint8)


def _drawn(character: str, font: ImageFont.FreeTypeFont) -> UInt8[np.ndarray, "h w"]:
    """Dark ink on white, cut to the ink."""
    page = Image.new("L", (128, 128), 255)
    ImageDraw.Draw(page).text((32, 32), character, font=font, fill=0)
    ink = np.asarray(page)
    ys, xs = np.nonzero(ink < 128)
    return ink[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
