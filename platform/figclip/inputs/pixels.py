"""Pictures to pixels: decoding within limits, the crop for training, the crop for evaluation."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from figclip.config import Config, UsageError
from figclip.pictures import squares
from figclip.pictures.squares import Square, as_rgb, square_of
from figclip.pictures.squares import UnreadableImage as UnreadableImage
from figclip.schema import MAX_PIXELS
from figclip.store import Folder

FILE = "pixels.json"


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

    @property
    def square(self) -> Square:
        """The evaluation recipe, without the floats."""
        return Square(self.size)

    def save(self, folder: Folder) -> None:
        folder.write(FILE, self.to_json().encode())

    @classmethod
    def load(cls, folder: Folder) -> "PixelConfig":
        if not folder.exists(FILE):
            raise UsageError(f"{folder.path} has no {FILE}: it is not an encoder's folder")
        return cls.from_json(folder.read(FILE))


def decode(data: bytes) -> Image.Image:
    """The picture in RGB, upright, on white where it is transparent. Raises `UnreadableImage`."""
    return squares.decode(data, max_pixels=MAX_PIXELS)


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
    return planes(square_of(image, config.square))


def planes(levels: np.ndarray) -> UInt8[Tensor, "*batch 3 height width"]:
    """Of levels [*batch, height, width, 3], contiguous."""
    return torch.from_numpy(np.moveaxis(levels, -1, -3).copy())


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
