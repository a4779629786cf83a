"""Panel labels in a picture: letters that stand alone, read by a recogniser of single words.

Full-frame text detection costs more than all the rest of a figure's way. So blobs are found and
ranked without a network, and only the few that look most like the caption's labels are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import onnxruntime
from jaxtyping import Float, Int, UInt8

from figclip.panels.alphabet import likeness, patches
from figclip.panels.glyphs import Glyphs, find_glyphs, searched
from figclip.panels.label_boxes import Candidate, choose_labels, font_sizes
from figclip.panels.parts import Label, Word

MODEL = "PP-OCRv6_rec_small.onnx"
"""Recognition model of PP-OCRv6, in rapidocr's wheel (Apache-2.0)."""
CROP = (48, 64)
"""Height and width in pixels of what the model sees of a word."""
MARGIN = 0.2
"""Of a crop around the print, in heights of it."""
READABLE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()[].,:|"
MOST_READ = 36
"""Words that are read in one picture; each costs some 4 ms."""
MOST_EXPECTED = 40
"""Labels that are looked for in one picture."""
RUN = "ABCDEFGHIJKL"
"""What is looked for where the caption names nothing."""

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
        """Text of each crop and how sure of it, 0 to 1; only `READABLE` characters are told apart."""
        if not crops:
            return []
        levels = np.stack([_framed(crop) for crop in crops]).astype(np.float32)
        (probabilities,) = self._session.run(
            None, {"x": levels.transpose(0, 3, 1, 2) / 127.5 - 1.0}
        )
        return [_decoded(each) for each in np.asarray(probabilities)[:, :, self._columns]]


@cache
def shared_reader() -> Reader:
    """The process's reader: loading it takes as long as reading thirty words."""
    return Reader()


def find_labels(
    image: Picture, expected: Sequence[str], *, reader: Reader | None = None
) -> list[Label]:
    """Labels that are printed in a picture, in the order of `expected`.

    `expected` are those that the caption names. If it is empty, a run A, B, ... is given where one
    is convincing. Any picture is taken, and time is bounded by `MOST_READ`.
    """
    wanted = list(dict.fromkeys(text for text in expected if len(text) == 1))[:MOST_EXPECTED]
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    page = searched(np.asarray(gray, np.uint8))
    glyphs = find_glyphs(page)
    if not len(glyphs):
        return []
    search = _Search(image, page, glyphs, "".join(wanted or RUN))
    rows = search.run(reader or shared_reader(), is_known=bool(wanted))
    return choose_labels(rows, wanted)


class _Search:
    """The blobs of one picture, what each looks like, and what was read so far."""

    def __init__(self, image: Picture, page: np.ndarray, glyphs: Glyphs, wanted: str) -> None:
        self.image, self.glyphs, self.wanted = image, glyphs, wanted
        self.zoom = (page.shape[1] / image.shape[1], page.shape[0] / image.shape[0])
        ink = patches(page, glyphs.boxes) * np.where(glyphs.is_pale, -1, 1)[:, None]
        self.like, _ = likeness(ink, wanted)
        self.sizes = font_sizes(wanted, glyphs.boxes[:, 3] - glyphs.boxes[:, 1])
        self.read: dict[int, Candidate] = {}

    def ranks(self) -> Float[np.ndarray, "num wanted"]:
        """Likeness, and how many other labels there are of the same size and form."""
        alone = np.minimum(self.glyphs.gaps, 1.0).sum(1) / 2
        base = self.like + 0.15 * alone[:, None] + 0.03 * self.glyphs.brackets[:, None]
        return base + 0.3 * _support(base, self.sizes, self.glyphs)

    def run(self, reader: Reader, *, is_known: bool) -> list[Candidate]:
        ranks = self.ranks()
        order = np.argsort(-ranks, axis=0)
        num_wanted = len(self.wanted)
        depth = 0
        while len(self.read) < MOST_READ and depth < min(6, len(order)):
            open_labels = [
                column
                for column in range(num_wanted)
                if not any(
                    self.wanted[column].lower() in each.word.text.lower()
                    and each.word.confidence > 0.8
                    for each in self.read.values()
                )
            ]
            rows = [int(order[depth, column]) for column in open_labels]
            self._look([row for row in dict.fromkeys(rows) if row not in self.read], reader)
            depth += 1
        return list(self.read.values())

    def _look(self, rows: list[int], reader: Reader) -> None:
        rows = rows[: MOST_READ - len(self.read)]
        boxes = [self._in_image(self.glyphs.outer[row]) for row in rows]
        texts = reader.read([_crop(self.image, box) for box in boxes])
        for row, box, (text, confidence) in zip(rows, boxes, texts, strict=True):
            self.read[row] = Candidate(
                Word(text, box, confidence),
                self._in_image(self.glyphs.boxes[row]),
                (float(self.glyphs.gaps[row, 0]), float(self.glyphs.gaps[row, 1])),
                int(self.glyphs.brackets[row]),
                bool(self.glyphs.is_pale[row]),
            )

    def _in_image(self, box: Int[np.ndarray, "4"]) -> tuple[int, int, int, int]:
        across, down = self.zoom
        height, width = self.image.shape[:2]
        x0, y0 = int(box[0] / across), int(box[1] / down)
        x1, y1 = int(np.ceil(box[2] / across)), int(np.ceil(box[3] / down))
        return x0, y0, min(width, max(x1, x0 + 1)), min(height, max(y1, y0 + 1))


def _support(
    base: Float[np.ndarray, "num wanted"], sizes: Float[np.ndarray, "num wanted"], glyphs: Glyphs
) -> Float[np.ndarray, "num wanted"]:
    """For each blob as each label: the mean, over labels, of the best blob of the same size."""
    bins = np.round(np.log(sizes) / np.log(1.12)).astype(int)
    bins -= bins.min()
    best = np.zeros((bins.max() + 3, 3, base.shape[1]))
    form = np.broadcast_to(glyphs.brackets[:, None], bins.shape)
    columns = np.broadcast_to(np.arange(base.shape[1]), bins.shape)
    for shift in range(3):
        np.maximum.at(best, (bins + shift, form, columns), base)
    return np.asarray(best.mean(2)[bins + 1, form])


def _crop(image: Picture, box: tuple[int, int, int, int]) -> Picture:
    x0, y0, x1, y1 = box
    margin = max(1, round(MARGIN * (y1 - y0)))
    return image[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]


def _framed(crop: Picture) -> Picture:
    """The crop as large as fits, in the middle of a page of its own ground; channels reversed,
    as the model was trained on blue-green-red."""
    height, width = CROP
    scale = min(height / crop.shape[0], width / crop.shape[1])
    size = (
        min(width, max(1, round(crop.shape[1] * scale))),
        min(height, max(1, round(crop.shape[0] * scale))),
    )
    small = cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC)
    page = np.empty((height, width, 3), np.uint8)
    page[:] = np.median(np.concatenate([small[0], small[-1]]), axis=0)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    page[top : top + size[1], left : left + size[0]] = small
    return page[:, :, ::-1]


def _decoded(probabilities: Float[np.ndarray, "steps columns"]) -> tuple[str, float]:
    """The best path; how sure is the mean over its characters, among the readable ones."""
    shares = probabilities / np.maximum(1e-6, probabilities.sum(1, keepdims=True))
    best = shares.argmax(1)
    new = (best > 0) & np.concatenate([[True], best[1:] != best[:-1]])
    text = "".join(READABLE[column - 1] for column in best[new])
    return text, float(shares.max(1)[new].mean()) if new.any() else 0.0
