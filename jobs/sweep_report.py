"""What a sweep has found: a report, live dashboards, two encoders side by side, screenshots.

`python -m jobs.sweep report NAME`, `dashboard`, `compare A B`, `screenshots NAME`.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from tyro.conf import Positional

from figclip.config import UsageError
from figclip.embedding.bulk import embed
from figclip.embedding.vectors import Embeddings, split_files
from figclip.evaluation.beside import held_out
from figclip.evaluation.compare import compare_table, compared
from figclip.evaluation.forest import draw_differences
from figclip.schema import Split
from figclip.store import Store
from figclip.tuning.boards import (
    Board,
    answers,
    optuna_dashboard,
    require_loopback,
    running,
    serve,
    tensorboard,
)
from figclip.tuning.record import SweepRecord, TrialRecord, read_sweep
from figclip.tuning.report import PAGE, report_files, results_markdown
from figclip.tuning.storage import FILE, open_storage, shown
from jobs.browser import screenshot
from jobs.entry import Job, joined_ray, run
from jobs.sweep_trials import trial_embeddings

log = logging.getLogger(__name__)

Port = Annotated[int, Field(gt=0, lt=65536)]
RAY_DASHBOARD = "RAY_DASHBOARD_ADDRESS"


class RecordedJob(Job):
    """What reads the record of a sweep."""

    storage: str | None = None
    """Where sweeps are recorded: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`; unset:
    `sweeps.db` in the store."""

    @property
    def recorded(self) -> str:
        """The storage's URL; `UsageError` where there is none, which reading must not make."""
        url = self.storage or f"sqlite:///{Path(self.store).absolute() / FILE}"
        file = url.removeprefix("sqlite:///").partition("?")[0]
        if url.startswith("sqlite:///") and not Path(file).is_file():
            raise UsageError(
                f"no sweep is recorded in {url}: name its storage with --storage, or run one with "
                f"`python -m jobs.sweep`"
            )
        return url

    def read(self, name: str) -> SweepRecord:
        """`UsageError` lists the sweeps that there are, where this one is not."""
        names = sorted(study.study_name for study in open_storage(self.recorded).get_all_studies())
        if name not in names:
            there = ", ".join(names) or "none"
            raise UsageError(
                f"no sweep {name!r} is recorded in {shown(self.recorded)}; recorded are: {there}"
            )
        return read_sweep(self.recorded, name)


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
    """Folder of the trials' curves, for TensorBoard beside it."""
    tensorboard_port: Port = 6006
    """Of TensorBoard."""


class CompareJob(RecordedJob):
    """Two encoders on the same held-out pairs: recall both ways, and the difference's interval."""

    first: Positional[str] = ""
    """Version of an encoder artifact, or `SWEEP:NUMBER` for a trial: its encoder, or its last
    checkpoint where none was published of it."""
    second: Positional[str] = ""
    """The other one."""
    pairs: str = "pmc"
    """Version of the pairs artifact."""
    split: Split = "test"
    ks: tuple[PositiveInt, ...] = (1, 5, 10)
    """Recall among the first so many."""
    num_resamples: PositiveInt = 10_000
    """Of the pairs, for the intervals."""
    seed: NonNegativeInt = 0
    """Draws them."""
    out: str | None = None
    """Folder for `compare.md` and `compare.png`; unset: `{first}-beside-{second}` here."""
    batch_size: PositiveInt = 64
    """Pairs that go through the towers at once, where they are not embedded yet."""
    cpus_per_actor: PositiveFloat = 1.0
    """CPUs that Ray sets aside for embedding."""
    use_gpu: bool = False
    """Embed on a GPU."""


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
    out: str = "docs"
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
    record = config.read(_given(config.name, "report NAME"))
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
    host, _, port = os.environ.get(RAY_DASHBOARD, "127.0.0.1:8265").rpartition(":")
    state = "" if answers(host, int(port)) else " (while a sweep runs; nothing answers there now)"
    log.info("Ray: http://%s:%s%s", host, port, state)
    return found


def compare(config: CompareJob) -> Path:
    names = (_given(config.first, "compare A B"), _given(config.second, "compare A B"))
    found = compared(
        *(embeddings_of(config, name) for name in names),
        ks=config.ks,
        num_resamples=config.num_resamples,
        seed=config.seed,
    )
    text = compare_table(found, names)
    folder = Path(config.out or "-beside-".join(name.replace(":", "-") for name in names))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.md").write_text(f"{text}\n")
    (folder / "compare.png").write_bytes(draw_differences(found, names))
    print(text, flush=True)
    log.info("wrote %s", folder)
    return folder


def embeddings_of(config: CompareJob, name: str) -> Embeddings:
    """Of an encoder artifact, or of a trial: of its encoder, or of its checkpoint without one."""
    store = Store(config.store)
    sweep, is_trial, _ = name.rpartition(":")
    encoder = name.removeprefix("encoder@")
    if is_trial:
        trial = trial_of(config, name)
        if not trial.encoder:
            return trial_embeddings(
                store,
                config.recorded,
                sweep,
                trial,
                pairs=config.pairs,
                split=config.split,
                batch_size=config.batch_size,
                device="cuda" if config.use_gpu else "cpu",
            )
        encoder = trial.encoder.partition("@")[2]
    version = embedded_version(store, config, encoder)
    return held_out(store, version, config.pairs, config.split)


def trial_of(config: CompareJob, name: str) -> TrialRecord:
    """`SWEEP:7` → its trial 7."""
    sweep, _, number = name.rpartition(":")
    trials = {str(trial.number): trial for trial in config.read(sweep).trials}
    if number not in trials:
        raise UsageError(f"the sweep {sweep} has no trial {number}; it has {len(trials)}")
    return trials[number]


def screenshots(config: ScreenshotsJob) -> list[Path]:
    """`sweep-report.png` and `-dark`, `sweep-dashboard.png`, `-trials`, `sweep-tensorboard.png`."""
    record = config.read(_given(config.name, "screenshots NAME"))
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
        pages["tensorboard"] = (served[1], "?forceSVG=true#timeseries")
    with running(served):
        for name, (board, path) in pages.items():
            png = folder / f"sweep-{name}.png"
            screenshot(f"{board.url}/{path}", png, width=1400, height=1000, wait_ms=20_000)
    log.info("wrote %s", folder)
    return sorted(folder.glob("sweep-*.png"))


def study_id(storage: str, name: str) -> int:
    """The number by which optuna-dashboard calls a study."""
    return open_storage(storage).get_study_id_from_name(name)


def embedded_version(store: Store, config: CompareJob, encoder: str) -> str:
    """The version of the encoder's embeddings of the split, made where they are not there."""
    store.manifest("encoder", encoder)  # its complaint names those that are there
    wanted = (f"pairs@{config.pairs}", f"encoder@{encoder}")
    for version in store.versions("embeddings"):
        is_theirs = store.manifest("embeddings", version).inputs == wanted
        if is_theirs and split_files(store.open("embeddings", version), [config.split]):
            return version
    version = f"{encoder}-on-{config.pairs}-{config.split}"
    with joined_ray(config):
        embed(
            store,
            pairs_version=config.pairs,
            encoder_version=encoder,
            version=version,
            splits=(config.split,),
            batch_size=config.batch_size,
            num_actors=1,
            cpus_per_actor=config.cpus_per_actor,
            gpus_per_actor=1.0 if config.use_gpu else 0.0,
        )
    return version


def _given(word: str, usage: str) -> str:
    if not word:
        raise UsageError(f"a name is missing: python -m jobs.sweep {usage}")
    return word


if __name__ == "__main__":
    run(PRESETS, main, "sweep_report")
