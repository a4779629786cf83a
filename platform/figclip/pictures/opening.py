"""A media file's bytes → a picture that can be decoded within bounds of memory and time."""

import io
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from figclip.schema import MAX_PIXELS, Unusable

MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"RIFF": "WEBP",
    b"BM": "BMP",
}
"""First bytes → format. What begins otherwise never reaches a decoder."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what turns the picture upright."""

SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

JPEGS = ("JPEG", "MPO")
"""A JPEG, and one that further pictures follow."""

MAX_BYTES = 8 * MAX_PIXELS
"""Of memory for one picture: two copies of the largest at four bytes a pixel."""

MAX_SCANNED_PIXELS = 32 * MAX_PIXELS
"""Of a JPEG, all its scans together: a few seconds of decoding. Sound ones have up to a dozen."""

MAX_RUN_PIXELS = MAX_PIXELS // 16
"""Of a run-length BMP, which Pillow decodes in Python."""


class ImageError(Unusable):
    """Bytes that give no picture; `reason` is a word to count by."""


def opened(data: bytes, *, max_pixels: int) -> Any:
    """The picture's header, read by the one decoder that its first bytes call for.

    `ImageError`: `not_an_image`, `huge_image` (more than `max_pixels`), `broken_image`.
    """
    form = next((form for magic, form in MAGIC.items() if data.startswith(magic)), None)
    if form is None or (form == "WEBP" and data[8:12] != b"WEBP"):
        raise ImageError("not_an_image", f"begins with {data[:12]!r}" if data else "empty file")
    Image.init()
    try:
        image = Image.OPEN[form][0](io.BytesIO(data), "")  # `Image.open` has a bound of its own
    except Image.DecompressionBombError as error:
        raise ImageError("huge_image", str(error)) from error
    except Exception as error:
        raise ImageError("broken_image", f"{type(error).__name__}: {error}") from error
    if image.width * image.height > max_pixels:
        raise ImageError("huge_image", f"{image.width} x {image.height} > {max_pixels} pixels")
    return image


def load(image: Any, whole: tuple[int, int], data: bytes) -> None:
    """Decode, unless the header foretells more memory or time than a picture may take."""
    pixels = whole[0] * whole[1]
    scans = _num_scans(data) if image.format in JPEGS else 1
    if scans * pixels > MAX_SCANNED_PIXELS:
        raise ImageError("huge_image", f"{scans} scans of {pixels} pixels")
    if image.format == "BMP" and image.tile[0][0] == "bmp_rle" and pixels > MAX_RUN_PIXELS:
        raise ImageError("huge_image", f"{pixels} > {MAX_RUN_PIXELS} pixels in runs")
    num_bytes = _held_bytes(image) + _decoder_bytes(image, pixels, scans)
    if num_bytes > MAX_BYTES:
        raise ImageError("huge_image", f"decoding takes {num_bytes} > {MAX_BYTES} bytes")
    image.load()


def _num_scans(data: bytes) -> int:
    """Of a JPEG, at most: two such bytes stand before a scan, and nowhere else among the pixels."""
    levels = np.frombuffer(data, np.uint8)
    return int(np.count_nonzero((levels[:-1] == 0xFF) & (levels[1:] == 0xDA)))


def _held_bytes(image: Any) -> int:
    depth = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    return depth * image.width * image.height


def _decoder_bytes(image: Any, pixels: int, scans: int) -> int:
    """What decoding takes beside the picture, at most."""
    if image.format in JPEGS and scans > 1:
        return 2 * len(image.getbands()) * pixels  # all coefficients, until the last scan
    if image.format == "WEBP":
        return 16 * pixels  # two frames, their copy, and a lossless one's own
    if image.tile and image.tile[0][0] == "libtiff":
        return _tiff_piece_bytes(image.tag_v2)
    return 0


def _tiff_piece_bytes(tags: Any) -> int:
    """Of one strip or tile, which is decoded as a whole."""
    names = ExifTags.Base
    wide, high = tags[names.ImageWidth], tags[names.ImageLength]
    width = tags.get(names.TileWidth, wide)
    rows = tags.get(names.TileLength, min(high, tags.get(names.RowsPerStrip, high)))
    bits = tags.get(names.SamplesPerPixel, 1) * max(tags.get(names.BitsPerSample, (1,)))
    return int(width * rows * max(bits, 32) // 8)


def orientation(image: Any) -> int:
    """As EXIF says, 1 to 8; 1 where it says nothing, or nothing that can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # a picture is worth more than what a camera wrote beside it
        return 1


def fitted(size: tuple[int, int], longest_side: int | None) -> tuple[int, int]:
    """The size, shrunk until its longer side is no longer than that."""
    longest = max(size)
    if longest_side is None or longest <= longest_side:
        return size
    width, height = (max(1, round(side * longest_side / longest)) for side in size)
    return width, height
