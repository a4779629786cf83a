"""What a request may ask for: bytes, items, characters, picture formats and pixels.

Everything here happens before a model is touched, so that one bad item costs little and harms
nobody else. A picture's size is read from its header and judged before its pixels are decoded.
"""

import base64
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image
from pydantic import PositiveInt

from figclip.config import Config
from figclip.pictures.squares import UnreadableImage, decode
from figclip.serving.protocol import ApiError
from figclip.serving.routes.dialects import Item

MAGIC = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II\*\0|MM\0\*"),
}
"""The formats that are read, by their first bytes; what a client calls them does not count."""

DATA_URI = re.compile(r"data:[^,;]{0,100}(;[^,;]{0,100}){0,4};base64,", re.IGNORECASE)
LONE_URL = re.compile(r"\s*https?://\S+\s*", re.IGNORECASE)
SURROGATE = re.compile("[\ud800-\udfff]")


class ImageFault(Exception):
    """A picture that cannot be read; its text says why, without a subject."""


class Limits(Config):
    """The most that one request may carry."""

    body_bytes: PositiveInt = 32 * 2**20
    """Of the whole request body."""
    items: PositiveInt = 256
    """Texts and images together."""
    text_characters: PositiveInt = 100_000
    """Of one text, before it is cut to the model's context."""
    image_pixels: PositiveInt = 50_000_000
    """Width × height of one image."""
    request_pixels: PositiveInt = 100_000_000
    """Of all images of a request together."""
    prompts: PositiveInt = 2_048
    """Of one zero-shot request: its classes, each with all of its templates."""
    results: PositiveInt = 100
    """Figures that one search answers with."""


@dataclass(frozen=True)
class Url:
    """An image that is yet to be fetched."""

    url: str
    param: str


def sort_items(items: Sequence[Item], *, limits: Limits) -> list[str | bytes | Url]:
    """Each item as what it is: a text, the bytes of an image whose header was checked, or a URL.

    An `ApiError` names the first item that is to blame.
    """
    if len(items) > limits.items:
        raise too_many(len(items), limits.items, param=items[0].param.partition("[")[0])
    found: list[str | bytes | Url] = []
    for item in items:
        if not _is_image(item):
            found.append(checked_text(item.value, limits=limits, param=item.param))
        elif LONE_URL.match(item.value):
            found.append(Url(item.value, item.param))
        else:
            found.append(checked_image(item.value, limits=limits, param=item.param))
    check_pixels((image for image in found if isinstance(image, bytes)), limits=limits)
    return found


def check_pixels(images: Iterable[bytes], *, limits: Limits) -> None:
    """A 413 `ApiError` where images, each good by itself, are too much together."""
    if sum(check_header(image, limits=limits) for image in images) > limits.request_pixels:
        raise ApiError(
            413,
            f"the images have more than {limits.request_pixels:,} pixels together",
            code="too_many_pixels",
        )


def too_many(number: int, most: int, *, param: str) -> ApiError:
    return ApiError(
        400,
        f"{param}: {number:,} items, but a request may carry {most:,}",
        param=param,
        code="too_many_items",
        remedy="divide them among several requests",
    )


def _is_image(item: Item) -> bool:
    if item.modality is not None:
        return item.modality == "image"
    if LONE_URL.fullmatch(item.value):
        raise ApiError(
            400,
            f"{item.param}: a URL alone may be meant as an image or as words",
            param=item.param,
            code="url_not_fetched",
            remedy="send the image itself as a data: URI; or say what is meant by "
            '"modality": "text", or "image" where this server fetches images',
        )
    return item.value[:11].lower() == "data:image/" or DATA_URI.match(item.value) is not None


def checked_text(text: str, *, limits: Limits, param: str) -> str:
    """The same text; a 400 `ApiError` where it is empty, too long or no Unicode."""
    if not text.strip():
        raise ApiError(400, f"{param}: the text is empty", param=param, code="empty_text")
    if len(text) > limits.text_characters:
        raise ApiError(
            400,
            f"{param}: {len(text):,} characters, but a text may have {limits.text_characters:,}",
            param=param,
            code="text_too_long",
        )
    if SURROGATE.search(text):
        raise ApiError(
            400, f"{param}: half a surrogate pair is no character", param=param, code="bad_unicode"
        )
    return text


def checked_image(uri: str, *, limits: Limits, param: str) -> bytes:
    """The bytes of `data:image/...;base64,...`, or of base64 alone, its header checked; else a 400
    `ApiError`."""
    match = DATA_URI.match(uri)
    try:
        data = base64.b64decode(uri[match.end() :] if match else uri, validate=True)
    except ValueError as error:
        if match:
            raise ApiError(
                400,
                f"{param}: the image is no valid base64",
                param=param,
                code="bad_base64",
                remedy="encode the image's bytes by standard base64, padded, on one line",
            ) from error
        raise ApiError(
            400,
            f"{param}: this is no image as images are sent here",
            param=param,
            code="bad_data_uri",
            remedy="send data:image/png;base64,... (of the formats "
            f'{", ".join(MAGIC)}); a text that begins so needs "modality": "text"',
        ) from error
    return checked_file(data, limits=limits, param=param)


def checked_file(data: bytes, *, limits: Limits, param: str) -> bytes:
    """The same bytes; a 400 `ApiError` where the header is not that of an image we read."""
    try:
        check_header(data, limits=limits)
    except ImageFault as error:
        raise ApiError(400, f"{param}: {error}", param=param, code="bad_image") from error
    return data


def check_header(data: bytes, *, limits: Limits) -> int:
    """Width × height by the header alone; `ImageFault` where the image is none that is read."""
    name = next((name for name, magic in MAGIC.items() if magic.match(data)), None)
    if name is None:
        raise ImageFault(f"not an image of a format that is read here: {', '.join(MAGIC)}")
    try:
        with Image.open(io.BytesIO(data), formats=[name]) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise ImageFault(f"the image has more than {limits.image_pixels:,} pixels") from error
    except Exception as error:  # Pillow's readers raise whatever their parsing runs into
        raise ImageFault("the image's header is broken") from error
    if width * height > limits.image_pixels:
        raise ImageFault(
            f"the image has {width * height:,} pixels, but {limits.image_pixels:,} are the most"
        )
    return width * height


def decode_image(data: bytes, *, limits: Limits) -> Image.Image:
    """The first frame, fully decoded, in RGB; `ImageFault` where the file is broken."""
    check_header(data, limits=limits)
    try:
        return decode(data, max_pixels=limits.image_pixels)
    except UnreadableImage as error:
        raise ImageFault("the image is broken or ends early") from error
