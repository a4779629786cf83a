"""What all entry points do alike: read the command line, log, join Ray, answer for errors."""

import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

import ray
from pydantic import PositiveFloat, PositiveInt
from ray.exceptions import RayTaskError

from figclip.config import Config, UsageError, config_from_args
from figclip.log import configure_logging
from figclip.store import Store, clear_disk_errors

log = logging.getLogger(__name__)


class Job(Config):
    """What every job is told beside its own work."""

    store: str = "./artifacts"
    """Where artifacts are read and published: a folder, or `s3://bucket/prefix`."""
    log: Literal["text", "json"] = "text"
    """How log lines are written."""
    local_cpus: PositiveInt | None = None
    """Logical CPUs of the Ray that the job starts for itself; unset: the machine's, at least two.
    Without meaning where the job joins a running cluster."""
    object_store_mb: PositiveFloat = 1024.0
    """Shared memory of the Ray that the job starts for itself."""


J = TypeVar("J", bound=Job)


Presets = Mapping[str, J] | Callable[[Sequence[str]], Mapping[str, J]]
"""The presets, or what finds them for a command line."""


def run(presets: Presets[J], main: Callable[[J], object], name: str) -> None:
    """`python -m jobs.NAME ...`: exit code 0, or 2 with one sentence that names the remedy."""
    args = sys.argv[1:]
    try:
        named = presets(args) if callable(presets) else presets
        config = config_from_args(named, args, f"python -m jobs.{name}")
        configure_logging(config.log)
        with clear_disk_errors(config.store):
            main(config)
    except UsageError as error:
        sys.exit(_complain(name, error))
    except RayTaskError as error:
        cause = error.as_instanceof_cause()
        if isinstance(cause, UsageError):
            sys.exit(_complain(name, cause))
        raise


def _complain(name: str, error: Exception) -> int:
    print(f"jobs.{name}: {error}", file=sys.stderr)
    return 2


@contextmanager
def joined_ray(config: Job) -> Iterator[None]:
    """The cluster that the environment names (`ray job submit` does so), else a Ray of its own."""
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=True)
        if "://" not in config.store and not Path(config.store).is_absolute():
            log.warning(
                "--store %s is relative: on a cluster it lies in the job's own copy of the working "
                "directory, which goes with it; name a folder or bucket that every machine sees",
                config.store,
            )
    else:
        ray.init(
            address="local",
            num_cpus=config.local_cpus or max(2, os.cpu_count() or 2),
            object_store_memory=int(config.object_store_mb * 2**20),
            include_dashboard=True,
            logging_level=logging.WARNING,
        )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()


def command_of(job: str, preset: str, config: Config, usual: Config) -> str:
    """The words that make this config: the preset, and every value that is not `usual`."""
    words = ["python", "-m", f"jobs.{job}", preset]
    theirs = dict(_flat(usual.model_dump(mode="json")))
    for name, value in _flat(config.model_dump(mode="json")):
        if value != theirs.get(name):
            values = value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def keep_config(store: Store, name: str, version: str, job: str, config: Job) -> None:
    """Lay the resolved config beside the artifact that it made, as `_jobs.{job}.json`.

    `python -m jobs.{job} that/_jobs.{job}.json` runs it again. The first one stays: a rerun that
    found the artifact published did not make it.
    """
    folder, file = store.folder(name, version), f"_jobs.{job}.json"
    if not folder.exists(file):
        folder.write(file, config.to_json().encode())
