"""A picture's bytes → its levels, to look at: upright, RGB, and no larger than is of use."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from figclip.pictures.colours import averageable, rgb
from figclip.pictures.opening import (
    JPEGS,
    MAX_SCANNED_PIXELS,
    SIDEWAYS,
    TURNS,
    ImageError,
    fitted,
    load,
    opened,
    orientation,
)
from figclip.schema import MAX_PIXELS


@dataclass(frozen=True)
class View:
    """What is seen of a picture."""

    levels: UInt8[np.ndarray, "height width 3"]
    """Perhaps smaller than the picture is."""
    width: int
    """Of the picture, upright."""
    height: int


def read_picture(data: bytes, *, longest_side: int) -> View:
    """The first frame; where it is larger than twice `longest_side`, at a part of its size.

    A JPEG is decoded at that part, so that it may have far more pixels than others. `ImageError`
    as of `store_image`.
    """
    is_jpeg = data.startswith(b"\xff\xd8\xff")
    image = opened(data, max_pixels=MAX_SCANNED_PIXELS if is_jpeg else MAX_PIXELS)
    whole = image.size
    try:
        if image.format in JPEGS:
            image.draft(None, fitted(whole, longest_side))
        load(image, whole, data)
        if image.format not in JPEGS:  # others may say how they lie only behind their pixels
            whole = image.size
        part = max(image.size) // longest_side
        profile = image.info.get("icc_profile") or b""
        turn = orientation(image)
        picture = averageable(image)
        picture = rgb(picture.reduce(part) if part > 1 else picture, profile)
        if turn in TURNS:
            picture = picture.transpose(TURNS[turn])
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise ImageError("broken_image", f"{type(error).__name__}: {error}") from error
    return View(np.asarray(picture), whole[turn in SIDEWAYS], whole[turn not in SIDEWAYS])


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height by the header, as the file lies; `None` of what is no picture."""
    try:
        image = opened(data, max_pixels=2**62)
    except ImageError:
        return None
    return image.width, image.height
