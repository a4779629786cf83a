"""How well panels are found in real annotated figures, by what is known of their labels."""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from figclip.panels.parts import Label, PanelBox
from figclip.panels.scores import panel_score
from jobs.benchmarks.annotated import TrueFigure, annotated
from jobs.benchmarks.figures import Figures

Splitter = Callable[..., Sequence[PanelBox]]
"""`(image, labels=, expected=)` → panels."""

DROPOUT = 0.15
"""Of the printed labels, which a simulated reader misses."""

FALSE_LABELS = 0.3
"""In a figure, on average, that a simulated reader sees where there are none."""


MOST_DRAWN = 12
"""Figures of a contact sheet."""

SEEDS = 3
"""Simulated readers, over which is averaged."""


@dataclass(frozen=True)
class Result:
    """What a splitter made of a figure."""

    figure: TrueFigure
    labels: tuple[Label, ...]
    panels: tuple[PanelBox, ...]
    score: float
    duration_ms: float


Known = Callable[[TrueFigure], tuple[Sequence[Label], Sequence[str]]]


def read_badly(figure: TrueFigure, *, seed: int = 0) -> tuple[Label, ...]:
    """The labels as an OCR might give them: some missing, all a little off, a few invented."""
    chance = random.Random(f"{figure.name}/{seed}")
    height, width = figure.image.shape[:2]
    kept = [label for label in figure.labels if chance.random() >= DROPOUT]
    read = [_jittered(label, chance) for label in kept]
    if chance.random() < FALSE_LABELS:
        x, y = chance.randrange(max(1, width - 20)), chance.randrange(max(1, height - 20))
        read.append(Label(chance.choice("ABCDEFGHabcdefgh"), (x, y, x + 15, y + 20), 0.7))
    return tuple(read)


def _jittered(label: Label, chance: random.Random) -> Label:
    x0, y0, x1, y1 = label.box
    dx, dy = chance.randint(-3, 3), chance.randint(-3, 3)
    grow = chance.randint(-2, 4)
    box = (max(0, x0 + dx), max(0, y0 + dy), x1 + dx + grow, y1 + dy + grow)
    return Label(label.text, box, chance.uniform(0.6, 1.0))


def _as_read(seed: int, *, with_caption: bool) -> Known:
    return lambda figure: (
        read_badly(figure, seed=seed),
        figure.expected if with_caption else (),
    )


KNOWN: Mapping[str, Sequence[Known]] = {
    "true_labels": (lambda figure: (figure.labels, figure.expected),),
    "read_labels": tuple(_as_read(seed, with_caption=True) for seed in range(SEEDS)),
    "labels_only": tuple(_as_read(seed, with_caption=False) for seed in range(SEEDS)),
    "caption_only": (lambda figure: ((), figure.expected),),
    "nothing": (lambda _: ((), ()),),
}
"""What the splitter is told: labels of the picture, and labels of the caption."""


def measure(figures: Sequence[TrueFigure], split: Splitter, known: Known) -> list[Result]:
    return [_result(figure, split, *known(figure)) for figure in figures]


def _result(
    figure: TrueFigure, split: Splitter, labels: Sequence[Label], expected: Sequence[str]
) -> Result:
    begin = time.process_time()
    panels = split(figure.image, labels=labels, expected=expected)
    duration = time.process_time() - begin
    score = panel_score([panel.box for panel in panels], figure.boxes)
    return Result(figure, tuple(labels), tuple(panels), score, 1e3 * duration)


def summary(results: Sequence[Result]) -> Figures:
    """Mean scores of all figures, by kind and layout; the part of single ones kept whole."""
    compound = [result for result in results if not result.figure.is_single]
    single = [result for result in results if result.figure.is_single]
    layouts = sorted({result.figure.layout for result in compound})
    return {
        "score": _mean(result.score for result in results),
        "compound": _mean(result.score for result in compound),
        "single_kept_whole": _mean(len(result.panels) == 1 for result in single),
        **{
            f"layout {layout}": _mean(one.score for one in compound if one.figure.layout == layout)
            for layout in layouts
        },
        "compound_ms": _mean(result.duration_ms for result in compound),
        "single_ms": _mean(result.duration_ms for result in single),
    }


def _mean(values: Any) -> float | None:
    listed = [float(value) for value in values]
    return statistics.mean(listed) if listed else None


def panel_pictures(shared: Path, split: Splitter, *, drawings: Path | None = None) -> Figures:
    """The summary for every kind of knowledge; the worst figures of each are drawn in a folder."""
    figures = list(annotated(shared))
    told: Figures = {}
    for name, known in KNOWN.items():
        results = [one for each in known for one in measure(figures, split, each)]
        told |= {f"{name}: {key}": value for key, value in summary(results).items()}
        if drawings is not None:
            draw_results(worst(results), drawings / f"{name}.png")
    return told


def worst(results: Sequence[Result]) -> list[Result]:
    """At most `MOST_DRAWN` figures of which a panel is wrong, the worst first."""
    wrong = sorted((one for one in results if one.score < 1), key=lambda one: one.score)
    return wrong[:MOST_DRAWN]


def draw_results(
    results: Sequence[Result], path: Path, *, columns: int = 4, tile: int = 480
) -> None:
    """A contact sheet (PNG): true panels thin, found ones thick, labels as they were given."""
    rows = max(1, -(-len(results) // columns))
    sheet = Image.new("RGB", (columns * tile, rows * (tile + 14)), "grey")
    for i, result in enumerate(results):
        x, y = i % columns * tile, i // columns * (tile + 14)
        ImageDraw.Draw(sheet).text(
            (x, y), f"{result.figure.name} {result.figure.layout} {result.score:.2f}", "white"
        )
        sheet.paste(_drawn(result, tile), (x, y + 14))
    sheet.save(path)


def _drawn(result: Result, tile: int) -> Image.Image:
    picture = Image.fromarray(result.figure.image)
    scale = (tile - 8) / max(picture.size)
    picture = picture.resize([max(1, round(side * scale)) for side in picture.size])
    pen = ImageDraw.Draw(picture)
    for panel in result.panels:
        pen.rectangle([value * scale for value in panel.box], outline="blue", width=4)
    for box in result.figure.boxes:
        pen.rectangle([value * scale for value in box], outline="red", width=1)
    for label in result.labels:
        x0, y0, x1, y1 = (value * scale for value in label.box)
        pen.rectangle((x0, y0, x1, y1), outline="magenta", width=1)
        pen.text((x1 + 2, y0), label.text, "magenta")
    return picture
