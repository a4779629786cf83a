"""A group of workers of Ray Train, from its start to its end."""

import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

from ray.exceptions import RayActorError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError
from ray.train.v2.api.result import Result

from figclip.config import UsageError

log = logging.getLogger(__name__)

MOST_RESTARTS = 2
"""Of a group of workers that loses one before its work begins."""


class Trainer(Protocol):
    """One of Ray Train's."""

    def fit(self) -> Any: ...


def trained(made: Callable[[], Trainer]) -> Result:
    """What a trainer's workers end with; it is made anew where its group is.

    A group that loses a worker just when it is told its work is started anew: there Ray Train,
    which does so before and after, gives the run up. A worker's `UsageError` or `OSError` is raised
    as it was.
    """
    for _ in range(MOST_RESTARTS):
        try:
            return _trained(made())
        except ControllerError as error:
            if not isinstance(error.controller_failure, RayActorError):
                raise
            log.warning("a worker was lost while the group started, which starts again: %s", error)
    return _trained(made())


def _trained(trainer: Trainer) -> Result:
    try:
        return cast(Result, trainer.fit())
    except WorkerGroupError as error:
        for failure in error.worker_failures.values():
            if isinstance(failure, UsageError | OSError):
                raise failure from error
        raise
