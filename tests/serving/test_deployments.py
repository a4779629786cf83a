import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from tiny import publish_tiny_encoder

from figclip.embedding.encoder import Encoder
from figclip.serving.deployments import calls_of, model_card
from figclip.serving.protocol import ApiError
from figclip.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("artifacts"))
    publish_tiny_encoder(store, "tiny")
    return store


@pytest.fixture(scope="module")
def encoder(store: Store) -> Encoder:
    return Encoder.open(store.open("encoder", "tiny"), device="cpu")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (BackPressureError(num_queued_requests=10, max_queued_requests=10), 429),
        (DeploymentUnavailableError("Encoder"), 503),
    ],
)
def test_a_full_or_lost_encoder_is_said_with_a_time_to_come_back(fault: Exception, status: int):
    class Method:
        async def remote(self, _: Any) -> Any:
            raise fault

    class Handle:
        embed_texts = embed_images = Method()

    for call in calls_of(Handle()):  # type: ignore[arg-type]
        with pytest.raises(ApiError) as caught:
            asyncio.run(call(["a"]))
        assert caught.value.status == status
        assert caught.value.retry_after_s


def test_the_model_card_tells_what_the_encoder_is(store: Store, encoder: Encoder):
    card = model_card(store, "tiny")
    assert (card.id, card.dim, card.context_length) == (
        encoder.name,
        encoder.dim,
        encoder.context_length,
    )
    assert card.created > 1_700_000_000


def test_the_gateways_start_without_torch():
    code = "import figclip.serving.deployments, sys; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
