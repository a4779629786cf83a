"""A pretraining run → a picture of its curves: `python -m jobs.plot_run --version tiny`."""

import json
import logging
import tempfile
from pathlib import Path

from figclip.config import UsageError
from figclip.store import Store
from figclip.training.curves import draw_run, read_curve
from jobs.entry import Job, run

log = logging.getLogger(__name__)


class PlotRunJob(Job):
    """Draw loss and recall of `encoder/{version}`."""

    version: str = "biomedclip"
    """Version of the encoder artifact whose training is drawn."""
    out: str | None = None
    """The PNG to write; unset: `{version}.png` here."""


PRESETS = {"default": PlotRunJob()}


def main(config: PlotRunJob) -> Path:
    encoder = Store(config.store).open("encoder", config.version)
    counts = Store(config.store).manifest("encoder", config.version).counts
    if not (encoder / "_tensorboard").files():
        raise UsageError(f"encoder@{config.version} holds no curves: it was not pretrained here")
    with tempfile.TemporaryDirectory() as copy:
        loss = read_curve((encoder / "_tensorboard").download(Path(copy)), "train/loss")
    picture = draw_run(
        loss,
        json.loads(encoder.read("history.json")),
        title=f"encoder@{config.version}: {counts['samples_seen']:,} samples, "
        f"{counts['num_steps']:,} steps",
    )
    target = Path(config.out or f"{config.version}.png")
    target.write_bytes(picture)
    log.info("wrote %s", target)
    return target


if __name__ == "__main__":
    run(PRESETS, main, "plot_run")
