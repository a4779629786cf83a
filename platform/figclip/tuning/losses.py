"""A trial whose process Ray ends for want of memory is lost like any other; the sweep goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError


@contextmanager
def memory_is_a_loss() -> Iterator[None]:
    """Within it Tune is told of an actor that died, where it would be told of the memory.

    Tune knows actors that died and tasks that raised. An `OutOfMemoryError` is neither, and the
    first one ends the driver of Ray 2.60: all trials for the sake of one. There is no public way to
    tell Tune otherwise.
    """
    manages: Any = RayActorManager
    plain = manages._actor_task_failed

    def told(manager: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=str(exception))
        plain(manager, tracked_actor_task=tracked_actor_task, exception=exception)

    manages._actor_task_failed = told
    try:
        yield
    finally:
        manages._actor_task_failed = plain
