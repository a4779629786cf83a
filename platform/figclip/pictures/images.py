"""A media file's bytes → a checked RGB picture to store."""

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

from figclip.pictures.fingerprint import fingerprint
from figclip.pictures.shrinking import doubled, shrink
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

JPEG_QUALITY = 90

FEW_COLOURS = 256

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

MAX_PROFILE_BYTES = 2**16
"""Of a colour profile that is stored; larger ones are a printer's."""

STRIP_PIXELS = 2**20

MOST_PADDING_BYTES = 2**20
"""Of headers and the like in a file that is kept as it is, beside four bytes a pixel."""

CHECK_SIDE = 256
"""A JPEG that is kept is decoded no smaller than this, if it is larger."""


class ImageError(Unusable):
    """Bytes that give no picture; `reason` is a word to count by."""


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
    image = _opened(data, max_pixels=max_pixels)
    try:
        return _stored(image, data, longest_side)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise ImageError("broken_image", f"{type(error).__name__}: {error}") from error


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


def _stored(image: Any, data: bytes, longest_side: int | None) -> StoredImage:
    is_jpeg = image.format in JPEGS
    if not is_jpeg:  # others may say how they lie only behind their pixels
        _load(image, image.size, data)
    turn = _orientation(image)
    whole, target = image.size, _fitted(image.size, longest_side)
    is_kept = turn not in TURNS and target == whole and _is_storable(image, len(data))
    box = None
    if is_jpeg:  # may decode at a half, quarter or eighth, and reads every byte all the same
        mode = "YCbCr" if target != whole and _has_luma(image) else None
        drafted = image.draft(mode, (CHECK_SIDE, CHECK_SIDE) if is_kept else target)
        box = drafted and drafted[1]
        _load(image, whole, data)
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
        picture = _rgb(picture, profile)
    if turn in TURNS:
        picture = picture.transpose(TURNS[turn])
    return _encoded(picture, profile, can_be_drawing=can_be_drawing), picture


def _load(image: Any, whole: tuple[int, int], data: bytes) -> None:
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


def _orientation(image: Any) -> int:
    """As EXIF says, 1 to 8; 1 where it says nothing, or nothing that can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # a picture is worth more than what a camera wrote beside it
        return 1


def _fitted(size: tuple[int, int], longest_side: int | None) -> tuple[int, int]:
    longest = max(size)
    if longest_side is None or longest <= longest_side:
        return size
    width, height = (max(1, round(side * longest_side / longest)) for side in size)
    return width, height


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
    whole = _averageable(image)
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


def _averageable(image: Any) -> Any:
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


def _rgb(picture: Any, profile: bytes) -> Any:
    """RGB whatever the mode; the inks of CMYK as its profile says, if it has one that works."""
    if picture.mode == "CMYK" and _space(profile) == b"CMYK":
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


def _space(profile: bytes) -> bytes:
    """The colours that a profile speaks of: `RGB`, `CMYK`, `GRAY`; empty if it is none."""
    return profile[16:20].strip() if profile[36:40] == b"acsp" else b""


def _encoded(picture: Any, profile: bytes, *, can_be_drawing: bool) -> bytes:
    """The picture as a file.

    Lossless sources of few colours (drawings, charts, screen shots) that keep their size become
    PNG, for JPEG blurs their lines and letters; all others become JPEG, for a photograph as PNG
    is many times larger.
    """
    picture.info = {}  # a comment or a transparency would be written too
    is_kept = _space(profile) == b"RGB" and len(profile) <= MAX_PROFILE_BYTES
    icc = profile if is_kept and b"sRGB" not in profile else None
    stream = io.BytesIO()
    if can_be_drawing and picture.getcolors(FEW_COLOURS) is not None:
        picture.save(stream, "PNG", icc_profile=icc)
    else:
        picture.save(stream, "JPEG", quality=JPEG_QUALITY, icc_profile=icc)
    return stream.getvalue()
