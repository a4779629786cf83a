"""A media file's bytes → a checked RGB picture to store."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from figclip.pictures.colours import averageable, colour_space, rgb
from figclip.pictures.fingerprint import fingerprint
from figclip.pictures.opening import (
    JPEGS,
    SIDEWAYS,
    TURNS,
    ImageError,
    fitted,
    load,
    opened,
    orientation,
)
from figclip.pictures.shrinking import doubled, shrink
from figclip.schema import MAX_PIXELS

JPEG_QUALITY = 90

FEW_COLOURS = 256

MAX_PROFILE_BYTES = 2**16
"""Of a colour profile that is stored; larger ones are a printer's."""

MOST_PADDING_BYTES = 2**20
"""Of headers and the like in a file that is kept as it is, beside four bytes a pixel."""

CHECK_SIDE = 256
"""A JPEG that is kept is decoded no smaller than this, if it is larger."""


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
    """Of the stored picture: `pictures.fingerprint`."""


def store_image(
    data: bytes, *, longest_side: int | None, max_pixels: int = MAX_PIXELS
) -> StoredImage:
    """Check, decode, turn upright, make RGB, and shrink to at most `longest_side` pixels.

    The bytes of an upright RGB JPEG or PNG that needs no shrinking are kept as they are. Several
    frames give the first. Colours: CMYK goes to sRGB by its own profile; the profile of an RGB
    picture stays with it unless it is sRGB; that of a grey one is dropped.

    Beside the data it takes `MAX_BYTES` of memory and some strips, if `longest_side` is at most
    4,000 or `None`. `ImageError`: `not_an_image`, `huge_image` (by its header, before any
    pixel is decoded), `broken_image` (truncated, or not decodable).
    """
    image = opened(data, max_pixels=max_pixels)
    try:
        return _stored(image, data, longest_side)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise ImageError("broken_image", f"{type(error).__name__}: {error}") from error


def _stored(image: Any, data: bytes, longest_side: int | None) -> StoredImage:
    is_jpeg = image.format in JPEGS
    if not is_jpeg:  # others may say how they lie only behind their pixels
        load(image, image.size, data)
    turn = orientation(image)
    whole, target = image.size, fitted(image.size, longest_side)
    is_kept = turn not in TURNS and target == whole and _is_storable(image, len(data))
    box = None
    if is_jpeg:  # may decode at a half, quarter or eighth, and reads every byte all the same
        mode = "YCbCr" if target != whole and _has_luma(image) else None
        drafted = image.draft(mode, (CHECK_SIDE, CHECK_SIDE) if is_kept else target)
        box = drafted and drafted[1]
        load(image, whole, data)
    stored, picture = (data, image) if is_kept else _made(image, target, box, turn)
    return StoredImage(
        data=stored,
        width=target[turn in SIDEWAYS],
        height=target[turn not in SIDEWAYS],
        original_width=whole[turn in SIDEWAYS],
        original_height=whole[turn not in SIDEWAYS],
        sha256=hashlib.sha256(data).hexdigest(),
        fingerprint=fingerprint(picture.getchannel(0) if picture.mode == "YCbCr" else picture),
    )


def _made(
    image: Any, target: tuple[int, int], box: tuple[float, ...] | None, turn: int
) -> tuple[bytes, Any]:
    """The new file and its picture; `box` is the part of the decoded picture that is meant."""
    profile = image.info.get("icc_profile") or b""
    is_lossless = image.format not in (*JPEGS, "WEBP")
    can_be_drawing = is_lossless and image.size == target
    picture = _shrunk(image, target, box)
    if is_lossless or picture.mode != "YCbCr":  # which a JPEG takes as it is
        picture = rgb(picture, profile)
    if turn in TURNS:
        picture = picture.transpose(TURNS[turn])
    return _encoded(picture, profile, can_be_drawing=can_be_drawing), picture


def _is_storable(image: Any, num_bytes: int) -> bool:
    """Whether a file may be kept as it is: not where it is padded with what is no picture."""
    return (
        image.format in (*JPEGS, "PNG")
        and image.mode == "RGB"
        and "transparency" not in image.info
        and num_bytes <= 4 * image.width * image.height + MOST_PADDING_BYTES
    )


def _has_luma(image: Any) -> bool:
    """Whether a JPEG says that it holds luma and chroma, as nearly all do."""
    is_said = "jfif" in image.info or image.info.get("adobe_transform") == 1
    return image.mode == "RGB" and is_said


def _shrunk(image: Any, target: tuple[int, int], box: tuple[float, ...] | None) -> Any:
    """Of that size, in RGB, grey, CMYK or luma and chroma.

    Never more than two copies of the whole are in memory: `image` is closed on the way.
    """
    whole = averageable(image)
    if whole is not image:
        image.close()
    if whole.size == target:
        return whole
    if whole.mode == "YCbCr" and min(target) > 1:
        return _shrunk_luma(whole, target, box)
    small = whole.resize(target, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    whole.close()
    return small


def _shrunk_luma(image: Any, target: tuple[int, int], box: tuple[float, ...] | None) -> Any:
    """Chroma only at half the size, in blocks of two by two, which is all that a JPEG stores."""
    wide, high = box[2:] if box else image.size
    width, height = target
    half = ((width + 1) // 2, (height + 1) // 2)
    over = (wide * 2 * half[0] / width, high * 2 * half[1] / height)
    luma, *chroma = (np.asarray(image.getchannel(band)) for band in range(3))
    blocks = (doubled(shrink(plane, half, over))[:height, :width] for plane in chroma)
    bands = [shrink(luma, target, (wide, high)), *blocks]
    return Image.merge("YCbCr", [Image.fromarray(band) for band in bands])


def _encoded(picture: Any, profile: bytes, *, can_be_drawing: bool) -> bytes:
    """The picture as a file.

    Lossless sources of few colours (drawings, charts, screen shots) that keep their size become
    PNG, for JPEG blurs their lines and letters; all others become JPEG, for a photograph as PNG
    is many times larger.
    """
    picture.info = {}  # a comment or a transparency would be written too
    is_kept = colour_space(profile) == b"RGB" and len(profile) <= MAX_PROFILE_BYTES
    icc = profile if is_kept and b"sRGB" not in profile else None
    stream = io.BytesIO()
    if can_be_drawing and picture.getcolors(FEW_COLOURS) is not None:
        picture.save(stream, "PNG", icc_profile=icc)
    else:
        picture.save(stream, "JPEG", quality=JPEG_QUALITY, icc_profile=icc)
    return stream.getvalue()
