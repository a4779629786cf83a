import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_fakes import MODEL, FakeEncoder, image_bytes, row_of, unit
from small_index import always

from figclip.serving.page.page import search_app
from figclip.serving.protocol import ApiError, Vector
from figclip.serving.routes.api import embeddings_router, json_app
from figclip.serving.routes.comparing import comparing_router
from figclip.serving.routes.fetching import FetchConfig
from figclip.serving.routes.health import embedding_probe, health_router
from figclip.serving.routes.intake import Intake, Model, Models
from figclip.serving.routes.limits import Limits
from figclip.serving.search.search import FigureSearch

LIMITS = Limits(body_bytes=200_000, items=8, text_characters=1000, results=20)
PICTURE = f"data:image/png;base64,{base64.b64encode(image_bytes()).decode()}"


def models_of(encoder: Any) -> Models:
    return Models([Model(MODEL, encoder.embed_texts, encoder.embed_images)])


def client_of(encoder: Any) -> TestClient:
    app = json_app(
        embeddings_router(models_of(encoder), intake=Intake(LIMITS)),
        comparing_router(models_of(encoder), intake=Intake(LIMITS)),
        health_router(embedding_probe(encoder.embed_texts, encoder.embed_images)),
        title="test",
    )
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of(FakeEncoder())


@pytest.fixture(scope="module")
def searching() -> TestClient:
    encoder = FakeEncoder()
    search = FigureSearch(
        always([row_of(n) for n in range(30)]),
        encoder.embed_texts,
        encoder.embed_images,
        LIMITS,
    )
    return TestClient(search_app(search, about="", num_results=5), raise_server_exceptions=False)


def embed(client: TestClient, **values: Any) -> Any:
    return client.post("/v1/embeddings", json={"model": MODEL.id, **values})


def test_texts_and_images_come_back_in_their_order(client: TestClient):
    answer = embed(client, input=["a", PICTURE, "b c"]).json()
    assert answer["object"] == "list"
    assert answer["model"] == MODEL.id
    got = np.float32([item["embedding"] for item in answer["data"]])
    np.testing.assert_array_equal(got[[0, 2]], [unit(b"a"), unit(b"b c")])
    assert answer["usage"]["total_tokens"] == 3


def test_all_texts_of_a_request_go_to_the_encoder_together():
    encoder = FakeEncoder()
    embed(client_of(encoder), input=["a", PICTURE, "b", PICTURE, "c"])
    assert sorted(encoder.calls) == [2, 3]


def test_a_long_text_is_answered_and_said_to_be_cut(client: TestClient):
    answer = embed(client, input=["a " * 9, "a"]).json()
    assert [item["truncated"] for item in answer["data"]] == [True, False]
    assert answer["usage"]["prompt_tokens"] == 8 + 1


def test_dimensions_are_the_models_or_refused(client: TestClient):
    assert embed(client, input="a", dimensions=MODEL.dim).status_code == 200
    answer = embed(client, input="a", dimensions=8)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_dimensions")


