"""What is counted while serving: names, words, and where the numbers go."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal, Protocol

Kind = Literal["counter", "histogram", "gauge"]

MILLISECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 3e4)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass(frozen=True)
class Measure:
    """A number that is kept over time."""

    kind: Kind
    about: str
    tags: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets."""


MEASURES = {
    "figclip_requests": Measure("counter", "Requests answered.", ("route", "status", "key")),
    "figclip_request_ms": Measure(
        "histogram",
        "Milliseconds from a request's headers to its answer.",
        ("route",),
        MILLISECONDS,
    ),
    "figclip_stage_ms": Measure(
        "histogram", "Milliseconds of a part of the work.", ("stage",), MILLISECONDS
    ),
    "figclip_running_requests": Measure("gauge", "Requests that are being answered now."),
    "figclip_rejections": Measure(
        "counter", "Requests refused, by their error's code.", ("reason",)
    ),
    "figclip_items": Measure("counter", "Texts and images embedded.", ("kind",)),
    "figclip_tokens": Measure("counter", "Tokens read of texts."),
    "figclip_batch_items": Measure(
        "histogram", "Items that shared a batch of the model.", ("kind",), SIZES
    ),
    "figclip_queued_items": Measure("gauge", "Items that wait for the model.", ("kind",)),
    "figclip_cache": Measure(
        "counter", "Items looked up: hit, miss, or joined to one in flight.", ("kind", "outcome")
    ),
}


class Meter(Protocol):
    """Where numbers go. The names, and the tags that each needs, are those of `MEASURES`."""

    def count(self, name: str, amount: float = 1, **tags: str) -> None: ...

    def observe(self, name: str, value: float, **tags: str) -> None: ...

    def level(self, name: str, value: float, **tags: str) -> None: ...


@dataclass
class PlainMeter:
    """Numbers of this process alone, by name and tags in the order of `MEASURES`."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    values: defaultdict[tuple[str, ...], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )
    levels: dict[tuple[str, ...], float] = field(default_factory=dict)

    def count(self, name: str, amount: float = 1, **tags: str) -> None:
        self.counts[_place(name, tags)] += amount  # type: ignore[assignment]  # a Counter of floats

    def observe(self, name: str, value: float, **tags: str) -> None:
        self.values[_place(name, tags)].append(value)

    def level(self, name: str, value: float, **tags: str) -> None:
        self.levels[_place(name, tags)] = value


class NoMeter:
    """Keeps nothing."""

    def count(self, name: str, amount: float = 1, **tags: str) -> None: ...

    def observe(self, name: str, value: float, **tags: str) -> None: ...

    def level(self, name: str, value: float, **tags: str) -> None: ...


def _place(name: str, tags: dict[str, str]) -> tuple[str, ...]:
    """A `KeyError` where a tag is missing."""
    return (name, *(tags[tag] for tag in MEASURES[name].tags))
