"""The border network learns from generated figures, the same from the same seed."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from figclip.config import UsageError
from figclip.models.border_net import BorderNet
from figclip.training.borders import CLASSES
from jobs.train_splitter import (
    SplitterJob,
    drawn,
    export,
    export_error,
    main,
    recoloured,
    trained,
)


def test_the_same_seed_trains_the_same_network() -> None:
    figures = drawn(4, 0, CLASSES)
    config = SplitterJob(num_figures=4, epochs=1, batch_size=2)
    nets = []
    for _ in range(2):
        torch.manual_seed(0)
        nets.append(trained(BorderNet(), figures, config).state_dict())
    first, again = nets
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(torch.isfinite(values.float()).all() for values in first.values())


def test_the_written_network_finds_borders_as_torch_does(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the network is written by onnx, an optional extra")
    path = tmp_path / "borders.onnx"
    main(SplitterJob(out=str(path), num_figures=4, epochs=1, batch_size=2))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"pixels": np.zeros((1, 3, 320, 320), np.float32)})
    assert found.shape == (1, 2, 80, 80)
    assert 0 <= found.min() <= found.max() <= 1

    net = BorderNet().eval()
    export(net, path)
    assert export_error(net, path) < 1e-5
    assert export_error(BorderNet().eval(), path) > 1e-3


def test_without_onnx_the_job_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install \.\[splitter\]"):
        main(SplitterJob(num_figures=1))


def test_figures_stay_pictures_in_other_colours() -> None:
    pixels = torch.rand(12, 3, 8, 8)
    changed = recoloured(pixels.clone(), np.random.default_rng(0))
    assert changed.shape == pixels.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, pixels)
