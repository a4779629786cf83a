"""Many like pieces of work on Ray: one function, a value for each item, faults as they are.

Plain tasks of Ray and not its Data library: a piece takes seconds to minutes and its value is
small, so that nothing is gained by streaming blocks; but every worker would have to import that
library, and two actors of its own would run beside them.
"""

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import ray

from figclip.config import UsageError
from figclip.resources import is_joined_cluster, require_resources

I = TypeVar("I")  # noqa: E741
V = TypeVar("V")


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
    answer = ray.remote(_answer).options(
        name=getattr(getattr(task, "func", task), "__name__", "task"),
        num_cpus=workers.num_cpus_per_task,
        max_retries=-1,  # of what died with its worker or machine, not of what raised
        scheduling_strategy="SPREAD",
    )
    pickled, left = ray.put(pickle.dumps(task)), iter(items)
    under_way = [answer.remote(pickled, item) for item in islice(left, workers.max_tasks)]
    try:
        while under_way:
            (ended,), under_way = ray.wait(under_way, num_returns=1)
            under_way += [answer.remote(pickled, item) for item in islice(left, 1)]
            value, fault = ray.get(ended)
            if fault is not None:
                raise pickle.loads(fault)
            yield value
    finally:
        for unwanted in under_way:
            ray.cancel(unwanted)


def _answer(pickled: bytes, item: Any) -> tuple[Any, bytes | None]:
    """A task's value, or its fault, if it is one that a person can mend.

    Ray would wrap it, and leave its class and number behind.
    """
    try:
        return pickle.loads(pickled)(item), None
    except (UsageError, OSError) as error:
        return None, pickle.dumps(error)
