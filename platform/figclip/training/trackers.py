"""Where a run's numbers go: TensorBoard always, MLflow and Weights & Biases where asked for."""

import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from torch.utils.tensorboard import SummaryWriter

from figclip.config import Config, UsageError
from figclip.store import Folder


class TrackerConfig(Config):
    mlflow: str | None = None
    """Also log to MLflow: the address of its server (`http://…`) or `sqlite:///file`. Needs
    `pip install mlflow-skinny`."""
    wandb: str | None = None
    """Also log to this project of Weights & Biases; `WANDB_MODE=offline` keeps it here. Needs
    `pip install wandb`."""


PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb"}


def require_trackers(config: TrackerConfig) -> None:
    """`UsageError` where a package is not installed: before a run begins, not on its workers."""
    for module, package in PACKAGES.items():
        if getattr(config, module) is not None and find_spec(module) is None:
            raise UsageError(f"--trackers.{module} needs `pip install {package}`")


class Tracker(Protocol):
    """One place that numbers go to."""

    def scalars(self, values: Mapping[str, float], samples: int) -> None:
        """Points of the curves of these names, after so many samples."""
        ...

    def save(self) -> None:
        """See to it that what was told so far outlives this process."""
        ...

    def close(self) -> None: ...


def open_trackers(
    config: TrackerConfig, run: Folder, *, name: str, values: dict[str, Any], samples_done: int
) -> list[Tracker]:
    """Those that a run goes on with after so many samples; `values` is its config."""
    found: list[Tracker] = [TensorBoard(run / "tensorboard", samples_done=samples_done)]
    if config.mlflow is not None:
        found.append(MLflow(config.mlflow, run, name=name, values=values))
    if config.wandb is not None:
        found.append(WeightsAndBiases(config.wandb, run, name=name, values=values))
    return found


class TensorBoard:
    """Files that grow in a local folder and reach the run's folder at every `save`.

    So they agree with the checkpoint written then, whatever is killed in between. A run that goes
    on takes back what an earlier try recorded of later samples.
    """

    def __init__(self, target: Folder, *, samples_done: int) -> None:
        self._target = target
        self._local = tempfile.TemporaryDirectory(prefix="figclip-tensorboard-")
        self._writer = SummaryWriter(
            self._local.name, purge_step=samples_done + 1 if samples_done else None
        )

    def scalars(self, values: Mapping[str, float], samples: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, samples)

    def save(self) -> None:
        self._writer.flush()
        self._target.upload(Path(self._local.name))

    def close(self) -> None:
        """End the writer's thread before its folder goes; what was not saved is lost."""
        self._writer.close()
        self._local.cleanup()


class MLflow:
    """One MLflow run, gone on with by a resumed training.

    MLflow takes nothing back: of steps that a killed try had told and a resumed one takes again, it
    keeps both points, which are equal.
    """

    def __init__(self, uri: str, run: Folder, *, name: str, values: dict[str, Any]) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        self._metric = Metric
        self._client = MlflowClient(tracking_uri=uri)
        if run.exists("mlflow.txt"):
            self._id = run.read("mlflow.txt").decode()
            self._client.set_terminated(self._id, "RUNNING")
        else:
            self._id = self._begin(name, values)
            run.write("mlflow.txt", self._id.encode())
        self._pending: list[Any] = []

    def _begin(self, name: str, values: dict[str, Any]) -> str:
        found = self._client.get_experiment_by_name("figclip")
        experiment = found.experiment_id if found else self._client.create_experiment("figclip")
        run_id: str = self._client.create_run(experiment, run_name=name).info.run_id
        for key, value in dotted(values).items():
            self._client.log_param(run_id, key, value)
        return run_id

    def scalars(self, values: Mapping[str, float], samples: int) -> None:
        now = int(time.time() * 1000)
        self._pending += [self._metric(name, value, now, samples) for name, value in values.items()]

    def save(self) -> None:
        for start in range(0, len(self._pending), 1000):  # as many as one request may hold
            self._client.log_batch(self._id, metrics=self._pending[start : start + 1000])
        self._pending = []

    def close(self) -> None:
        self._client.set_terminated(self._id)


class WeightsAndBiases:
    """One run of a W&B project, gone on with by a resumed training; its axis is `samples`."""

    def __init__(self, project: str, run: Folder, *, name: str, values: dict[str, Any]) -> None:
        import wandb

        if not run.exists("wandb.txt"):
            run.write("wandb.txt", secrets.token_hex(4).encode())
        self._local = tempfile.TemporaryDirectory(prefix="figclip-wandb-")
        self._run = wandb.init(
            project=project,
            id=run.read("wandb.txt").decode(),
            name=name,
            config=dotted(values),
            resume="allow",
            dir=os.environ.get("WANDB_DIR", self._local.name),  # set by who keeps offline runs
        )
        self._run.define_metric("*", step_metric="samples")

    def scalars(self, values: Mapping[str, float], samples: int) -> None:
        self._run.log({**values, "samples": samples})

    def save(self) -> None:
        """Its own process sends, or keeps, what it is told at once."""

    def close(self) -> None:
        self._run.finish()
        self._local.cleanup()


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"optim": {"lr": 1}}` → `{"optim.lr": 1}`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= dotted(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
