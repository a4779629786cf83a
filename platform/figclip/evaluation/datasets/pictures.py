"""The bytes of a file as a picture: what Pillow reads, and radiographs in DICOM."""

import io
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from figclip.config import UsageError
from figclip.inputs.pixels import UnreadableImage, decode
from figclip.schema import MAX_PIXELS

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm")
"""Of files that are taken for pictures."""


def picture(data: bytes) -> Image.Image:
    """In RGB. `UnreadableImage` says what is wrong."""
    return radiograph(data) if data[128:132] == b"DICM" else decode(data)


def radiograph(data: bytes) -> Image.Image:
    """A DICOM file's one frame as its maker would show it: through its own tables and window.

    Rescaled (PS3.3 C.11.1), windowed where it has a window (C.11.2), light where MONOCHROME1 calls
    the low values light. Without a window eight bits stand as they are; others are spread from
    their least to their greatest. `UnreadableImage` where there is no such frame.
    """
    pydicom = extra("pydicom")
    try:
        file = pydicom.dcmread(io.BytesIO(data))
        size = int(file.Rows) * int(file.Columns)
        if size > MAX_PIXELS or int(file.get("NumberOfFrames") or 1) != 1:
            frames = file.get("NumberOfFrames") or 1
            raise UnreadableImage(f"{file.Columns} x {file.Rows} pixels in {frames} frames")
        return Image.fromarray(_levels(pydicom, file)).convert("RGB")
    except UnreadableImage:
        raise
    except Exception as error:  # on damaged files its readers raise whatever they trip over
        raise UnreadableImage(f"{type(error).__name__}: {error}") from error


def _levels(pydicom: ModuleType, file: Any) -> Shaped[np.ndarray, "height width *bands"]:
    """As bytes."""
    pixels = pydicom.pixels
    if str(file.PhotometricInterpretation) not in ("MONOCHROME1", "MONOCHROME2"):
        colours: np.ndarray = pixels.pixel_array(file)  # in RGB, whatever the file's own space
        return colours.astype(np.uint8)
    values = pixels.apply_modality_lut(file.pixel_array, file)
    shown = pixels.apply_voi_lut(values, file).astype(np.float64)
    is_windowed = "WindowWidth" in file or "VOILUTSequence" in file
    is_plain = int(file.BitsStored) == 8 and shown.min() >= 0 and shown.max() <= 255
    low, high = (0.0, 255.0) if is_plain and not is_windowed else (shown.min(), shown.max())
    if is_windowed:
        low, high = _ends(pixels, file, values)
    spread = (shown - low) / max(high - low, 1e-12)
    if str(file.PhotometricInterpretation) == "MONOCHROME1":
        spread = 1 - spread
    return (255 * spread).round().clip(0, 255).astype(np.uint8)


def _ends(pixels: ModuleType, file: Any, values: np.ndarray) -> tuple[float, float]:
    """What the window shows black and white: far below it and far above it."""
    if "VOILUTSequence" in file:
        return 0.0, 2.0 ** int(file.VOILUTSequence[0].LUTDescriptor[2]) - 1
    low, high = pixels.apply_windowing(np.array([-1e9, 1e9]), file)
    return float(low), float(high)


def extra(module: str) -> Any:
    """A library of the optional extra; `UsageError` where it is not installed."""
    try:
        return __import__(module)
    except ImportError as error:
        raise UsageError(
            f"this asks for {module.partition('.')[0]}, which is not installed: pip install "
            f"'figclip[evaluation]'"
        ) from error
