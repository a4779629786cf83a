"""Pictures to pixels: decoding within limits, the crop for training, the crop for evaluation."""

import io
import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from figclip.config import Config, UsageError
from figclip.schema import MAX_PIXELS
from figclip.store import Folder

FILE = "pixels.json"
FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
MAX_ASPECT = 20
"""Of a longer picture the evaluation recipe takes the middle, before it resizes."""


class UnreadableImage(ValueError):
    """These bytes are no picture that we decode; the text says why."""


class PixelConfig(Config):
    """How a picture becomes the square that the image tower sees."""

    size: PositiveInt = 224
    """Side of the square, in pixels."""
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    """Subtracted from red, green and blue in [0, 1]; as it stands, CLIP's."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.26862954, 0.26130258, 0.27577711)
    """What is left is divided by these; as they stand, CLIP's."""
    scale: tuple[PositiveFloat, PositiveFloat] = (0.9, 1.0)
    """Share of the picture's area that a training crop keeps, from least to most."""
    ratio: tuple[PositiveFloat, PositiveFloat] = (3 / 4, 4 / 3)
    """Width over height of a training crop, from least to most."""

    def save(self, folder: Folder) -> None:
        folder.write(FILE, self.to_json().encode())

    @classmethod
    def load(cls, folder: Folder) -> "PixelConfig":
        if not folder.exists(FILE):
            raise UsageError(f"{folder.path} has no {FILE}: it is not an encoder's folder")
        return cls.from_json(folder.read(FILE))


def decode(data: bytes) -> Image.Image:
    """The picture in RGB, upright, on white where it is transparent.

    In full: libjpeg's decoding at a half or a quarter saves little beside a fast resize, and is far
    from exact on drawn lines. Raises `UnreadableImage`.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableImage(
                f"{image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are decoded"
            )
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return as_rgb(image)
    except UnreadableImage:
        raise
    except Exception as error:  # on damaged files Pillow's readers raise whatever they trip over
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error


def eval_pixels(image: Image.Image, config: PixelConfig) -> Float[Tensor, "3 side side"]:
    """Shortest side to `size`, the middle square, normalised: the evaluation recipe of CLIP."""
    return normalise(eval_crop(image, config), config)


def train_pixels(
    image: Image.Image, config: PixelConfig, seed: int | np.random.Generator
) -> Float[Tensor, "3 side side"]:
    """A random crop, resized and normalised; the seed, or the generator's state, decides it."""
    return normalise(train_crop(image, config, seed), config)


def eval_crop(image: Image.Image, config: PixelConfig) -> UInt8[Tensor, "3 side side"]:
    """The bytes of `eval_pixels`, before they are normalised."""
    image = middle_of(as_rgb(image))
    shortest = min(image.size)
    wide, high = (int(config.size * side / shortest) for side in image.size)
    resized = image.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = round((wide - config.size) / 2), round((high - config.size) / 2)
    return _planes(resized.crop((left, top, left + config.size, top + config.size)))


def train_crop(
    image: Image.Image, config: PixelConfig, seed: int | np.random.Generator
) -> UInt8[Tensor, "3 side side"]:
    """The bytes of `train_pixels`, before they are normalised.

    Resized by torch, whose antialiased bicubic is Pillow's to within one level (more than 65 dB)
    and several times as fast.
    """
    left, top, width, height = crop_box(*image.size, config, np.random.default_rng(seed))
    levels = np.asarray(as_rgb(image))[top : top + height, left : left + width]
    return _resized(torch.from_numpy(levels.copy()).permute(2, 0, 1), config.size)


def _resized(levels: UInt8[Tensor, "3 height width"], side: int) -> UInt8[Tensor, "3 side side"]:
    """Torch goes along the rows first; a tall picture is laid on its side, as Pillow 13 takes it.

    Between the two passes overshoot is cut off, so with lines and noise their order is seen.
    """
    height, width = levels.shape[1:]
    is_tall = height - side > 2 * max(0, width - side)
    lying = levels.transpose(1, 2) if is_tall else levels
    resized = F.interpolate(lying[None], (side, side), mode="bicubic", antialias=True)[0]
    return (resized.transpose(1, 2) if is_tall else resized).contiguous()


def normalise(
    pixels: UInt8[Tensor, "*batch 3 side side"], config: PixelConfig
) -> Float[Tensor, "*batch 3 side side"]:
    """Bytes to the floats that the tower takes, on the tensor's own device.

    Bytes are a quarter of the size: send those between processes, and normalise where they arrive.
    """
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=pixels.device)[:, None, None]
        for values in (config.mean, config.std)
    )
    return pixels.to(torch.float32).div_(255).sub_(mean).div_(std)


def crop_box(
    width: int, height: int, config: PixelConfig, random: np.random.Generator
) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random crop: torchvision's RandomResizedCrop.

    Ten tries of an area and a ratio (uniform in its logarithm) that fit into the picture, else the
    largest middle crop whose ratio is allowed.
    """
    for _ in range(10):
        area = width * height * random.uniform(*config.scale)
        ratio = math.exp(random.uniform(math.log(config.ratio[0]), math.log(config.ratio[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = random.integers(width - wide + 1), random.integers(height - high + 1)
            return int(left), int(top), wide, high
    wide = min(width, round(height * config.ratio[1]))
    high = min(height, round(width / config.ratio[0]))
    return (width - wide) // 2, (height - high) // 2, wide, high


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


def _planes(image: Image.Image) -> UInt8[Tensor, "3 side side"]:
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())
