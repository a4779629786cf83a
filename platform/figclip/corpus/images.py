"""A media file's bytes → a checked RGB picture to store."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from figclip.corpus.fingerprint import fingerprint
from figclip.schema import MAX_PIXELS

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

JPEG_QUALITY = 90

FEW_COLOURS = 256

ROTATED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

EXIF_ORIENTATION = 0x0112


class ImageError(Exception):
    """Bytes that give no picture; `reason` is a word to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class StoredImage:
    """A picture as a pair carries it."""

    data: bytes
    """JPEG or PNG, RGB, upright."""
    width: int
    height: int
    original_width: int
    """Of the media file, upright."""
    original_height: int
    sha256: str
    """Of the media file."""
    fingerprint: bytes


def store_image(
    data: bytes, *, longest_side: int | None, max_pixels: int = MAX_PIXELS
) -> StoredImage:
    """Check, decode, turn upright, make RGB, and shrink to at most `longest_side` pixels.

    The bytes of an upright RGB JPEG or PNG that needs no shrinking are kept as they are. Several
    frames give the first. `ImageError`: `not_an_image`, `huge_image` (by its header, before any
    pixel is decoded), `broken_image` (truncated, or not decodable).
    """
    image = _opened(data, max_pixels=max_pixels)
    try:
        width, height = _upright_size(image)
        if longest_side is not None:
            # libjpeg halves while it decodes; twice the size that is needed keeps 50 dB.
            image.draft(None, (2 * longest_side, 2 * longest_side))
        image.load()
        kept = _is_storable(image) and (longest_side is None or max(width, height) <= longest_side)
        stored, size = (data, (width, height)) if kept else _encoded(image, longest_side)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise ImageError("broken_image", f"{type(error).__name__}: {error}") from error
    return StoredImage(
        stored,
        *size,
        width,
        height,
        hashlib.sha256(data).hexdigest(),
        fingerprint(Image.open(io.BytesIO(stored)).convert("RGB")),
    )


def _opened(data: bytes, *, max_pixels: int) -> Any:
    """The picture's header, read by the one decoder that its first bytes call for."""
    form = next((form for magic, form in MAGIC.items() if data.startswith(magic)), None)
    if form is None or (form == "WEBP" and data[8:12] != b"WEBP"):
        raise ImageError("not_an_image", f"begins with {data[:12]!r}" if data else "empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=[form])
    except Image.DecompressionBombError as error:
        raise ImageError("huge_image", str(error)) from error
    except Exception as error:
        raise ImageError("broken_image", f"{type(error).__name__}: {error}") from error
    if image.width * image.height > max_pixels:
        raise ImageError("huge_image", f"{image.width} x {image.height} > {max_pixels} pixels")
    return image


def _upright_size(image: Any) -> tuple[int, int]:
    if image.getexif().get(EXIF_ORIENTATION) in ROTATED:
        return image.height, image.width
    return image.width, image.height


def _is_storable(image: Any) -> bool:
    return (
        image.format in ("JPEG", "PNG")
        and image.mode == "RGB"
        and "transparency" not in image.info
        and image.getexif().get(EXIF_ORIENTATION, 1) == 1
    )


def _encoded(image: Any, longest_side: int | None) -> tuple[bytes, tuple[int, int]]:
    """The picture's bytes and size after all changes.

    Lossless sources of few colours (drawings, charts, screen shots) become PNG, for JPEG blurs
    their lines and letters; all others become JPEG, for a photograph as PNG is many times larger.
    """
    lossy = image.format in ("JPEG", "MPO", "WEBP")
    upright = _rgb(ImageOps.exif_transpose(image))
    is_drawing = not lossy and upright.getcolors(FEW_COLOURS) is not None
    if longest_side is not None and max(upright.size) > longest_side:
        scale = longest_side / max(upright.size)
        size = tuple(max(1, round(side * scale)) for side in upright.size)
        upright = upright.resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    if is_drawing:
        upright.save(stream, "PNG")
    else:
        upright.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue(), upright.size


def _rgb(image: Any) -> Any:
    """RGB whatever the mode; see-through parts lie on white, deep greys keep their range."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(image), "L").convert("RGB")
    if "A" in image.getbands() or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(page, image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Any) -> np.ndarray:
    """Grey levels of 16 or 32 bits → 0 to 255.

    White is the first of 255, 65535 and (floats) 1 that holds every level; levels that fit none
    are stretched from their least to their greatest.
    """
    levels = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = levels.min(), levels.max()
    whites = (65535.0,) if image.mode.startswith("I;16") else (1.0, 255.0, 65535.0)
    white = next((white for white in whites if low >= 0 and high <= white), None)
    if image.mode == "I" and white == 1.0:
        white = 255.0
    start, width = (low, high - low) if white is None else (0.0, white)
    return np.rint((levels - start) / (width or 1.0) * 255).astype(np.uint8)
