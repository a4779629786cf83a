"""Pictures as other people's encoders learned to see them: padded, squashed, grey, stretched."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from pydantic import PositiveInt
from torch import Tensor

from figclip.inputs.pixels import PixelConfig, as_rgb, middle_of

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class PeerPixels(PixelConfig):
    """How a picture becomes the square that a peer's image tower sees."""

    fit: Literal["crop", "pad", "squash"] = "crop"
    """The middle of it, all of it on black, or all of it whatever its shape."""
    resize: PositiveInt | None = None
    """Shortest side before a crop; unset: `size`."""
    resample: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    is_grey: bool = False
    """Its colours are dropped; the three planes are the same."""
    is_stretched: bool = False
    """Its darkest level becomes black, its lightest white."""


def peer_crop(image: Image.Image, config: PeerPixels) -> UInt8[Tensor, "3 side side"]:
    """The evaluation recipe of a peer, as bytes, before they are normalised."""
    image = middle_of(as_rgb(image))
    if config.is_stretched:
        image = stretched(image)
    if config.is_grey:
        image = image.convert("L")
    match config.fit:
        case "crop":
            square = _cropped(image, config)
        case "pad":
            square = _resized(_padded(image, config.size), (config.size, config.size), config)
        case "squash":
            square = _resized(image, (config.size, config.size), config)
    levels = np.asarray(square.convert("RGB"))
    return torch.from_numpy(levels.transpose(2, 0, 1).copy())


def stretched(image: Image.Image) -> Image.Image:
    """A picture of one level stays as it is."""
    levels = np.asarray(image).astype(np.float64)
    low, high = levels.min(), levels.max()
    if low == high:
        return image
    return Image.fromarray((255 * ((levels - low) / (high - low))).astype(np.uint8))


def _resized(image: Image.Image, size: tuple[int, int], config: PeerPixels) -> Image.Image:
    return image.resize(size, RESAMPLING[config.resample])


def _padded(image: Image.Image, least: int) -> Image.Image:
    """In the middle of a black square, which is at least so large."""
    side = max(least, *image.size)
    paper = Image.new(image.mode, (side, side))
    paper.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return paper


def _cropped(image: Image.Image, config: PeerPixels) -> Image.Image:
    shortest = config.resize or config.size
    wide, high = (int(shortest * side / min(image.size)) for side in image.size)
    resized = _resized(image, (wide, high), config)
    left, top = round((wide - config.size) / 2), round((high - config.size) / 2)
    return resized.crop((left, top, left + config.size, top + config.size))
