import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from tiny import publish_tiny_encoder

from figclip.embedding.encoder import Encoder
from figclip.serving.batches.asking import ModelGone
from figclip.serving.batches.served import Served, model_card
from figclip.serving.deployments import image_call, text_call
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
    "fault",
    [
        BackPressureError(num_queued_requests=10, max_queued_requests=10),
        DeploymentUnavailableError("Texts"),
        RayActorError(),
    ],
)
def test_a_replica_that_is_full_or_gone_may_be_asked_again(fault: Exception):
    class Method:
        async def remote(self, *_: Any) -> Any:
            raise fault

    class Handle:
        embed = Method()

    for call in (text_call(Handle())(["a"], [1.0]), image_call(Handle())([b"a"], [1.0])):  # type: ignore[arg-type]
        with pytest.raises(ModelGone):
            asyncio.run(call)


def test_the_model_card_tells_what_the_encoder_is(store: Store, encoder: Encoder):
    card = model_card(Served(store.url, "tiny"))
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
