"""The splitter from end to end, on real annotated figures and on generated ones.

`python -m jobs.benchmark panels` prints the figures with a bound (`real_panel_score`,
`real_single_kept`, `generated_panel_score`, `generated_worst_class`, `label_recall`,
`label_precision`, `label_to_panel`, `caption_f1`, `caption_label_f1`, `alignment_f1`,
`citance_recall`, `citance_precision`, `ms_compound`, `ms_single`, `worker_rss_mb`), and below them
what they come from: real figures by layout, generated ones by class, CPU time by step. With
`--folder` it leaves two pictures there: thirty real figures as they were split, and the worst ten.
"""

import io
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image

from figclip.panels.alone import split_record
from figclip.panels.labels.ocr import find_labels
from figclip.panels.layout.figures import split_figure
from figclip.panels.layout.names import fold
from figclip.panels.scores import Counts, matched_panels, panel_score, word_overlap
from figclip.panels.split import SplitFigure, split_pair
from figclip.panels.words.captions import split_caption, sub_captions
from figclip.schema import Box
from figclip.sources.synthetic.panel_plans import LAYOUT_CLASSES
from jobs.benchmarks.annotated import TrueFigure, annotated, generated
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.panel_layouts import panel_layouts
from jobs.benchmarks.panel_sheets import draw_sheet
from jobs.benchmarks.panel_text import panel_text

NUM_GENERATED = 100
"""Figures of each class."""

ALIGNED = 0.5
"""Of the words of a panel's sub-caption, which tell it from another panel's."""

NUM_SHOWN, NUM_WORST = 30, 10

BOUNDED = (
    "real_panel_score",
    "real_single_kept",
    "generated_panel_score",
    "generated_worst_class",
    "label_recall",
    "label_precision",
    "label_to_panel",
    "caption_f1",
    "caption_label_f1",
    "alignment_f1",
    "citance_recall",
    "citance_precision",
    "ms_compound",
    "ms_single",
    "worker_rss_mb",
)


@dataclass(frozen=True)
class Judged:
    """What was found in a figure, and how far it is right."""

    figure: TrueFigure
    found: SplitFigure
    ms: Mapping[str, float]
    """CPU time of `caption`, `labels` and `panels`, and of `all`."""

    @property
    def boxes(self) -> list[Box]:
        return [panel.box for panel in self.found.panels]

    @property
    def score(self) -> float:
        return panel_score(self.boxes, self.figure.boxes)

    def label_counts(self) -> tuple[Counts, Counts]:
        """Of labels (text, and their middle in the true box), and of the right ones' panels."""
        true = {fold(each.label): each for each in self.figure.panels if each.label_box}
        found = [each for each in self.found.panels if each.label_box]
        right = [
            (each, true[fold(each.label)])
            for each in found
            if fold(each.label) in true and _holds(true[fold(each.label)].label_box, each.label_box)
        ]
        fitting = sum(panel_score([each.box], [one.box]) == 1 for each, one in right)
        return Counts(len(right), len(found), len(true)), Counts(fitting, len(right), len(right))

    def alignment(self, enough: float) -> Counts:
        """Panels with words: right are those at a true panel's place with that one's words."""
        true, found = self.figure.panels, self.found.panels
        right = sum(
            bool(true[j].caption)
            and word_overlap(" ".join(found[i].caption), true[j].caption) >= enough
            for i, j in matched_panels(self.boxes, self.figure.boxes)
        )
        num_found = sum(bool(panel.caption) for panel in found)
        return Counts(right, num_found, sum(bool(panel.caption) for panel in true))


def _holds(box: Box | None, other: Box | None) -> bool:
    if box is None or other is None:
        return False
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def judged(figure: TrueFigure) -> Judged:
    start = time.process_time()
    found = split_pair(figure.image, figure.caption)
    whole = time.process_time() - start
    return Judged(figure, found, {"all": 1e3 * whole, **_steps(figure)})


def _steps(figure: TrueFigure) -> dict[str, float]:
    """CPU milliseconds of the steps, each done once more."""
    times = [time.process_time()]
    expected = list(sub_captions(figure.caption, split_caption(figure.caption)))
    times.append(time.process_time())
    labels = find_labels(figure.image, expected)
    times.append(time.process_time())
    split_figure(figure.image, labels=labels, expected=expected)
    times.append(time.process_time())
    spent = [1e3 * (after - before) for before, after in pairwise(times)]
    return dict(zip(("caption", "labels", "panels"), spent, strict=True))


