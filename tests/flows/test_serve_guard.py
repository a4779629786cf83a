"""What guards a service on Ray: where it listens, what it counts."""

from types import SimpleNamespace

import pytest

from figclip.config import UsageError
from figclip.serving.door import listening
from figclip.serving.meter import MEASURES
from figclip.serving.ray_meter import RayMeter

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120), pytest.mark.usefixtures("ray_cluster")]


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3"])
def test_a_service_beyond_loopback_is_refused_without_keys(
    host: str, monkeypatch: pytest.MonkeyPatch
):
    client = SimpleNamespace(http_config=SimpleNamespace(host=host))
    monkeypatch.setattr(listening, "_get_global_client", lambda **_: client)
    with pytest.raises(UsageError, match=r"serve_apps\.keys add"):
        listening.refuse_exposed_here(has_keys=False)
    listening.refuse_exposed_here(has_keys=True)


def test_where_nothing_listens_yet_nothing_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listening, "_get_global_client", lambda **_: None)
    listening.refuse_exposed_here(has_keys=False)


def test_ray_takes_every_measure():
    meter = RayMeter()
    for name, measure in MEASURES.items():
        tags = dict.fromkeys(measure.tags, "some")
        match measure.kind:
            case "counter":
                meter.count(name, 2, **tags)
                meter.count(name, 0, **tags)
            case "histogram":
                meter.observe(name, 3.5, **tags)
            case "gauge":
                meter.level(name, 1, **tags)
