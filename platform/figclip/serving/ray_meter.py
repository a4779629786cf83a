"""The numbers of `figclip.serving.meter` as Ray's metrics, which every node shows to Prometheus."""

from typing import Any

from ray.util import metrics

from figclip.serving.meter import MEASURES, Measure


class RayMeter:
    """Numbers of this process; Prometheus adds up those of all."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {name: _metric(name, one) for name, one in MEASURES.items()}

    def count(self, name: str, amount: float = 1, **tags: str) -> None:
        if amount > 0:
            self._kept[name].inc(amount, tags=tags)

    def observe(self, name: str, value: float, **tags: str) -> None:
        self._kept[name].observe(value, tags=tags)

    def level(self, name: str, value: float, **tags: str) -> None:
        self._kept[name].set(value, tags=tags)


def _metric(name: str, measure: Measure) -> metrics.Metric:
    match measure.kind:
        case "counter":
            return metrics.Counter(name, measure.about, tag_keys=measure.tags)
        case "gauge":
            return metrics.Gauge(name, measure.about, tag_keys=measure.tags)
        case "histogram":
            return metrics.Histogram(
                name, measure.about, boundaries=[*measure.bounds], tag_keys=measure.tags
            )
