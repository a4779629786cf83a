"""Which blobs of a picture are read: those that promise most to be the labels looked for."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from figclip.panels.labels.alphabet import likeness, patches
from figclip.panels.labels.glyphs import Glyphs, Gray
from figclip.panels.labels.label_boxes import (
    SAME_SIZE,
    Candidate,
    alike,
    best_rows,
    choose_labels,
    font_sizes,
    label_fits,
    likely_labels,
)
from figclip.panels.labels.reader import Picture, Reader, crop_of
from figclip.panels.parts import Label, Word
from figclip.schema import Box

MOST_BLOBS = 800
"""That are compared with letters: the loneliest."""
MOST_READ = 60
"""Words that are read in one picture: most of the time goes into them."""
ROUNDS = 6
DOUBT = 0.6
"""How much lower than a doubtful label's own rank others are read, too."""
SLACK = 0.4
"""How much lower than the labels found others may rank to be read."""
LEAST_LIKE = 0.55
"""Correlation with a letter of what is read at all."""


@dataclass(frozen=True)
class Sight:
    """A picture and its blobs."""

    image: Picture
    page: Gray
    glyphs: Glyphs
    ink: Float[np.ndarray, "num pixels"]

    def with_more(self, glyphs: Glyphs) -> "Sight":
        """The same, with more blobs behind those it has."""
        more = sight_of(self.image, self.page, glyphs)
        ink = np.concatenate([self.ink, more.ink])
        return Sight(self.image, self.page, self.glyphs + more.glyphs, ink)


def sight_of(image: Picture, page: Gray, glyphs: Glyphs) -> Sight:
    """With the loneliest of the blobs."""
    glyphs = glyphs.take(np.argsort(-glyphs.gaps.sum(1), kind="stable")[:MOST_BLOBS])
    return Sight(image, page, glyphs, patches(page, glyphs.boxes, glyphs.is_pale))


class Search:
    """The blobs of one picture, what each looks like, and what was read so far."""

    def __init__(
        self,
        sight: Sight,
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
        """Those that convince, all in all."""
        self.look(reader)
        return choose_labels(list(self.read.values()), self.wanted)

    def likely(self, reader: Reader) -> list[Label]:
        """Those that may be labels, if others are found."""
        self.look(reader)
        return likely_labels(list(self.read.values()), self.wanted)

    def look(self, reader: Reader) -> None:
        """Read what looks most like the labels until nothing unread promises better.

        What was read before, with other eyes, may be print of the picture's own: the first round
        does not go by its style.
        """
        for number in range(ROUNDS):
            rows = self._next() if number else self._first()
            if not rows and number:
                break
            self._read(rows, reader)

    def _first(self) -> list[int]:
        """For each label the unread blob that looks most like it."""
        ranks = np.where(self.like < LEAST_LIKE, -np.inf, self.base)
        ranks[list(self.read)] = -np.inf
        best = np.argsort(-ranks, axis=0)[:1]
        rows = [int(row) for column, row in enumerate(best.ravel()) if ranks[row, column] > -np.inf]
        return list(dict.fromkeys(rows))

    def _next(self) -> list[int]:
        """The blobs to read now: for each label, those that promise more than the one it has."""
        done = list(self.read)
        fits = label_fits(list(self.read.values()), self.wanted)
        found = best_rows(fits)
        ranks = self._ranks({column: done[row] for column, row in found.items()})
        for column, row in found.items():
            doubt = DOUBT * (1 - fits[row, column])
            ranks[ranks[:, column] < ranks[done[row], column] - doubt, column] = -np.inf
        if len(found) > 1:
            least = np.median([ranks[done[row], column] for column, row in found.items()])
            ranks[ranks < least - SLACK] = -np.inf
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
        heights = self.glyphs.boxes[:, 3:] - self.glyphs.boxes[:, 1:2]
        form = self.glyphs.brackets[:, None] == brackets
        return self.base + 0.5 * alike(self.sizes, float(size), heights) + 0.3 * form

    def _read(self, rows: list[int], reader: Reader) -> None:
        rows = rows[: MOST_READ - len(self.read)]
        boxes = [self._in_image(self.glyphs.outer[row]) for row in rows]
        texts = reader.read([crop_of(self.image, box) for box in boxes])
        for row, box, (text, confidence) in zip(rows, boxes, texts, strict=True):
            self.read[row] = Candidate(
                Word(text, box, confidence),
                self._in_image(self.glyphs.boxes[row]),
                (float(self.glyphs.gaps[row, 0]), float(self.glyphs.gaps[row, 1])),
                int(self.glyphs.brackets[row]),
                bool(self.glyphs.is_pale[row]),
            )

    def _in_image(self, box: Int[np.ndarray, "4"]) -> Box:
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
