"""Zero-shot classes and similarity, against plain numpy."""

import base64
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from serving_fakes import MODEL, FakeEncoder, image_bytes, unit
from test_api import client_of

from figclip.serving.routes.limits import Limits, decode_image

COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250))
PICTURES = [image_bytes("PNG", color=colour) for colour in COLOURS]
URIS = [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in PICTURES]


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of(FakeEncoder())


def of_image(data: bytes) -> np.ndarray:
    return unit(decode_image(data, limits=Limits()).tobytes()).astype(np.float64)


def of_text(text: str) -> np.ndarray:
    return unit(text.encode()).astype(np.float64)


def ask(client: TestClient, path: str, **words: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/{path}", json={"model": MODEL.id, **words})
    assert answer.status_code == 200, answer.text
    return answer.json()


def expected_probabilities(prompts: list[list[str]]) -> np.ndarray:
    """The definition, in loops."""
    rows = []
    for picture in PICTURES:
        powers = []
        for of_class in prompts:
            mean = np.mean([of_text(prompt) for prompt in of_class], axis=0)
            cosine = of_image(picture) @ (mean / np.linalg.norm(mean))
            powers.append(np.exp(MODEL.logit_scale * cosine))
        rows.append(np.array(powers) / sum(powers))
    return np.array(rows)


def test_probabilities_are_the_softmax_over_ensembles_of_prompts(client: TestClient):
    templates = ["a photo of {}", "{} in {}", "nothing"]
    answer = ask(client, "zero-shot", images=URIS, classes=["red", "green"], templates=templates)
    prompts = [[one.replace("{}", name) for one in templates] for name in ("red", "green")]
    expected = expected_probabilities(prompts)
    got = np.array([item["probabilities"] for item in answer["data"]])
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    best = [("red", "green")[place] for place in expected.argmax(axis=1)]
    assert [item["label"] for item in answer["data"]] == best
    assert (answer["classes"], answer["logit_scale"]) == (["red", "green"], MODEL.logit_scale)


def test_a_class_may_have_templates_of_its_own(client: TestClient):
    classes = ["red", {"name": "green", "templates": ["leaf", "a {} field", "sea of {}"]}]
    answer = ask(client, "zero-shot", images=URIS, classes=classes, templates=["{}", "very {}"])
    expected = expected_probabilities(
        [["red", "very red"], ["leaf", "a green field", "sea of green"]]
    )
    got = np.array([item["probabilities"] for item in answer["data"]])
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_prompts_beyond_the_context_are_counted(client: TestClient):
    answer = ask(client, "zero-shot", images=URIS[:1], classes=["a", "b " * 9])
    assert answer["truncated_prompts"] == 1


def test_a_broken_image_and_an_empty_class_are_named(client: TestClient):
    body = {"model": MODEL.id, "images": [URIS[0], URIS[0][:60]], "classes": ["a", "b"]}
    answer = client.post("/v1/zero-shot", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "images[1]")
    body = {"model": MODEL.id, "images": URIS, "classes": ["a", " "]}
    answer = client.post("/v1/zero-shot", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "classes[1]")


def test_similarity_is_the_matrix_of_cosines(client: TestClient):
    left, right = ["a", {"image": URIS[0]}, "b c"], [URIS[1], "a"]
    answer = ask(client, "similarity", left=left, right=right)
    rows = [of_text("a"), of_image(PICTURES[0]), of_text("b c")]
    columns = [of_image(PICTURES[1]), of_text("a")]
    expected = [[row @ column for column in columns] for row in rows]
    np.testing.assert_allclose(answer["data"], expected, atol=1e-6)
    assert answer["usage"]["total_tokens"] == 1 + 2 + 1


def test_a_list_is_compared_with_itself(client: TestClient):
    found = np.array(ask(client, "similarity", left=["a", "b", "c"])["data"])
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found.diagonal(), 1, atol=1e-6)


def test_pairs_are_compared_each_by_itself(client: TestClient):
    answer = ask(client, "similarity", pairs=[["a", "a"], ["b", {"image": URIS[2]}]])
    expected = [1.0, of_text("b") @ of_image(PICTURES[2])]
    np.testing.assert_allclose(answer["data"], expected, atol=1e-6)
