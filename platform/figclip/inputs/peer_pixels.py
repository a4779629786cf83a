"""Pictures as other people's encoders learned to see them: padded, squashed, grey, stretched."""

from typing import Literal

from pydantic import PositiveInt

from figclip.inputs.pixels import PixelConfig
from figclip.pictures.squares import Square


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

    @property
    def square(self) -> Square:
        return Square(
            self.size,
            fit=self.fit,
            resize=self.resize,
            resample=self.resample,
            is_grey=self.is_grey,
            is_stretched=self.is_stretched,
        )
