"""What a trial tells of itself, and how it goes through Tune."""

from dataclasses import asdict, dataclass
from typing import Any

from figclip.tuning.record import CurvePoint
from figclip.tuning.spaces import Params


@dataclass(frozen=True)
class News:
    """What a trial tells at the end of an epoch."""

    curve: tuple[CurvePoint, ...]
    """From the first epoch on."""
    seconds: float
    """That it has trained, those before a kill among them."""
    checkpoint: str
    is_over: bool = False
    """It has seen all its samples, and was judged on the test split."""
    num_cpus: float = 0.0
    num_gpus: float = 0.0
    fault: str = ""
    """Why it cannot go on."""
    params: Params | None = None
    """What it is trained with now, where that has changed on the way."""


def result_of(news: News, metric: str) -> dict[str, Any]:
    """As Tune takes it; its schedulers compare trials at equal `samples_seen`."""
    last = news.curve[-1] if news.curve else None
    found: dict[str, Any] = {"samples_seen": last.samples_seen if last else 0, "news": asdict(news)}
    if last is not None and metric in last.metrics:
        found["metric"] = last.metrics[metric]
    return found


def news_from(result: dict[str, Any]) -> News:
    values = result["news"]
    return News(**{**values, "curve": tuple(CurvePoint(**point) for point in values["curve"])})
