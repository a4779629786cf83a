"""Reads single words with the recognition model that rapidocr ships, without detecting any."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import cv2
import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from figclip.panels.labels.label_boxes import lookalikes
from figclip.schema import Box

MODEL = "PP-OCRv6_rec_small.onnx"
"""Recognition model of PP-OCRv6, in rapidocr's wheel (Apache-2.0)."""
PAGE_HEIGHT = 48
PAGE_WIDTHS = (32, 40, 64, 96)
"""Pixels of what the model sees of a word: of letters, of one with brackets, and of nested ones."""
SQUEEZE = 1.35
"""How much larger than its page a word may be: it is made smaller, and read as well."""
MARGIN = 0.15
"""Of a crop around the print, in heights of it."""
READABLE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()[].,:|"

Picture = UInt8[np.ndarray, "height width 3"]


class Reader:
    """Reads small crops of single words; one thread, no download."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        model = str(files("rapidocr") / "models" / MODEL)
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        printed = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        # Column 0 is the blank of connectionist temporal classification.
        self._columns = [0, *(printed.index(character) + 1 for character in READABLE)]

    def read(self, crops: Sequence[Picture]) -> list[tuple[str, float]]:
        """Text of each crop, of `READABLE` characters, and how sure of it, 0 to 1."""
        found: list[tuple[str, float]] = [("", 0.0)] * len(crops)
        widths = np.array([_width(crop) for crop in crops])
        for width in np.unique(widths):
            rows = np.flatnonzero(widths == width).tolist()
            levels = np.stack([_framed(crops[row], width) for row in rows]).astype(np.float32)
            (shares,) = self._session.run(None, {"x": levels.transpose(0, 3, 1, 2) / 127.5 - 1.0})
            for row, share in zip(rows, np.asarray(shares)[:, :, self._columns], strict=True):
                found[row] = _decoded(share)
        return found


class SparingReader(Reader):
    """Reads so many words of another reader's; those that come later are empty."""

    def __init__(self, reader: Reader, most: int) -> None:
        self._reader, self._left = reader, most

    def read(self, crops: Sequence[Picture]) -> list[tuple[str, float]]:
        now = crops[: self._left]
        self._left -= len(now)
        return [*self._reader.read(now), *[("", 0.0)] * (len(crops) - len(now))]


@cache
def shared_reader() -> Reader:
    """The process's reader: loading it takes as long as reading thirty words."""
    return Reader()


def crop_of(image: Picture, box: Box) -> Picture:
    """A word with a margin."""
    x0, y0, x1, y1 = box
    margin = max(1, round(MARGIN * (y1 - y0)))
    return image[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]


def _width(crop: Picture) -> int:
    """Of the page that a crop is put on; the model's time grows with it."""
    needed = crop.shape[1] * PAGE_HEIGHT / crop.shape[0]
    return next((width for width in PAGE_WIDTHS if width * SQUEEZE >= needed), PAGE_WIDTHS[-1])


def _framed(crop: Picture, width: int) -> Picture:
    """The crop as large as fits, in the middle of a page of its own ground; channels reversed,
    as the model was trained on blue-green-red."""
    scale = min(PAGE_HEIGHT / crop.shape[0], width / crop.shape[1])
    across = min(width, max(1, round(crop.shape[1] * scale)))
    down = min(PAGE_HEIGHT, max(1, round(crop.shape[0] * scale)))
    small = cv2.resize(crop, (across, down), interpolation=cv2.INTER_CUBIC)
    page = np.empty((PAGE_HEIGHT, width, 3), np.uint8)
    page[:] = np.median(np.concatenate([small[0], small[-1]]), axis=0)
    left, top = (width - across) // 2, (PAGE_HEIGHT - down) // 2
    page[top : top + down, left : left + across] = small
    return page[:, :, ::-1]


def _decoded(probabilities: Float[np.ndarray, "steps columns"]) -> tuple[str, float]:
    """The best path; how sure is the mean over its characters, among the readable ones.

    A character shares its confidence with its lookalikes, which only the context tells apart.
    """
    shares = probabilities / np.maximum(1e-6, probabilities.sum(1, keepdims=True))
    best = shares.argmax(1)
    new = (best > 0) & np.concatenate([[True], best[1:] != best[:-1]])
    text = "".join(READABLE[column - 1] for column in best[new])
    sure = [
        share[[READABLE.index(each) + 1 for each in lookalikes(character)]].sum()
        for character, share in zip(text, shares[new], strict=True)
    ]
    return text, float(np.mean(sure)) if sure else 0.0
