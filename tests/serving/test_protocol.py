import base64
import json

import numpy as np
import pytest

from figclip.serving.protocol import (
    ApiError,
    SearchRequest,
    Vector,
    parse_request,
)
from figclip.serving.routes.answers import embeddings_body
from figclip.serving.routes.dialects import EmbeddingsRequest


def request_of(**values: object) -> EmbeddingsRequest:
    return parse_request(EmbeddingsRequest, json.dumps({"model": "m", **values}).encode())


def test_a_single_text_is_a_list_of_one():
    assert request_of(input="a").input == request_of(input=["a"]).input == ["a"]


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]], [[]]])
def test_token_arrays_are_refused_in_words(tokens: list):
    with pytest.raises(ApiError, match="token arrays are not supported") as caught:
        request_of(input=tokens)
    assert (caught.value.status, caught.value.param) == (400, "input")


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": {"text": "a", "image": "b"}}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({}, "input"),
        ({"input": "a", "model": 3}, "model"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": "16"}, "dimensions"),
        ({"input": "a", "dimensions": True}, "dimensions"),
        ({"input": "a", "modality": "sound"}, "modality"),
        ({"input": "a", "inputs": "a"}, "inputs"),
    ],
)
def test_a_fault_of_the_request_names_its_place(values: dict, param: str):
    with pytest.raises(ApiError) as caught:
        request_of(**values)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert set(caught.value.body()["error"]) == {"message", "type", "param", "code", "remedy"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"model": "m", "input": "\\ud800"}',
        b'{"model": "m", "input": "a", "dimensions": NaN}',
        b'{"model": "m", "input": "a", "dimensions": 1e999}',
        b'{"model": "m", "input": "a", "dimensions": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_request_is_refused(body: bytes):
    with pytest.raises(ApiError) as caught:
        parse_request(EmbeddingsRequest, body)
    assert caught.value.status == 400


def test_an_error_never_repeats_what_was_sent():
    with pytest.raises(ApiError) as caught:
        request_of(input=["a", 12], user="canary", model="canary", dimensions="canary")
    assert "canary" not in json.dumps(caught.value.body())


@pytest.mark.parametrize("values", [{}, {"hybrid": True, "licenses": ["CC0"]}])
def test_a_search_has_a_query(values: dict):
    with pytest.raises(ApiError, match="needs one of"):
        parse_request(SearchRequest, values)


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"weights": {"text": -1}}, "weights.text"),
        ({"weights": {"image": float("inf")}}, "weights.image"),
        ({"first_year": 10_000}, "first_year"),
        ({"parts": ["half"]}, "parts.0"),
        ({"journals": ["x" * 501]}, "journals.0"),
        ({"licenses": ["x"] * 101}, "licenses"),
        ({"page": 0}, "page"),
        ({"vector": []}, "vector"),
    ],
)
def test_a_search_beyond_the_bounds_is_refused_by_name(values: dict, param: str):
    with pytest.raises(ApiError) as refused:
        parse_request(SearchRequest, {"text": "a", **values})
    assert (refused.value.param or "").startswith(param)


def test_base64_is_little_endian_float32_of_the_same_numbers():
    values = np.array([1 / 3, -2e-30, 1.5], dtype=np.float32)
    as_text, as_numbers = (
        embeddings_body(request_of(input="a", encoding_format=way), [Vector(values, 3)], model="m")
        for way in ("base64", "float")
    )
    decoded = np.frombuffer(base64.b64decode(as_text["data"][0]["embedding"]), "<f4")
    np.testing.assert_array_equal(decoded, values)
    np.testing.assert_array_equal(np.float32(as_numbers["data"][0]["embedding"]), values)


def test_the_answer_keeps_the_order_and_adds_up_the_tokens():
    vectors = [
        Vector(np.eye(2, dtype=np.float32)[0], 4, True),
        Vector(np.eye(2, dtype=np.float32)[1]),
    ]
    body = embeddings_body(request_of(input=["a", "b"]), vectors, model="m")
    assert [item["index"] for item in body["data"]] == [0, 1]
    assert [item["truncated"] for item in body["data"]] == [True, False]
    assert [item["embedding"] for item in body["data"]] == [[1, 0], [0, 1]]
    assert body["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
