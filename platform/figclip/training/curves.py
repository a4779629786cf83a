"""A run as a picture: its loss over the samples seen, and the recall after each epoch."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from figclip.training.checkpoint import History

INK = "#333333"
COLOURS = ("#2a6f97", "#d1495b", "#3c8d5a")
RECALL = re.compile(r"(?P<direction>image_to_text|text_to_image)_recall_at_(?P<k>\d+)")
SMOOTHED = 0.02
"""Share of the steps that the thick line is a mean of."""


@dataclass(frozen=True)
class Curve:
    samples: Sequence[int]
    values: Sequence[float]


def read_curve(folder: Path, name: str) -> Curve:
    """One curve of TensorBoard's files, each step once and as the run took it in the end."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    points = reader.Scalars(name)
    return Curve([point.step for point in points], [point.value for point in points])


def smoothed(values: Sequence[float]) -> np.ndarray:
    """Each value's mean with its neighbours; near the ends with those that there are."""
    reach = max(1, round(len(values) * SMOOTHED / 2))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    starts = np.maximum(np.arange(len(values)) - reach, 0)
    stops = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    return (sums[stops] - sums[starts]) / (stops - starts)


def draw_run(loss: Curve, history: History, *, title: str) -> bytes:
    """A PNG of two panels: the loss, and recall@k where the epochs have it, beside chance."""
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_loss(left, loss, history)
    _draw_recall(right, history)
    figure.suptitle(title, color=INK, fontsize=11)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def _draw_loss(axes: Axes, loss: Curve, history: History) -> None:
    axes.plot(loss.samples, loss.values, color=COLOURS[0], alpha=0.25, linewidth=0.8)
    axes.plot(
        loss.samples, smoothed(loss.values), color=COLOURS[0], linewidth=1.8, label="training"
    )
    judged = [row for row in history if "validation_loss" in row]
    if judged:
        samples, values = _column(judged, "samples"), _column(judged, "validation_loss")
        axes.plot(samples, values, color=COLOURS[1], marker="o", markersize=4, label="validation")
    axes.legend(frameon=False)
    _label(axes, "contrastive loss")


def _draw_recall(axes: Axes, history: History) -> None:
    found = [match for name in history[-1] if (match := RECALL.fullmatch(name))] if history else []
    if not found:
        axes.text(0.5, 0.5, "not validated", ha="center", color=INK, transform=axes.transAxes)
        axes.set_axis_off()
        return
    samples = _column(history, "samples")
    ks = sorted({int(match["k"]) for match in found})
    for match in found:
        forth, k = match["direction"] == "image_to_text", int(match["k"])
        axes.plot(
            samples,
            _column(history, match[0]),
            color=COLOURS[ks.index(k) % len(COLOURS)],
            linestyle="-" if forth else "--",
            marker="o" if forth else "s",
            markersize=4,
            label=f"{'image → text' if forth else 'text → image'}, R@{k}",
        )
    for k in ks:
        if f"chance_at_{k}" in history[-1]:
            colour = COLOURS[ks.index(k) % len(COLOURS)]
            axes.axhline(history[-1][f"chance_at_{k}"], color=colour, linestyle=":", linewidth=1)
    axes.plot([], [], color=INK, linestyle=":", linewidth=1, label="chance")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    _label(axes, "recall on the validation pairs")


def _column(rows: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [row[name] for row in rows]


def _label(axes: Axes, what: str) -> None:
    axes.set_xlabel("samples seen", color=INK)
    axes.locator_params(axis="x", nbins=5)  # long numbers, side by side
    axes.set_ylabel(what, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
