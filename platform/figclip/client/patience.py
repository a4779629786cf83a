"""How long a failed request waits before its next try, and when it is given up."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRIED = frozenset({408, 429, 502, 503, 504})
"""Statuses that may pass: not answered in time, too many requests, servers that are starting, full
or gone."""


@dataclass(frozen=True)
class Patience:
    """Waits grow twofold and are drawn at random, so that clients do not come back all at once."""

    deadline_s: float = 120.0
    """Of one request, all its tries and the waits between them."""
    first_wait_s: float = 0.25
    """After the first failure, where the server does not say how long."""
    longest_wait_s: float = 15.0
    """Where the server does not say how long."""

    def wait_s(self, num_failed: int, *, retry_after_s: float | None, luck: float) -> float:
        """Before the next try, `num_failed` (from 1 on) having failed; `luck` is in [0, 1).

        What the server asks for is the least, and up to a quarter is added to it.
        """
        if retry_after_s is not None:
            return retry_after_s * (1 + luck / 4)
        doublings = min(num_failed - 1, 30)
        return min(self.first_wait_s * 2**doublings, self.longest_wait_s) * (0.5 + luck / 2)


def retry_after_s(header: str | None, *, now: Callable[[], datetime]) -> float | None:
    """Seconds of a `Retry-After`, a number or a date (RFC 9110, 10.2.3); None of anything else."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now()).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
