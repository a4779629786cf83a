"""MLflow and Weights & Biases themselves, with their stores in a local folder."""

import json
import sys
from pathlib import Path

import pytest

from figclip.config import UsageError
from figclip.store import Folder, Store
from figclip.training.trackers import TrackerConfig, dotted, open_trackers, require_trackers

VALUES = {"optim": {"lr": 1e-3}, "seed": 7}


@pytest.fixture
def run(tmp_path) -> Folder:
    return Store(tmp_path).root / "runs" / "encoder-v"


def log_twice(config: TrackerConfig, run: Folder) -> None:
    """A run that is killed after two points, and goes on with a third."""
    for samples in ((8, 16), (24,)):
        trackers = open_trackers(config, run, name="encoder-v", values=VALUES, samples_done=0)
        for sample in samples:
            for tracker in trackers[1:]:
                tracker.scalars({"train/loss": 1 / sample, "train/lr": 0.5}, sample)
        for tracker in trackers:
            tracker.save()
            tracker.close()


def test_mlflow_has_one_run_with_the_config_and_every_point(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    log_twice(TrackerConfig(mlflow=uri), run)
    client = mlflow.MlflowClient(tracking_uri=uri)
    [found] = client.search_runs([client.get_experiment_by_name("figclip").experiment_id])
    assert found.info.run_name == "encoder-v"
    assert found.info.status == "FINISHED"
    assert found.data.params == {"optim.lr": "0.001", "seed": "7"}
    points = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in points] == [(s, 1 / s) for s in (8, 16, 24)]


@pytest.mark.timeout(120)
def test_wandb_keeps_one_run_offline(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    log_twice(TrackerConfig(wandb="figclip"), run)
    files = sorted(Path(tmp_path, "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2, "one file of each try"
    [name] = {file.stem for file in files}
    assert name == f"run-{run.read('wandb.txt').decode()}"
    assert all(b"train/loss" in file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("config", "module"),
    [(TrackerConfig(mlflow="x"), "mlflow"), (TrackerConfig(wandb="x"), "wandb")],
)
def test_a_tracker_that_is_not_installed_is_named_with_the_remedy(monkeypatch, config, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"--trackers.{module} needs `pip install {module}"):
        require_trackers(config)
    require_trackers(TrackerConfig())


def test_names_of_a_config_are_dotted():
    found = dotted({"a": {"b": {"c": 1}, "d": [2]}, "e": None})
    assert json.dumps(found) == '{"a.b.c": 1, "a.d": [2], "e": null}'
