"""What a sweep has found: a report, live dashboards, two encoders side by side, screenshots.

`python -m jobs.sweep report NAME`, `dashboard`, `compare A B`, `screenshots NAME`.
"""

import logging
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field
from tyro.conf import Positional

from figclip.config import UsageError
from figclip.tuning.boards import (
    Board,
    answers,
    optuna_dashboard,
    require_loopback,
    running,
    serve,
    tensorboard,
)
from figclip.tuning.report import PAGE, report_files, results_markdown
from figclip.tuning.storage import open_storage
from jobs.browser import reduced, screenshot
from jobs.entry import run
from jobs.recorded import RecordedJob, given
from jobs.sweep_compare import CompareJob, compare

log = logging.getLogger(__name__)

COLOURS = 256
"""Of each picture, for its size's sake."""

Port = Annotated[int, Field(gt=0, lt=65536)]


class ReportJob(RecordedJob):
    """Write what a sweep has found, finished or not, and print its table."""

    name: Positional[str] = ""
    """Of the sweep."""
    out: str | None = None
    """Folder for `index.html`, `report.md`, `results.md`, `trials.json` and the pictures; unset:
    `{name}-report` here."""


class DashboardJob(RecordedJob):
    """Serve optuna-dashboard for the storage, and TensorBoard for the curves, until Ctrl-C."""

    host: str = "127.0.0.1"
    """Where to listen. The dashboards ask for no password, so others than loopback are refused."""
    expose: bool = False
    """Listen on any `--host` all the same."""
    port: Port = 8080
    """Of optuna-dashboard."""
    tensorboard: str | None = None
    """Folder of curves, for TensorBoard beside it: `{store}/runs` holds those of all trials."""
    tensorboard_port: Port = 6006
    """Of TensorBoard."""
    ray_dashboard: str = "http://127.0.0.1:8265"
    """Where Ray's own dashboard is while a sweep runs; it is linked, not started."""


class ScreenshotsJob(RecordedJob):
    """Pictures of a sweep's report and dashboards, as the README shows them; needs Chromium."""

    name: Positional[str] = ""
    """Of the sweep."""
    tensorboard: str | None = None
    """Folder of the trials' curves; unset: none of TensorBoard."""
    port: Port = 18080
    """Of optuna-dashboard while its pictures are taken."""
    tensorboard_port: Port = 16006
    """Of TensorBoard meanwhile."""
    out: str = "platform/readme"
    """Folder for the PNGs."""


PRESETS: dict[str, RecordedJob] = {
    "report": ReportJob(),
    "dashboard": DashboardJob(),
    "compare": CompareJob(),
    "screenshots": ScreenshotsJob(),
}


def main(config: RecordedJob) -> None:
    match config:
        case ReportJob():
            report(config)
        case DashboardJob():
            serve(boards(config))
        case CompareJob():
            compare(config)
        case ScreenshotsJob():
            screenshots(config)


def report(config: ReportJob) -> Path:
    record = config.read(given(config.name, "report NAME"))
    folder = Path(config.out or f"{config.name}-report")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in report_files(record).items():
        (folder / name).write_bytes(data)
    print(results_markdown(record), flush=True)
    log.info("wrote %s", folder / "index.html")
    return folder


def boards(config: DashboardJob) -> list[Board]:
    """What is to be served; says where Ray's own dashboard is."""
    require_loopback(config.host, expose=config.expose)
    open_storage(config.recorded)  # its complaint comes before any start
    found = [optuna_dashboard(config.recorded, config.host, config.port)]
    if config.tensorboard is not None:
        if not Path(config.tensorboard).is_dir():
            raise UsageError(f"--tensorboard {config.tensorboard} is no folder")
        found.append(tensorboard(config.tensorboard, config.host, config.tensorboard_port))
    ray = urlsplit(config.ray_dashboard)
    is_there = answers(ray.hostname or "127.0.0.1", ray.port or 8265)
    state = "" if is_there else " (while a sweep runs; nothing answers there now)"
    log.info("Ray: %s%s", config.ray_dashboard, state)
    return found


def screenshots(config: ScreenshotsJob) -> list[Path]:
    """`sweep-report.png` and `-dark`, `sweep-dashboard.png`, `-trials`, `sweep-tensorboard.png`."""
    record = config.read(given(config.name, "screenshots NAME"))
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as written:
        page = Path(written, PAGE)
        page.write_bytes(report_files(record)[PAGE])
        for name, is_dark in (("report", False), ("report-dark", True)):
            screenshot(
                page.as_uri(),
                folder / f"sweep-{name}.png",
                width=1280,
                height=3000,
                is_dark=is_dark,
            )
    served = [optuna_dashboard(config.recorded, "127.0.0.1", config.port)]
    study = f"dashboard/studies/{study_id(config.recorded, config.name)}"
    pages = {
        "dashboard": (served[0], study),
        "dashboard-trials": (served[0], f"{study}/trials"),
    }
    if config.tensorboard is not None:
        served.append(tensorboard(config.tensorboard, "127.0.0.1", config.tensorboard_port))
        # Chromium without a GPU leaves TensorBoard's WebGL charts empty.
        shown = "?forceSVG=true&tagFilter=loss|recall_at_1$#timeseries"
        pages["tensorboard"] = (served[1], shown)
    with running(served):
        for name, (board, path) in pages.items():
            png = folder / f"sweep-{name}.png"
            screenshot(f"{board.url}/{path}", png, width=1400, height=1000, wait_ms=20_000)
    found = sorted(folder.glob("sweep-*.png"))
    for png in found:
        png.write_bytes(reduced(png.read_bytes(), COLOURS))
    log.info("wrote %s", folder)
    return found


def study_id(storage: str, name: str) -> int:
    """The number by which optuna-dashboard calls a study."""
    return open_storage(storage).get_study_id_from_name(name)


if __name__ == "__main__":
    run(PRESETS, main, "sweep_report")
