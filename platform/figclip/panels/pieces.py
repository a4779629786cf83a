"""Pieces of work through Ray Data: each is done whole, and one that cannot be is named."""

import logging
import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import ray
import ray.data
from ray import cloudpickle
from ray.exceptions import RayError

from figclip.config import UsageError
from figclip.resources import is_joined_cluster, require_resources
from figclip.tasks import Workers

log = logging.getLogger(__name__)

P = TypeVar("P")

MOST_DEATHS = 3
"""Processes or machines lost at one piece, after which it is given up."""

MOST_NAMED = 5
"""Pieces that an error names."""


class PoisonError(RuntimeError):
    """Pieces that raised what nobody foresaw, or killed the process that worked on them."""


def run_pieces(
    task: Callable[[P], Any], pieces: Mapping[str, P], workers: Workers
) -> Iterator[str]:
    """The names of the pieces as they are done, in any order; `task` keeps what it makes.

    Every piece is a block of its own, so that one is done again, and no other, where a process or
    a machine is lost, `MOST_DEATHS` times at most; a task must bear that. A `UsageError` or
    `OSError` is raised as it was. Of any other fault the piece is named by a `PoisonError`, after
    all others were done: called again with what is left, the work goes on from there.
    """
    if not pieces:
        return
    require_resources(
        {"CPU": workers.num_cpus_per_task},
        ray.cluster_resources(),
        remedies={"CPU": "set a smaller --cpus-per-task"},
        can_grow=is_joined_cluster(os.environ),
    )
    left, poison = dict.fromkeys(pieces), list[str]()
    try:
        for name, fault in _answers(task, pieces, workers):
            del left[name]
            if fault is None:
                yield name
            elif isinstance(fault, PoisonError):
                log.error("%s cannot be split:\n%s", name, fault)
                poison.append(f"{name} ({str(fault).splitlines()[-1]})")
            else:
                raise fault
    except RayError as error:
        # Blocks start in their order, so that the oldest unfinished ones were under way.
        suspects = ", ".join(islice(left, min(workers.max_tasks, MOST_NAMED)))
        raise PoisonError(f"the work on one of {suspects} killed its process") from error
    if poison:
        said = f"{len(poison)} of {len(pieces)} cannot be split, all others are: "
        raise PoisonError(said + "; ".join(poison[:MOST_NAMED]))


def _answers(
    task: Callable[[P], Any], pieces: Mapping[str, P], workers: Workers
) -> Iterator[tuple[str, Exception | None]]:
    """The name of each piece as it is done, with its fault if it has one."""
    rows = [{"name": name, "piece": pickle.dumps(piece)} for name, piece in pieces.items()]
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        partial(_answer, pickled=cloudpickle.dumps(task)),
        num_cpus=workers.num_cpus_per_task,
        compute=ray.data.TaskPoolStrategy(size=min(workers.max_tasks, len(rows))),
        max_retries=MOST_DEATHS - 1,  # without it Ray Data would try for ever
    )
    done.context.enable_progress_bars = False
    for row in done.iter_rows():
        yield row["name"], pickle.loads(row["fault"])


def _answer(row: dict[str, Any], pickled: bytes) -> dict[str, Any]:
    """Nothing is raised: Ray Data would end the whole run with it, and name no piece."""
    fault: Exception | None = None
    try:
        pickle.loads(pickled)(pickle.loads(row["piece"]))
    except (UsageError, OSError) as error:
        fault = error
    except Exception:
        fault = PoisonError(traceback.format_exc().strip())
    return {"name": row["name"], "fault": pickle.dumps(fault)}
