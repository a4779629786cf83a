"""How well labels are found in real annotated figures and matched with panels, and what it costs.

A found label is right if its text is the annotated one (the case may be the caption's) and its
middle lies in the annotated box; figures without labels count false finds.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import cv2
import numpy as np
from PIL import Image, ImageDraw

from figclip.panels.labels.glyphs import find_glyphs, searched
from figclip.panels.labels.matching import match_labels
from figclip.panels.labels.ocr import find_labels
from figclip.panels.labels.reader import Picture, Reader
from figclip.panels.labels.search import sight_of
from figclip.panels.parts import Label
from figclip.panels.scores import Counts
from figclip.panels.words.captions import split_caption, sub_captions
from figclip.schema import Box
from jobs.benchmarks.annotated import TrueFigure, annotated
from jobs.benchmarks.figures import Figures

Expected = Callable[[TrueFigure], Sequence[str]]
"""From a figure to the labels that are looked for."""

BRACKETED = re.compile(r"\(([A-Za-z])\)")
EXPECTED: dict[str, Expected] = {
    "annotated": lambda figure: figure.expected,
    "regex": lambda figure: tuple(dict.fromkeys(BRACKETED.findall(figure.caption))),
    "caption": lambda figure: tuple(sub_captions(figure.caption, split_caption(figure.caption))),
    "none": lambda _: (),
}
"""What the caption is taken to name: all that it does, what a plain expression or the splitter of
captions sees, nothing."""


@dataclass(frozen=True)
class Finding:
    """What was found in one figure."""

    figure: TrueFigure
    labels: tuple[Label, ...]
    matched: Counts
    """Of the right labels, those whose panel is right (of the true panels)."""
    ms: dict[str, float]
    """CPU time by step; `all` is that of `find_labels`, of which the others are parts."""

    @property
    def true(self) -> dict[str, Box]:
        return {each.text: each.box for each in self.figure.labels}

    @property
    def right(self) -> list[Label]:
        true = {text.lower(): box for text, box in self.true.items()}
        return [
            label
            for label in self.labels
            if label.text.lower() in true and _is_inside(label.box, true[label.text.lower()])
        ]

    @property
    def counts(self) -> Counts:
        return Counts(len(self.right), len(self.labels), len(self.true))


def panel_labels(shared: Path, expected: Expected = EXPECTED["annotated"]) -> Figures:
    """Recall, precision and CPU milliseconds; `shared` is the folder of annotated figures."""
    return summary(findings(shared, expected))


def summary(found: Sequence[Finding]) -> Figures:
    compound, single = (
        [each for each in found if each.figure.is_single == is_single]
        for is_single in (False, True)
    )
    counts, matched = _sum(found, "counts"), _sum(found, "matched")
    figures: Figures = {
        "label_recall": counts.recall,
        "label_precision": counts.precision,
        "label_to_panel": matched.precision,
        "ms_compound": mean(each.ms["all"] for each in compound),
        "ms_single": mean(each.ms["all"] for each in single),
    }
    for step in ("blobs", "ink", "reading"):
        figures[f"ms_compound_{step}"] = mean(each.ms[step] for each in compound)
    for layout in sorted({each.figure.layout for each in compound}):
        counts = _sum([each for each in compound if each.figure.layout == layout], "counts")
        figures[f"label_recall_{layout}"] = counts.recall
        figures[f"label_precision_{layout}"] = counts.precision
    return figures


def findings(shared: Path, expected: Expected) -> list[Finding]:
    cv2.setNumThreads(1)
    reader = TimedReader()
    find_labels(np.zeros((9, 9, 3), np.uint8), "A", reader=reader)
    return [_finding(figure, expected, reader) for figure in annotated(shared)]


def _finding(figure: TrueFigure, expected: Expected, reader: "TimedReader") -> Finding:
    reader.seconds = 0.0
    start = time.process_time()
    labels = find_labels(figure.image, expected(figure), reader=reader)
    ms = {"all": time.process_time() - start, "reading": reader.seconds, **_steps(figure.image)}
    finding = Finding(figure, tuple(labels), Counts(), {})
    panels = match_labels(figure.boxes, finding.right)
    right = sum(
        found.label is not None and found.label.text.lower() == true.label.lower()
        for found, true in zip(panels, figure.panels, strict=True)
    )
    matched = Counts(right, len(finding.right), len(finding.right))
    return Finding(
        figure, tuple(labels), matched, {name: 1e3 * value for name, value in ms.items()}
    )


def _steps(picture: Picture) -> dict[str, float]:
    """CPU seconds of what comes before reading."""
    start = time.process_time()
    page = searched(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))
    glyphs = find_glyphs(page)
    middle = time.process_time()
    sight_of(picture, page, glyphs)
    return {"blobs": middle - start, "ink": time.process_time() - middle}


@dataclass
class TimedReader(Reader):
    """A reader that knows how long it read."""

    seconds: float = field(default=0.0)

    def __post_init__(self) -> None:
        super().__init__()

    def read(self, crops: Sequence[Picture]) -> list[tuple[str, float]]:
        start = time.process_time()
        found = super().read(crops)
        self.seconds += time.process_time() - start
        return found


def _sum(found: Sequence[Finding], name: str) -> Counts:
    total = Counts()
    for each in found:
        total = total + getattr(each, name)
    return total


def _is_inside(box: Box, other: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return other[0] <= x <= other[2] and other[1] <= y <= other[3]


def draw_failures(found: Sequence[Finding], path: Path, *, columns: int = 8) -> None:
    """A sheet (PNG) of what was missed (green) and falsely found (red), each with its surroundings,
    five label heights to every side."""
    tiles = [tile for each in found for tile in _failures(each)]
    if not tiles:
        return
    side = tiles[0].width
    sheet = Image.new("RGB", (columns * side, -(-len(tiles) // columns) * side), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % columns * side, place // columns * side))
    sheet.save(path)


def _failures(finding: Finding) -> list[Image.Image]:
    right = {label.text.lower() for label in finding.right}
    missed = [
        (text, box, "green") for text, box in finding.true.items() if text.lower() not in right
    ]
    false = [
        (f"{label.text} {label.confidence:.2f}", label.box, "red")
        for label in finding.labels
        if label not in finding.right
    ]
    name = finding.figure.name[:6]
    return [
        _tile(finding.figure.image, f"{name} {text}", box, ink) for text, box, ink in missed + false
    ]


def _tile(picture: Picture, text: str, box: Box, ink: str, side: int = 220) -> Image.Image:
    reach = 5 * (box[3] - box[1])
    around = (box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach)
    cut = Image.fromarray(picture).crop(around)
    scale = (side - 4) / max(cut.size)
    tile = Image.new("RGB", (side, side), "grey")
    tile.paste(cut.resize((max(1, int(cut.width * scale)), max(1, int(cut.height * scale)))))
    draw = ImageDraw.Draw(tile)
    frame = [scale * (box[n] - around[n % 2]) for n in range(4)]
    draw.rectangle((frame[0] - 2, frame[1] - 2, frame[2] + 2, frame[3] + 2), outline=ink)
    draw.text((4, side - 14), text, fill=ink)
    return tile
