"""The one door for measurements: `python -m jobs.benchmark NAME`.

Prints a table and, as the last line, `{"benchmark": NAME, "figures": {name: number}}`; a figure
that could not be measured here is `null`.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt

from figclip.config import UsageError
from figclip.panels.layout.figures import split_figure
from figclip.training.step import Precision
from jobs.benchmarks.embed import embed
from jobs.benchmarks.figures import Figures, table
from jobs.benchmarks.index import index
from jobs.benchmarks.ingest import PARTS, ingest
from jobs.benchmarks.loader import loader
from jobs.benchmarks.loss import loss
from jobs.benchmarks.panel_borders import panel_borders
from jobs.benchmarks.panel_layouts import panel_layouts
from jobs.benchmarks.panel_pictures import panel_pictures
from jobs.benchmarks.panels import panels
from jobs.benchmarks.retrieval import retrieval
from jobs.benchmarks.serve import PARTS as SERVE_PARTS
from jobs.benchmarks.serve import serve
from jobs.benchmarks.sweep import sweep_overhead
from jobs.benchmarks.train_step import train_step
from jobs.benchmarks.train_step_gpu import train_step_on
from jobs.benchmarks.walk import walk
from jobs.entry import Job, run


class BenchmarkJob(Job):
    """What to measure; the preset's name is the benchmark's."""

    benchmark: str
    """Name of the benchmark."""
    folder: str | None = None
    """An empty folder to work in; unset: a temporary one that is removed."""
    shared: str = "../shared"
    """The folder of real articles and peers; what needs it is not measured where it is missing."""
    parts: tuple[str, ...] | None = None
    """Of `ingest`, `train_step` and `serve`, the parts to run; unset: all."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Of `loss`, `retrieval` and `train_step`, where they are taken; on a GPU the step is
    BiomedCLIP's own, and retrieval that of the paper's test split."""
    batch_size: PositiveInt = 256
    """Of `train_step` on a GPU."""
    precision: Precision = "bf16"
    """Of `train_step` on a GPU."""
    infinity: str | None = None
    """Of `serve`, the python of a virtual environment that has infinity; unset: ours alone."""
    seconds: PositiveFloat = 8.0
    """Of `serve`, how long each number of clients is measured."""
    soak_s: PositiveFloat = 600.0
    """Of `serve`, how long it is looked at for growing memory."""


def _ingest(folder: Path, config: BenchmarkJob) -> Figures:
    shared = Path(config.shared)
    unknown = set(config.parts or ()) - PARTS.keys()
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))}: no part; parts are {', '.join(PARTS)}")
    return ingest(folder, shared if shared.is_dir() else None, config.parts or tuple(PARTS))


def _panels(folder: Path, config: BenchmarkJob) -> Figures:
    shared = Path(config.shared)
    return panels(shared if shared.is_dir() else None, folder if config.folder else None)


def _panel_pictures(folder: Path, config: BenchmarkJob) -> Figures:
    annotated = Path(config.shared) / "panels"
    if not annotated.is_dir():
        raise UsageError(f"no annotated figures at {annotated}: name their folder with --shared")
    return panel_pictures(Path(config.shared), split_figure, drawings=folder)


def _index(folder: Path, config: BenchmarkJob) -> Figures:
    shared = Path(config.shared)
    return index(folder, shared if shared.is_dir() else None)


def _train_step(folder: Path, config: BenchmarkJob) -> Figures:
    shared = Path(config.shared)
    if config.device == "cpu":
        return train_step(shared.resolve(), folder, config.parts)
    if not torch.cuda.is_available():
        raise UsageError("no GPU is to be seen here: run without --device cuda")
    lengths = shared / "bench" / "caption_lengths.txt"
    return train_step_on(
        torch.device("cuda"),
        batch_size=config.batch_size,
        precision=config.precision,
        lengths=lengths if lengths.is_file() else None,
    )


def _serve(folder: Path, config: BenchmarkJob) -> Figures:
    return serve(
        folder,
        Path(config.shared),
        peer=None if config.infinity is None else Path(config.infinity).absolute(),
        parts=config.parts or SERVE_PARTS,
        seconds=config.seconds,
        soak_s=config.soak_s,
    )


BENCHMARKS: dict[str, Callable[[Path, BenchmarkJob], Figures]] = {
    "walk": lambda folder, _: walk(folder),
    "loader": lambda folder, _: loader(folder),
    "embed": lambda folder, _: embed(folder),
    "loss": lambda _, config: loss(config.device),
    "ingest": _ingest,
    "index": _index,
    "panels": _panels,
    "panel_pictures": _panel_pictures,
    "panel_borders": lambda _, config: panel_borders(Path(config.shared)),
    "panel_layouts": lambda _, config: panel_layouts(Path(config.shared)),
    "retrieval": lambda _, config: retrieval(config.device),
    "serve": _serve,
    "train_step": _train_step,
    "sweep": lambda folder, _: sweep_overhead(folder),
}
PRESETS = {name: BenchmarkJob(benchmark=name) for name in BENCHMARKS}


def main(config: BenchmarkJob) -> None:
    measure = BENCHMARKS[config.benchmark]
    if config.folder is not None:
        folder = Path(config.folder)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty: name an empty --folder, or none")
        figures = measure(folder, config)
    else:
        with tempfile.TemporaryDirectory(prefix="figclip-") as temporary:
            figures = measure(Path(temporary), config)
    print(table(figures))
    print(json.dumps({"benchmark": config.benchmark, "figures": figures}), flush=True)


if __name__ == "__main__":
    run(PRESETS, main, "benchmark")
