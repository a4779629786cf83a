"""Pictures as people have them (paths, bytes, Pillow's) → the bytes of a file → a data: address."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

if TYPE_CHECKING:
    from PIL.Image import Image

Picture: TypeAlias = Union[Path, bytes, bytearray, memoryview, "Image"]
"""A text is a `str`: the path of a picture must be a `Path`."""

KINDS = {
    b"\xff\xd8": "jpeg",
    b"\x89P": "png",
    b"RI": "webp",
    b"GI": "gif",
    b"II": "tiff",
    b"MM": "tiff",
}
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def picture_bytes(picture: Picture) -> bytes:
    """The file's bytes; a Pillow image as a PNG, which loses nothing. `OSError` as by reading."""
    if isinstance(picture, Path):
        return picture.read_bytes()
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if not hasattr(picture, "save") or not hasattr(picture, "mode"):
        raise TypeError(
            f"{type(picture).__name__} is no picture: give a pathlib.Path, bytes or a PIL image "
            f"(a str is a text)"
        )
    out = io.BytesIO()
    plain = picture if picture.mode in PNG_MODES else picture.convert("RGB")
    plain.save(out, "PNG")
    return out.getvalue()


def data_uri(data: bytes) -> str:
    """`data:image/png;base64,...`; the server goes by the bytes, not by the name of their kind."""
    kind = KINDS.get(data[:2], "unknown")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def uri_bytes(data: bytes) -> int:
    """About how long `data_uri` is."""
    return len(data) * 4 // 3 + 32
