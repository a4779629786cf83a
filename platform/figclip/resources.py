"""What a cluster must hold before work is sent to it: what never fits would wait for ever."""

import logging
from collections.abc import Mapping

from figclip.config import UsageError

log = logging.getLogger(__name__)


def require_resources(
    needed: Mapping[str, float],
    there: Mapping[str, float],
    *,
    remedies: Mapping[str, str],
    can_grow: bool,
) -> None:
    """`UsageError` with the remedy of the resource (`CPU`, `GPU`) of which the cluster lacks some.

    `there` is all that the cluster has, in use or not. One that can grow is only warned of, for
    its autoscaler may bring the rest.
    """
    for name, amount in needed.items():
        if amount <= there.get(name, 0):
            continue
        fault = f"the work needs {amount:g} {name}s and the cluster has {there.get(name, 0):g}"
        if not can_grow:
            raise UsageError(f"{fault}: {remedies[name]}")
        log.warning("%s: unless it grows, this waits for ever; %s", fault, remedies[name])


def require_device(name: str) -> None:
    """`UsageError` where torch sees no such device in this process."""
    import torch  # seconds to import, and for this question alone

    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name}: torch sees {torch.cuda.device_count()} GPUs here; use the device cpu, "
            f"or a machine with a GPU and its driver"
        )


def is_joined_cluster(environ: Mapping[str, str]) -> bool:
    """Whether Ray was there before, where a process finds it by `RAY_ADDRESS` (jobs get it so).

    A Ray that a process starts for itself has no autoscaler; of others nobody here can tell.
    """
    return bool(environ.get("RAY_ADDRESS"))
