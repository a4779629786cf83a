"""Panel labels in a picture: letters that stand alone, read by a recogniser of single words.

Full-frame text detection costs more than all the rest of a figure's way. So blobs are found and
ranked without a network, and only the few that look most like the caption's labels are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import cv2
import numpy as np
import onnxruntime
from jaxtyping import Float, Int, UInt8

from figclip.panels.alphabet import likeness, patches
from figclip.panels.glyphs import LONGEST_SIDE, Glyphs, find_glyphs, find_plain_glyphs, searched
from figclip.panels.label_boxes import (
    IN_LINE,
    SAME_SIZE,
    Candidate,
    best_rows,
    choose_labels,
    font_sizes,
    label_fits,
    lookalikes,
)
from figclip.panels.parts import Label, Word

MODEL = "PP-OCRv6_rec_small.onnx"
"""Recognition model of PP-OCRv6, in rapidocr's wheel (Apache-2.0)."""
PAGE_HEIGHT = 48
PAGE_WIDTHS = (32, 40, 64)
"""Pixels of what the model sees of a word: of letters, and of one with brackets."""
SQUEEZE = 1.35
"""How much larger than its page a word may be: it is made smaller, and read as well."""
MARGIN = 0.15
"""Of a crop around the print, in heights of it."""
READABLE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()[].,:|"
MOST_READ = 36
"""Words that are read in one picture; each costs some 4 ms."""
ROUNDS = 6
STRIDE = 3
"""Letters by which a run that no caption names is continued."""
DOUBT = 0.6
"""How much lower than a doubtful label's own rank others are read, too."""
SURE = 0.65
"""Fit of the first labels of a run that no caption names."""
QUICK_SIDE = 800
"""Of a picture whose caption names no labels: most have none, and a quick look must tell."""
TWIN_LIKE = 0.8
MOST_TWINS = 8
LEAST_LIKE = 0.55
"""Correlation with a letter of what is read at all."""
MOST_EXPECTED = 40
"""Labels that are looked for in one picture."""
RUN = "ABCDEFGHIJKLMNOP"
"""What is looked for where the caption names nothing."""
MOST_BLOBS = 800
"""That are compared with letters: the loneliest."""

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
        found: list[tuple[str, float]] = [("", 0.0)] * len(crops)
        widths = np.array([_width(crop) for crop in crops])
        for width in np.unique(widths):
            rows = np.flatnonzero(widths == width)
            levels = np.stack([_framed(crops[row], width) for row in rows]).astype(np.float32)
            (shares,) = self._session.run(None, {"x": levels.transpose(0, 3, 1, 2) / 127.5 - 1.0})
            for row, share in zip(rows, np.asarray(shares)[:, :, self._columns], strict=True):
                found[row] = _decoded(share)
        return found


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
    wanted = "".join(dict.fromkeys(text for text in expected if len(text) == 1))[:MOST_EXPECTED]
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    page = searched(gray, LONGEST_SIDE if wanted else QUICK_SIDE)
    glyphs = find_glyphs(page)
    if not wanted:
        glyphs = glyphs.take(np.flatnonzero(glyphs.gaps[:, 0] >= 1.0))
        return _run(_sight(image, page, glyphs), reader or shared_reader())
    sight, read = _sight(image, page, glyphs), dict[int, Candidate]()
    labels = _Search(sight, wanted, read).labels(reader or shared_reader())
    if 0 < len(labels) < len(wanted):
        more = _sight(image, page, find_plain_glyphs(page))
        both = _Sight(
            image,
            page,
            glyphs=sight.glyphs + more.glyphs,
            ink=np.concatenate([sight.ink, more.ink]),
        )
        labels = _Search(both, wanted, read).labels(reader or shared_reader())
    return labels


@dataclass(frozen=True)
class _Sight:
    """A picture and its blobs."""

    image: Picture
    page: np.ndarray
    glyphs: Glyphs
    ink: Float[np.ndarray, "num pixels"]


def _sight(image: Picture, page: np.ndarray, glyphs: Glyphs) -> _Sight:
    """With the loneliest of the blobs."""
    glyphs = glyphs.take(np.argsort(-glyphs.gaps.sum(1), kind="stable")[:MOST_BLOBS])
    return _Sight(image, page, glyphs, patches(page, glyphs.boxes, glyphs.is_pale))


def _run(sight: _Sight, reader: Reader) -> list[Label]:
    """A, B, ... without a gap, if the first two are as like as two labels of a figure are."""
    for letters in (RUN, RUN.lower()):
        read: dict[int, Candidate] = {}
        twins = _twins(sight, letters[:2])
        found = _Search(sight, letters[:2], read, twins).labels(reader)
        run = _unbroken(found, letters)
        length = 0
        while len(run) >= max(2, length):
            length = len(run) + STRIDE
            longer = _unbroken(_Search(sight, letters[:length], read).labels(reader), letters)
            run = max(run, longer, key=len)
        if len(run) >= 2:
            return run
    return []


def _unbroken(labels: Sequence[Label], letters: str) -> list[Label]:
    """The labels before the first that is missing or doubtful, and before a bar at the end, which
    may be anything."""
    sure = [label for label in labels if label.confidence > SURE]
    run = [label for label, letter in zip(sure, letters, strict=False) if label.text == letter]
    return run[:-1] if run and run[-1].text in "Il" else run