def panels(shared: Path | None, folder: Path | None) -> Figures:
    """All figures; the pictures go to `folder`, if there is one.

    In processes of one thread each, as Ray's workers are.
    """
    with one_threaded() as pool:
        figures = pool.submit(_scores, shared, folder).result()
    with one_threaded() as pool:
        return figures | {"worker_rss_mb": pool.submit(peak_rss_mb, shared).result()}


@contextmanager
def one_threaded() -> Iterator[ProcessPoolExecutor]:
    """A fresh process whose numerical libraries have one thread."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield pool
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _scores(shared: Path | None, folder: Path | None) -> Figures:
    figures: Figures = dict.fromkeys(BOUNDED)
    split_pair(np.full((64, 64, 3), 255, np.uint8), "(A) One. (B) Two.")  # loads the models
    if shared is not None:
        figures |= panel_text(shared)
        figures |= panel_layouts(shared)
        real = [judged(figure) for figure in annotated(shared)]
        figures |= of_real(real)
        if folder is not None:
            draw_sheet(_shown(real), folder / "panels.png")
            draw_sheet(sorted(real, key=lambda one: one.score)[:NUM_WORST], folder / "worst.png")
    return figures | of_generated()


def _shown(real: Sequence[Judged]) -> list[Judged]:
    """Compound figures first, spread over the articles."""
    ordered = sorted(real, key=lambda one: (one.figure.is_single, one.figure.name))
    return ordered[:: max(1, len(ordered) // NUM_SHOWN)][:NUM_SHOWN]


def of_real(real: Sequence[Judged]) -> Figures:
    compound = [one for one in real if not one.figure.is_single]
    single = [one for one in real if one.figure.is_single]
    labels, placed, aligned, strict = Counts(), Counts(), Counts(), Counts()
    for one in real:
        here, there = one.label_counts()
        labels, placed = labels + here, placed + there
        if one.figure.has_sub_captions:
            aligned, strict = aligned + one.alignment(ALIGNED), strict + one.alignment(0.9)
    figures: Figures = {
        "real_panel_score": mean(one.score for one in real),
        "real_single_kept": mean(len(one.boxes) == 1 for one in single),
        "label_recall": labels.recall,
        "label_precision": labels.precision,
        "label_to_panel": placed.precision,
        "alignment_f1": aligned.f1,
        "alignment_f1_of_nine_tenths_of_the_words": strict.f1,
        "ms_compound": mean(one.ms["all"] for one in compound),
        "ms_single": mean(one.ms["all"] for one in single),
        "real_compound_score": mean(one.score for one in compound),
    }
    for kind, ones in (("compound", compound), ("single", single)):
        for step in ("caption", "labels", "panels"):
            figures[f"ms_{kind}_{step}"] = mean(one.ms[step] for one in ones)
    for layout in sorted({one.figure.layout for one in compound}):
        scores = [one.score for one in compound if one.figure.layout == layout]
        figures[f"real {layout} ({len(scores)})"] = mean(scores)
    return figures


def of_generated() -> Figures:
    scores = {
        layout: mean(
            judged(figure).score for figure in generated(layout, num_figures=NUM_GENERATED)
        )
        for layout in LAYOUT_CLASSES
    }
    compound = [score for layout, score in scores.items() if layout != "single"]
    return {
        "generated_panel_score": mean(compound),
        "generated_worst_class": min(compound),
        **{f"generated {layout} ({NUM_GENERATED})": score for layout, score in scores.items()},
    }


def peak_rss_mb(shared: Path | None) -> float:
    """Of a worker that splits every annotated figure, and one of 20,000 pixels a side."""
    stream = io.BytesIO()
    Image.new("L", (20_000, 20_000), 200).save(stream, "JPEG")
    records: list[dict[str, Any]] = [{"image": stream.getvalue(), "caption": "(A) One. (B) Two."}]
    if shared is not None:
        lines = (shared / "panels" / "figures.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        records += [{"image": row["file"], "caption": row["caption"]} for row in rows]
    for record in records:
        split_record(record, [(shared or Path()) / "panels"])
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
