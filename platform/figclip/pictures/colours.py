"""Pictures of any mode → levels that can be averaged, and RGB."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageCms

STRIP_PIXELS = 2**20


def averageable(image: Any) -> Any:
    """The picture in a mode whose levels can be averaged, see-through parts on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _in_strips(image, "L", _eight_bits(image))
    if image.mode == "RGBA" and image.getextrema()[3] == (255, 255):
        return image.convert("RGB")
    if image.has_transparency_data:
        return _in_strips(image, "RGB", _on_white)
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "CMYK", "YCbCr") else image.convert("RGB")


def _in_strips(image: Any, mode: str, convert: Callable[[Any], Any]) -> Any:
    page = Image.new(mode, image.size)
    for top, strip in _strips(image):
        page.paste(convert(strip), (0, top))
    return page


def _strips(image: Any) -> Iterator[tuple[int, Any]]:
    """The picture from its top, in strips of few bytes."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _on_white(strip: Any) -> Any:
    strip = strip.convert("RGBA")
    page = Image.new("RGB", strip.size, "white")
    page.paste(strip, mask=strip)
    return page


def _eight_bits(image: Any) -> Callable[[Any], Any]:
    """What turns the picture's grey levels of 16 or 32 bits to 0 to 255.

    White is the first of 255, 65535 and (floats) 1 that holds every level; levels that fit none
    are stretched from their least to their greatest.
    """
    ends = [(part.min(), part.max()) for part in (_levels(strip) for _, strip in _strips(image))]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    whites = (65535.0,) if image.mode.startswith("I;16") else (1.0, 255.0, 65535.0)
    white = next((white for white in whites if low >= 0 and high <= white), None)
    if image.mode == "I" and white == 1.0:
        white = 255.0
    start, width = (low, high - low) if white is None else (0.0, white)

    def convert(strip: Any) -> Any:
        shares = (_levels(strip) - start) / (width or 1.0)
        return Image.fromarray(np.rint(shares * 255).astype(np.uint8))

    return convert


def _levels(strip: Any) -> np.ndarray:
    return np.nan_to_num(np.asarray(strip, dtype=np.float64))


def rgb(picture: Any, profile: bytes) -> Any:
    """RGB whatever the mode; the inks of CMYK as its profile says, if it has one that works."""
    if picture.mode == "CMYK" and colour_space(profile) == b"CMYK":
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(
                picture,
                source,
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except ImageCms.PyCMSError:
            pass  # a damaged profile: the inks as if they were pure
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def colour_space(profile: bytes) -> bytes:
    """The colours that a profile speaks of: `RGB`, `CMYK`, `GRAY`; empty if it is none."""
    return profile[16:20].strip() if profile[36:40] == b"acsp" else b""
