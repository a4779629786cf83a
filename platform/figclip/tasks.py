"""Many like pieces of work on Ray Data: one function, a value for each item, faults as they are."""

import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import ray
import ray.data
from ray.data._internal.execution.execution_callback import ExecutionCallback

from figclip.config import UsageError
from figclip.resources import is_joined_cluster, require_resources

I = TypeVar("I")  # noqa: E741
V = TypeVar("V")

MOST_BLOCKS = 2_000
"""Tasks of one run; with more items than that, a task does several."""

PAUSE_S = 0.02


class Paced(ExecutionCallback):
    """Lets the control loop of Ray Data rest between its rounds.

    While every task is at work, or waits for its output to be consumed, the loop of Ray 2.60 goes
    round without a pause. It then takes CPU, and the interpreter's lock, from whatever the process
    is there for; on a small machine, from the tasks themselves.
    """

    def on_execution_step(self, executor: object) -> None:
        time.sleep(PAUSE_S)


@dataclass(frozen=True)
class Workers:
    """What a run may take of the cluster."""

    num_cpus_per_task: float
    """Logical CPUs of one task: less than one where it mostly waits for the network."""
    max_tasks: int
    """Tasks at work at once."""


def run_tasks(task: Callable[[I], V], items: Sequence[I], workers: Workers) -> Iterator[V]:
    """What `task` gives for each item, as the tasks come to their ends, in any order.

    Task, items and values travel by pickle. A process or a machine that is lost costs nothing but
    time: its items are done again, so that a task must bear that. A `UsageError` or `OSError` of a
    task is raised here as it was, when its turn comes; anything else as Ray wraps it.
    """
    if not items:
        return
    require_resources(
        {"CPU": workers.num_cpus_per_task},
        ray.cluster_resources(),
        remedies={"CPU": "set a smaller --cpus-per-task"},
        can_grow=is_joined_cluster(os.environ),
    )
    ray.data.DataContext.get_current().enable_progress_bars = False  # the log tells it
    rows = [{"item": pickle.dumps(item)} for item in items]
    num_blocks = min(len(rows), MOST_BLOCKS)
    done = ray.data.from_items(rows, override_num_blocks=num_blocks).map(
        _Guarded(task).answer,
        num_cpus=workers.num_cpus_per_task,
        compute=ray.data.TaskPoolStrategy(size=min(workers.max_tasks, num_blocks)),
    )
    done.context.custom_execution_callback_classes = [Paced]
    for row in done.iter_rows():
        if row["fault"]:
            raise pickle.loads(row["fault"])
        yield pickle.loads(row["value"])


@dataclass(frozen=True)
class _Guarded(Generic[I, V]):
    """A task whose faults that a person can mend come back as values.

    Ray would wrap them, and leave their class and number behind.
    """

    task: Callable[[I], V]

    def answer(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"value": pickle.dumps(self.task(pickle.loads(row["item"]))), "fault": b""}
        except (UsageError, OSError) as error:
            return {"value": b"", "fault": pickle.dumps(error)}
