"""The folder of an unfinished run: who may resume it, what is cleared, what a kill tore."""

import json
import logging
from typing import Any

from figclip.config import UsageError
from figclip.store import Folder
from figclip.training.rank import CHECKPOINTS

log = logging.getLogger(__name__)

RUN_FILE = "run.json"
SNAPSHOT = "checkpoint_manager_snapshot.json"
"""Ray Train's list of the checkpoints of a run."""


def clear_leftovers(run: Folder, record: dict[str, Any]) -> None:
    """Delete the folder of that very run, which was killed after it had published."""
    if run.exists(RUN_FILE) and record.items() <= json.loads(run.read(RUN_FILE)).items():
        log.info("clearing %s: its encoder is published", run.path)
        run.clear()


def find_run(run: Folder, record: dict[str, Any]) -> None:
    """Leave in the folder what is of the same run, to be resumed; delete what is of none.

    `UsageError` where another run has it.
    """
    if not run.exists(RUN_FILE):
        run.clear()
        return
    found = json.loads(run.read(RUN_FILE))
    differing = [name for name in record if found.get(name) != record[name]]
    if differing:
        raise UsageError(
            f"an unfinished run in {run.path} has another {' and '.join(differing)}: run it with "
            f"what its {RUN_FILE} says to resume it, take a new version, or delete that folder"
        )
    forget_torn_snapshot(run / CHECKPOINTS)
    log.info("resuming the run in %s", run.path)


def claim(run: Folder, record: dict[str, Any]) -> None:
    """From now on the folder is of that run: last of all, so that one that is refused has none."""
    if not run.exists(RUN_FILE):
        run.write(RUN_FILE, json.dumps(record, indent=1).encode())


def forget_torn_snapshot(run: Folder) -> None:
    """Delete Ray Train's list of checkpoints where it is half a file, on which no run could start.

    Ray Train writes it in place. Without it, the workers look for the newest checkpoint themselves.
    """
    if not run.exists(SNAPSHOT):
        return
    try:
        json.loads(run.read(SNAPSHOT))
    except ValueError as error:
        log.warning("%s/%s is torn and deleted (%s)", run.path, SNAPSHOT, error)
        run.fs.delete_file(f"{run.path}/{SNAPSHOT}")
