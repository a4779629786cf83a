"""The picture of a run, from an artifact as pretraining leaves it."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from figclip.config import UsageError
from figclip.store import Store
from figclip.training.curves import read_curve, smoothed
from figclip.training.trackers import TensorBoard
from jobs.plot_run import PlotRunJob, main

HISTORY = [
    {
        "epoch": epoch,
        "samples": epoch * 160,
        "loss": 2 / epoch,
        "validation_loss": 2.2 / epoch,
        "chance_at_1": 0.05,
        "image_to_text_recall_at_1": 0.1 * epoch,
        "text_to_image_recall_at_1": 0.08 * epoch,
    }
    for epoch in (1, 2, 3)
]


def publish_run(store: Store, version: str, history: list[dict[str, float]]) -> None:
    with store.publishing("encoder", version, config={}) as publication:
        board = TensorBoard(publication.folder / "_tensorboard", samples_done=0)
        for step in range(60):
            board.scalars({"train/loss": 2.0 ** -(step / 30)}, 8 * (step + 1))
        board.save()
        board.close()
        publication.folder.write("history.json", json.dumps(history).encode())
        publication.counts.update(samples_seen=480, num_steps=60)


@pytest.mark.parametrize("columns", [8, 3])
def test_a_run_is_drawn_with_validation_and_without(tmp_path, columns):
    store = Store(tmp_path / "store")
    publish_run(store, "v", [dict([*row.items()][:columns]) for row in HISTORY])
    out = tmp_path / "run.png"
    main(PlotRunJob(store=str(tmp_path / "store"), version="v", out=str(out)))
    pixels = np.asarray(Image.open(io.BytesIO(out.read_bytes())).convert("RGB")).astype(int)
    assert pixels.shape == (480, 1200, 3)
    red = (abs(pixels - (0xD1, 0x49, 0x5B)).sum(axis=2) < 30).sum()
    assert (red > 50) == (columns == 8), "validation is drawn where there is any"


def test_an_encoder_from_elsewhere_has_no_curves(tmp_path):
    store = Store(tmp_path)
    with store.publishing("encoder", "v", config={}) as publication:
        publication.folder.write("model.safetensors", b"")
    with pytest.raises(UsageError, match="encoder@v holds no curves"):
        main(PlotRunJob(store=str(tmp_path), version="v"))


def test_a_curve_is_read_as_the_run_took_it_in_the_end(tmp_path):
    folder = Store(tmp_path).root
    for done, values in ((0, (3.0, 2.0, 9.0)), (16, (1.0,))):
        board = TensorBoard(folder, samples_done=done)
        for number, value in enumerate(values):
            board.scalars({"train/loss": value}, done + 8 * (number + 1))
        board.save()
        board.close()
    curve = read_curve(tmp_path, "train/loss")
    assert [*zip(curve.samples, curve.values, strict=True)] == [(8, 3.0), (16, 2.0), (24, 1.0)]


def test_smoothing_is_the_mean_of_the_neighbours_that_there_are():
    values = np.random.default_rng(0).normal(size=300)
    expected = [values[max(i - 3, 0) : i + 4].mean() for i in range(300)]
    np.testing.assert_allclose(smoothed(values), expected)