def _twins(sight: _Sight, pair: str) -> Int[np.ndarray, "some"]:
    """Blobs that look like one of a pair of letters and stand alone, in line with one of the same
    size that looks like the other."""
    glyphs, like = sight.glyphs, likeness(sight.ink, pair)
    sizes = np.log(font_sizes(pair, glyphs.boxes[:, 3] - glyphs.boxes[:, 1]))
    one, other = (np.flatnonzero(column > TWIN_LIKE) for column in like.T)
    size = np.abs(sizes[one, 0][:, None] - sizes[other, 1][None]) < np.log(SAME_SIZE) / 2
    edges = glyphs.boxes[:, [0, 3]].astype(float)
    far = np.abs(edges[one][:, None] - edges[other][None]).min(2)
    height = (glyphs.boxes[one, 3] - glyphs.boxes[one, 1])[:, None]
    same = glyphs.brackets[one][:, None] == glyphs.brackets[other][None]
    pairs = size & (far < IN_LINE * height) & same & (one[:, None] != other[None])
    found = np.concatenate([one[pairs.any(1)], other[pairs.any(0)]])
    order = np.argsort(-like[found].max(1), kind="stable")
    return np.unique(found[order][:MOST_TWINS])


class _Search:
    """The blobs of one picture, what each looks like, and what was read so far."""

    def __init__(
        self,
        sight: _Sight,
        wanted: str,
        read: dict[int, Candidate],
        allowed: Int[np.ndarray, "some"] | None = None,
    ) -> None:
        self.image, self.glyphs, self.wanted, self.read = sight.image, sight.glyphs, wanted, read
        glyphs, page, image = sight.glyphs, sight.page, sight.image
        self.zoom = (page.shape[1] / image.shape[1], page.shape[0] / image.shape[0])
        self.like = likeness(sight.ink, wanted)
        self.sizes = np.log(font_sizes(wanted, glyphs.boxes[:, 3] - glyphs.boxes[:, 1]))
        if allowed is not None:
            self.like[np.setdiff1d(np.arange(len(glyphs)), allowed)] = -1.0
        alone = np.minimum(glyphs.gaps, 1.0).mean(1)[:, None]
        self.base = self.like + 0.3 * alone + 0.1 * (glyphs.brackets == 2)[:, None]
        self.base += 0.3 * _support(self.base, self.sizes, glyphs.brackets)

    def labels(self, reader: Reader) -> list[Label]:
        """Read what looks most like the labels until nothing unread promises better."""
        for _ in range(ROUNDS):
            rows = self._next()
            if not rows:
                break
            self._look(rows, reader)
        return choose_labels(list(self.read.values()), self.wanted)

    def _next(self) -> list[int]:
        """The blobs to read now: for each label, those that promise more than the one it has."""
        done = list(self.read)
        fits = label_fits(list(self.read.values()), self.wanted)
        found = best_rows(fits)
        ranks = self._ranks({column: done[row] for column, row in found.items()})
        for column, row in found.items():
            doubt = DOUBT * (1 - fits[row, column])
            ranks[ranks[:, column] < ranks[done[row], column] - doubt, column] = -np.inf
        ranks[self.like < LEAST_LIKE] = -np.inf
        ranks[done] = -np.inf
        order = np.argsort(-ranks, axis=0)[: 2 if done else 1]
        rows = [
            int(row)
            for depth in order
            for column, row in enumerate(depth)
            if ranks[row, column] > -np.inf
        ]
        return list(dict.fromkeys(rows))[: MOST_READ - len(done)]

    def _ranks(self, named: dict[int, int]) -> Float[np.ndarray, "num wanted"]:
        """Likeness and loneliness, and likeness in style to the labels found so far."""
        if not named:
            return self.base.copy()
        size = np.median([self.sizes[row, column] for column, row in named.items()])
        brackets = np.median([self.glyphs.brackets[row] for row in named.values()])
        far = np.abs(self.sizes - size) / np.log(SAME_SIZE)
        form = self.glyphs.brackets[:, None] == brackets
        return self.base + 0.5 * np.clip(1.5 - far, 0, 1) + 0.1 * form

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
    base: Float[np.ndarray, "num wanted"],
    sizes: Float[np.ndarray, "num wanted"],
    brackets: Int[np.ndarray, "num"],
) -> Float[np.ndarray, "num wanted"]:
    """For each blob as each label: the mean, over labels, of the best blob of the same style."""
    bins = np.round(sizes / np.log(SAME_SIZE) * 2).astype(int)
    bins -= bins.min(initial=0)
    best = np.zeros((bins.max(initial=0) + 3, 3, base.shape[1]))
    form = np.broadcast_to(brackets[:, None], bins.shape)
    columns = np.broadcast_to(np.arange(base.shape[1]), bins.shape)
    for shift in range(3):
        np.maximum.at(best, (bins + shift, form, columns), base)
    return np.asarray(best.mean(2)[bins + 1, form])


def _crop(image: Picture, box: tuple[int, int, int, int]) -> Picture:
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
