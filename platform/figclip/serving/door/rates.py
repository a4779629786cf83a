"""How much a caller may ask for in a minute: token buckets."""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveFloat

from figclip.config import Config

Kind = Literal["requests", "items", "tokens"]


class Rates(Config):
    """The most that one caller may ask for; without a number there is no limit.

    A minute's worth may come at once; after that it grows anew, evenly.
    """

    requests_per_minute: PositiveFloat | None = None
    items_per_minute: PositiveFloat | None = None
    """Texts and images."""
    tokens_per_minute: PositiveFloat | None = None
    """Of texts, counted after they were embedded: the request that goes beyond is the last one
    answered until the minute's worth has grown anew."""

    def divided(self, share: float) -> "Rates":
        """Each of several processes that see every n-th request counts by its share, 1/n."""
        parts = {name: value and value * share for name, value in self.model_dump().items()}
        return Rates(**parts)


@dataclass
class Bucket:
    """What is left of a minute's worth, which grows by `per_minute` / 60 a second.

    Whoever finds at least one left is served, even if they take more than there is: the debt has
    to grow back first. So no request is too large for ever.
    """

    per_minute: float
    left: float
    filled_at: float
    """By the clock that `wait_s` and `take` are told."""

    @property
    def capacity(self) -> float:
        return max(1.0, self.per_minute)

    def wait_s(self, now: float) -> float:
        """Seconds until one is left; 0 where one is."""
        grown = (now - self.filled_at) * self.per_minute / 60
        self.left, self.filled_at = min(self.capacity, self.left + grown), now
        return max(0.0, (1 - self.left) * 60 / self.per_minute)

    def take(self, amount: float, now: float) -> None:
        self.wait_s(now)
        self.left -= amount


class Meters:
    """The buckets of one caller."""

    def __init__(self, rates: Rates, now: float) -> None:
        limits: dict[Kind, float | None] = {
            "requests": rates.requests_per_minute,
            "items": rates.items_per_minute,
            "tokens": rates.tokens_per_minute,
        }
        self._buckets = {
            kind: Bucket(limit, max(1.0, limit), now) for kind, limit in limits.items() if limit
        }

    def wait_s(self, now: float) -> tuple[int, Kind] | None:
        """Whole seconds until a request is allowed, and what it waits for; None: now."""
        waits = [(bucket.wait_s(now), kind) for kind, bucket in self._buckets.items()]
        longest, kind = max(waits, default=(0.0, "requests"))
        return (math.ceil(longest), kind) if longest > 0 else None

    def take(self, kind: Kind, amount: float, now: float) -> None:
        if bucket := self._buckets.get(kind):
            bucket.take(amount, now)
