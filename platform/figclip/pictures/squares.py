"""A picture's bytes → the square of levels that an image tower sees, by Pillow and numpy alone.

No torch and no pyarrow here: a process that only decodes starts at once and stays small.
"""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
MAX_ASPECT = 20
"""Of a longer picture the evaluation recipe takes the middle, before it resizes."""

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class UnreadableImage(ValueError):
    """These bytes are no picture that we decode; the text says why."""


@dataclass(frozen=True)
class Square:
    """The evaluation recipe up to the levels; as it stands, CLIP's: the middle square."""

    size: int
    """Side, in pixels."""
    fit: Literal["crop", "pad", "squash"] = "crop"
    """The middle of the picture, all of it on black, or all of it whatever its shape."""
    resize: int | None = None
    """Shortest side before a crop; unset: `size`."""
    resample: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    is_grey: bool = False
    """Its colours are dropped; the three planes are the same."""
    is_stretched: bool = False
    """Its darkest level becomes black, its lightest white."""


def decode(data: bytes, *, max_pixels: int, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """The picture in RGB, upright, on white where it is transparent.

    In full: libjpeg's decoding at a half or a quarter saves little beside a fast resize, and is far
    from exact on drawn lines. Raises `UnreadableImage`.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
        if image.width * image.height > max_pixels:
            raise UnreadableImage(
                f"{image.width} x {image.height} pixels; at most {max_pixels:,} are decoded"
            )
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return as_rgb(image)
    except UnreadableImage:
        raise
    except Exception as error:  # on damaged files Pillow's readers raise whatever they trip over
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """On white where it is transparent, 16-bit greys by their upper byte."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I"):  # 16-bit greys, which Pillow would clip to white
        grey = np.asarray(image).clip(0, 65_535) / 257
        return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def middle_of(image: Image.Image) -> Image.Image:
    """The middle of a very long picture, which the resize would else blow up to gigabytes."""
    longest = MAX_ASPECT * min(image.size)
    if max(image.size) <= longest:
        return image
    width, height = (min(side, longest) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def square_of(image: Image.Image, square: Square) -> np.ndarray:
    """Levels, uint8 [size, size, 3]."""
    image = middle_of(as_rgb(image))
    if square.is_stretched:
        image = stretched(image)
    if square.is_grey:
        image = image.convert("L")
    match square.fit:
        case "crop":
            seen = _cropped(image, square)
        case "pad":
            seen = _resized(_padded(image, square.size), (square.size, square.size), square)
        case "squash":
            seen = _resized(image, (square.size, square.size), square)
    return np.asarray(seen.convert("RGB"))


def stretched(image: Image.Image) -> Image.Image:
    """A picture of one level stays as it is."""
    levels = np.asarray(image).astype(np.float64)
    low, high = levels.min(), levels.max()
    if low == high:
        return image
    return Image.fromarray((255 * ((levels - low) / (high - low))).astype(np.uint8))


def _resized(image: Image.Image, size: tuple[int, int], square: Square) -> Image.Image:
    return image.resize(size, RESAMPLING[square.resample])


def _padded(image: Image.Image, least: int) -> Image.Image:
    """In the middle of a black square, which is at least so large."""
    side = max(least, *image.size)
    paper = Image.new(image.mode, (side, side))
    paper.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return paper


def _cropped(image: Image.Image, square: Square) -> Image.Image:
    shortest = square.resize or square.size
    wide, high = (int(shortest * side / min(image.size)) for side in image.size)
    resized = _resized(image, (wide, high), square)
    left, top = round((wide - square.size) / 2), round((high - square.size) / 2)
    return resized.crop((left, top, left + square.size, top + square.size))