def test_a_model_that_is_not_here_is_not_found(client: TestClient):
    for answer in (embed(client, input="a", model="gpt"), client.get("/v1/models/gpt")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_the_model_is_listed_under_the_name_that_requests_use(client: TestClient):
    [card] = client.get("/v1/models").json()["data"]
    assert card["id"] == MODEL.id
    assert client.get(f"/v1/models/{card['id']}").json() == card


def test_a_picture_that_breaks_in_the_decoder_is_named(client: TestClient):
    data = image_bytes("JPEG", (64, 64))
    broken = f"data:image/jpeg;base64,{base64.b64encode(data[: len(data) // 2]).decode()}"
    answer = embed(client, input=["a", PICTURE, broken])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input[2]")


def test_a_long_body_is_refused_by_its_length_and_by_its_bytes(client: TestClient):
    def unmeasured() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 10_000

    for body in (b" " * 300_000, unmeasured()):
        answer = client.post("/v1/embeddings", content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_long")


def test_unknown_places_and_methods_answer_in_the_same_shape(client: TestClient):
    for answer, status in ((client.get("/v2"), 404), (client.get("/v1/embeddings"), 405)):
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "invalid_request_error"


class Failing(FakeEncoder):
    """An encoder that answers as `fault` says."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault = fault

    async def embed_texts(self, texts: list[str]) -> list[Vector]:
        raise self.fault


def test_overload_says_when_to_come_back():
    answer = embed(client_of(Failing(ApiError(429, "busy", retry_after_s=3))), input="a")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.json()["error"]["type"] == "rate_limit_error"


def test_a_fault_of_the_server_tells_no_secret():
    answer = embed(client_of(Failing(RuntimeError("secret"))), input="a")
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
    assert "secret" not in answer.text


def test_liveness_and_readiness_are_apart():
    dead = client_of(Failing(RuntimeError("no model")))
    assert dead.get("/healthz").status_code == 200
    assert dead.get("/readyz").status_code == 503
    assert client_of(FakeEncoder()).get("/readyz").json() == {"status": "ready"}


def test_a_hanging_encoder_is_not_ready(monkeypatch: pytest.MonkeyPatch):
    class Hanging(FakeEncoder):
        async def embed_texts(self, texts: list[str]) -> list[Vector]:
            await asyncio.sleep(60)
            return []

    monkeypatch.setattr("figclip.serving.routes.health.READY_TIMEOUT_S", 0.05)
    assert client_of(Hanging()).get("/readyz").status_code == 503


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(PICTURE),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NEARLY_A_REQUEST = st.fixed_dictionaries(
    {"model": st.just(MODEL.id) | JSON, "input": st.text() | st.lists(st.text()) | JSON},
    optional={
        name: JSON | st.sampled_from(["float", "base64", "text", "image", 16])
        for name in ("encoding_format", "dimensions", "modality", "user", "other")
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(st.one_of(JSON, NEARLY_A_REQUEST), st.booleans())
def test_any_json_is_answered_or_refused_in_openais_shape(
    client: TestClient, body: Any, ascii_only: bool
):
    text = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    answer = client.post("/v1/embeddings", content=text)
    assert answer.status_code < 500
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert error["message"]
        assert error["type"] == "invalid_request_error"


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(
        JSON,
        st.dictionaries(st.sampled_from(["text", "pair_id", "image", "k"]), JSON | st.integers()),
    )
)
def test_any_json_is_searched_or_refused(searching: TestClient, body: Any):
    text = json.dumps(body).encode()
    assert searching.post("/api/search", content=text).status_code < 500


def test_a_search_by_text_answers_with_all_that_a_figure_is_known_by(searching: TestClient):
    results = searching.post("/api/search", json={"text": "a", "k": 2}).json()["results"]
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    first = results[0]
    number = first["pmcid"].removeprefix("PMC")
    assert first["article_url"] == f"https://pmc.ncbi.nlm.nih.gov/articles/PMC{number}/"
    assert first["doi_url"] == f"https://doi.org/10.1000/j%3C{number}%3E"
    picture = searching.get(first["image_path"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content == row_of(int(number))["thumbnail"]


def test_get_and_post_search_alike(searching: TestClient):
    posted = searching.post("/api/search", json={"text": "lung & heart"}).json()
    assert searching.get("/api/search", params={"q": "lung & heart"}).json() == posted
    assert len(posted["results"]) == 5


def test_figures_like_a_figure_leave_itself_out(searching: TestClient):
    pair_id = row_of(7)["pair_id"]
    body = searching.post("/api/search", json={"pair_id": pair_id, "k": 20}).json()
    assert len(body["results"]) == 20
    assert pair_id not in {result["pair_id"] for result in body["results"]}


def test_a_search_for_a_type_of_image_answers_with_that_type_alone():
    encoder = FakeEncoder()
    kinds = ("X-ray", "PET")
    rows = [row_of(n, image_type=kinds[n % 2]) for n in range(30)]
    search = FigureSearch(always(rows), encoder.embed_texts, encoder.embed_images, LIMITS)
    client = TestClient(search_app(search, about="", num_results=20))
    body = client.post("/api/search", json={"text": "lung", "image_type": "PET"}).json()
    assert [one["image_type"] for one in body["results"]] == ["PET"] * 15
    query = {"q": "lung", "image_type": "PET"}
    assert client.get("/api/search", params=query).json() == body
    like = {"pair_id": rows[1]["pair_id"], "image_type": "X-ray"}
    found = client.post("/api/search", json=like).json()["results"]
    assert {one["image_type"] for one in found} == {"X-ray"}


def test_a_search_for_a_type_in_an_index_without_types_is_refused(searching: TestClient):
    answer = searching.post("/api/search", json={"text": "lung", "image_type": "PET"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_image_type"
    assert "--types" in answer.json()["error"]["message"]
    assert (
        searching.post("/api/search", json={"text": "a"}).json()["results"][0]["image_type"] is None
    )


def test_an_image_is_searched_by_its_vector(searching: TestClient):
    assert len(searching.post("/api/search", json={"image": PICTURE}).json()["results"]) == 5


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"pair_id": "nothing"}, 404, "figure_not_found"),
        ({"text": "a", "k": 21}, 400, "invalid_k"),
        ({"text": " "}, 400, "empty_text"),
        ({"image": "x"}, 400, "bad_data_uri"),
        ({"image": "data:image/png;base64,QUJD"}, 400, "bad_image"),
    ],
)
def test_a_bad_search_says_why(searching: TestClient, body: dict, status: int, code: str):
    answer = searching.post("/api/search", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_count_that_is_no_number_is_refused(searching: TestClient):
    answer = searching.get("/api/search", params={"q": "a", "k": "many"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "k")


def part(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, kind: value}


@pytest.mark.parametrize(
    "words",
    [
        {"input": ["a", PICTURE, "b c"]},
        {"input": ["a", {"image": PICTURE}, {"text": "b c"}]},
        {"input": ["a", {"image": PICTURE.partition(",")[2]}, "b c"]},
        {"input": [{"text": "a"}, PICTURE, {"text": "b c"}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        part("text", "a"),
                        part("image_url", {"url": PICTURE, "detail": "low"}),
                    ],
                },
                {"content": "b c"},
            ]
        },
        {
            "messages": [
                {"content": [part("text", "a"), part("image_url", PICTURE)]},
                {"content": "b c"},
            ]
        },
    ],
)
def test_every_dialect_means_the_same(client: TestClient, words: dict):
    plain = embed(client, input=["a", PICTURE, "b c"]).json()
    assert embed(client, **words).json() == plain


@pytest.mark.parametrize("value", [PICTURE, PICTURE.partition(",")[2], [PICTURE, PICTURE]])
def test_infinitys_modality_makes_every_item_an_image(client: TestClient, value: Any):
    answer = embed(client, input=value, modality="image")
    [plain] = embed(client, input=[PICTURE]).json()["data"]
    assert [item["embedding"] for item in answer.json()["data"]] == [plain["embedding"]] * (
        len(value) if isinstance(value, list) else 1
    )


def test_a_text_that_begins_like_an_image_is_settled_by_what_it_is_said_to_be(client: TestClient):
    words = "data:image/ is how a URI begins"
    expected = unit(words.encode())
    for value in ({"input": words, "modality": "text"}, {"input": {"text": words}}):
        [item] = embed(client, **value).json()["data"]
        np.testing.assert_array_equal(np.float32(item["embedding"]), expected)
    assert embed(client, input=words).json()["error"]["code"] == "bad_data_uri"


def test_a_fault_is_named_in_the_words_of_the_dialect(client: TestClient):
    for words, param in (
        ({"input": [{"image": "x"}]}, "input[0].image"),
        ({"input": ["a", {"text": ""}]}, "input[1].text"),
        (
            {"messages": [{"content": [part("image_url", {"url": "x"})]}]},
            "messages[0].content[0].image_url.url",
        ),
    ):
        assert embed(client, **words).json()["error"]["param"] == param


def test_routes_are_there_without_v1_too(client: TestClient):
    body = {"model": MODEL.id, "input": "a"}
    assert client.post("/embeddings", json=body).json() == embed(client, input="a").json()
    assert client.get("/models").json() == client.get("/v1/models").json()


def test_a_name_without_its_version_means_the_model_that_was_made_last():
    encoders = {version: FakeEncoder() for version in ("old", "new")}
    cards = [
        replace(MODEL, id=f"encoder@{version}", created=created)
        for version, created in (("new", 20), ("old", 10))
    ]
    models = Models(
        Model(card, encoder.embed_texts, encoder.embed_images)
        for card, encoder in zip(cards, (encoders["new"], encoders["old"]), strict=True)
    )
    client = TestClient(json_app(embeddings_router(models, intake=Intake(LIMITS)), title="test"))
    for name, version in (("encoder", "new"), ("encoder@old", "old"), ("encoder@new", "new")):
        before = len(encoders[version].calls)
        answer = client.post("/v1/embeddings", json={"model": name, "input": "a"}).json()
        assert answer["model"] == f"encoder@{version}"
        assert len(encoders[version].calls) == before + 1
    listed = client.get("/v1/models").json()["data"]
    assert [(one["id"], one["version"]) for one in listed] == [
        ("encoder@new", "new"),
        ("encoder@old", "old"),
    ]
    missing = client.get("/v1/models/encoder@none")
    assert missing.status_code == 404
    assert "'encoder@new', 'encoder@old'" in missing.json()["error"]["message"]


def test_images_are_fetched_where_the_operator_allows_it_and_each_url_once(
    monkeypatch: pytest.MonkeyPatch,
):
    fetched = []

    async def fetch(url: str, **words: Any) -> bytes:
        fetched.append(url)
        return image_bytes()

    monkeypatch.setattr("figclip.serving.routes.intake.fetch_image", fetch)
    encoder = FakeEncoder()
    models = Models([Model(MODEL, encoder.embed_texts, encoder.embed_images)])
    intake = Intake(LIMITS, FetchConfig(hosts=("images.example",), per_request=2))
    client = TestClient(json_app(embeddings_router(models, intake=intake), title="test"))
    url = "https://images.example/a.png"
    answer = embed(client, input=["a", {"image": url}, PICTURE, {"image": url}]).json()
    vectors = [item["embedding"] for item in answer["data"]]
    assert vectors[1] == vectors[2] == vectors[3]
    assert fetched == [url]
    many = embed(client, input=[f"{url}?{n}" for n in range(3)], modality="image")
    assert many.json()["error"]["code"] == "too_many_urls"
    assert embed(client, input=url).json()["error"]["code"] == "url_not_fetched"


def test_what_cannot_be_read_as_json_is_told_so(client: TestClient):
    body = b'{"model": "encoder@tiny", "input": "a"}'
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        answer = client.post("/v1/embeddings", content=body, headers=headers)
        assert answer.status_code == 415
        assert "Content-Type: application/json" in answer.json()["error"]["remedy"]
    for kind in ("application/json; charset=UTF-8", "application/vnd.figclip+json"):
        answer = client.post("/v1/embeddings", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 200


def test_a_method_that_is_not_there_names_those_that_are(client: TestClient):
    answer = client.put("/v1/embeddings")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_many_who_ask_whether_it_is_ready_cost_one_probe():
    encoder = FakeEncoder()
    client = client_of(encoder)
    assert {client.get("/readyz").status_code for _ in range(5)} == {200}
    assert encoder.calls == [1, 1]
