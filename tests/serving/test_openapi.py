"""The document of the API is true: schemathesis makes requests by it and judges the answers."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from serving_fakes import MODEL, FakeEncoder, image_bytes

from figclip.serving.door.door import Entrance
from figclip.serving.door.keys import KeyFile, KeyRing, new_key, write_keys
from figclip.serving.routes.api import embeddings_router, json_app
from figclip.serving.routes.comparing import comparing_router
from figclip.serving.routes.health import embedding_probe, health_router
from figclip.serving.routes.intake import Intake, Model, Models

PICTURES = [
    f"data:image/x;base64,{base64.b64encode(image_bytes(kind)).decode()}"
    for kind in ("JPEG", "PNG", "GIF")
]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40).filter(
    lambda text: text.strip() and not text.lower().startswith(("data:", "http"))
)
EXPECTED = {
    "POST /v1/embeddings",
    "POST /v1/zero-shot",
    "POST /v1/similarity",
    "GET /v1/models",
    "GET /v1/models/{model_id}",
    "GET /healthz",
    "GET /readyz",
}

WITHOUT_PARAMETERS = ("/healthz", "/readyz")
"""Nothing can be wrong with a request for these."""

schemathesis.openapi.format("image", st.sampled_from(PICTURES))
schemathesis.openapi.format("text", TEXTS)
schemathesis.openapi.format("text-or-image", TEXTS | st.sampled_from(PICTURES))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    one, text = new_key("test", scopes=["embed"], now=datetime.now(UTC))
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    write_keys(path, KeyFile(keys=(one,)))
    return path, {"Authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
def operations(key: tuple[Path, dict[str, str]]) -> dict[str, Any]:
    encoder = FakeEncoder()
    models = Models([Model(MODEL, encoder.embed_texts, encoder.embed_images)])
    app = json_app(
        embeddings_router(models, intake=Intake()),
        comparing_router(models, intake=Intake()),
        health_router(embedding_probe(encoder.embed_texts, encoder.embed_images)),
        title="figclip embeddings",
        entrance=Entrance(keys=KeyRing(key[0])),
    )
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{one.method.upper()} {one.path}": one for one in found}


def test_every_route_is_in_the_document(operations: dict[str, Any]):
    assert set(operations) == EXPECTED


def is_beyond_a_schema(case: Case) -> bool:
    """No JSON Schema says that strings are images where `modality` does; and schemathesis takes any
    string that it made without our strategy for one that violates our `format`."""
    told = (case.meta.phase.data.description if case.meta else None) or ""
    is_image = isinstance(case.body, dict) and case.body.get("modality") == "image"
    return is_image or "`format`" in told


def check(operation: Any, headers: dict[str, str], *, num_examples: int) -> None:
    """All of schemathesis's checks, on requests by the document and on others."""
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode == GenerationMode.NEGATIVE and operation.path in WITHOUT_PARAMETERS:
            continue
        strategy = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=num_examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def judge(case: Case) -> None:
            if not is_beyond_a_schema(case):
                case.call_and_validate(headers=headers)

        judge()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_document_is_true(
    name: str, operations: dict[str, Any], key: tuple[Path, dict[str, str]]
):
    check(operations[name], key[1], num_examples=20)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_document_is_true_a_thousand_times(
    name: str, operations: dict[str, Any], key: tuple[Path, dict[str, str]]
):
    check(operations[name], key[1], num_examples=1_000)
