"""The client against a really running service."""

import base64
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from serving_fakes import DIM, MODEL, FakeEncoder, image_bytes, unit

from figclip.client import Client, ServiceError
from figclip.serving.routes.api import embeddings_router, json_app
from figclip.serving.routes.comparing import comparing_router
from figclip.serving.routes.intake import Intake, Model, Models
from figclip.serving.routes.limits import Limits, decode_image
from jobs.served_here import served_here

LIMITS = Limits(body_bytes=200_000, items=16)


@pytest.fixture(scope="module")
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture(scope="module")
def url(encoder: FakeEncoder) -> Iterator[str]:
    models = Models([Model(MODEL, encoder.embed_texts, encoder.embed_images)])
    routers = [
        embeddings_router(models, intake=Intake(LIMITS)),
        comparing_router(models, intake=Intake(LIMITS)),
    ]
    with served_here(json_app(*routers, title="test")) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, batch_items=4) as client:
        yield client


def of_picture(data: bytes) -> np.ndarray:
    """What `FakeEncoder` makes of it."""
    return unit(decode_image(data, limits=Limits()).tobytes())


def test_texts_paths_bytes_and_pillows_images_come_back_in_their_order(
    client: Client, tmp_path: Path
):
    jpeg, png = image_bytes("JPEG"), image_bytes("PNG", color=(1, 2, 3))
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg)
    items = ["one", path, png, "two words", Image.open(io.BytesIO(png)), "three"]
    expected = [b"one", jpeg, png, b"two words", png, b"three"]
    found = client.embed(items)
    assert found.vectors.dtype == np.float32
    for vector, item, data in zip(found.vectors, items, expected, strict=True):
        of_text = isinstance(item, str)
        np.testing.assert_array_equal(vector, unit(data) if of_text else of_picture(data))


def test_many_batches_side_by_side_keep_the_order(client: Client, encoder: FakeEncoder):
    texts = [f"text {n}" for n in range(101)]
    encoder.calls.clear()
    found = client.embed(iter(texts)).vectors
    np.testing.assert_array_equal(found, [unit(text.encode()) for text in texts])
    assert sorted(encoder.calls) == [1] + [4] * 25


def test_a_cut_text_is_said_to_be_cut(client: Client):
    assert client.embed(["short", "a " * 20]).truncated.tolist() == [False, True]


def test_nothing_is_embedded_as_nothing(client: Client):
    assert len(client.embed([]).vectors) == 0


def test_texts_that_look_like_pictures_or_addresses_are_texts(client: Client):
    for text in ("data:image/png;base64,AAAA", "https://example.org/a.png"):
        np.testing.assert_array_equal(client.embed([text]).vectors[0], unit(text.encode()))


def test_what_is_too_large_together_is_divided(url: str):
    noise = np.random.default_rng(0).integers(0, 255, (6, 120, 120, 3), np.uint8)
    pictures = [Image.fromarray(each) for each in noise]
    with Client(url, batch_items=64) as client:  # six of them are more than the server takes
        found = client.embed(pictures).vectors
    for vector, picture in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(vector, unit(picture.tobytes()))


def test_more_items_than_a_request_may_carry_are_an_error_that_says_so(url: str):
    with Client(url, batch_items=64) as client, pytest.raises(ServiceError) as caught:
        client.embed(["x"] * 40)
    assert (caught.value.status, caught.value.code) == (400, "too_many_items")
    assert "16" in caught.value.message


def test_one_broken_picture_costs_no_other(client: Client, tmp_path: Path):
    good, broken = image_bytes(), image_bytes("JPEG", (64, 64))[:700]
    items = [good, "a", broken, good, tmp_path / "none.png", "", good, broken]
    found = list(client.embed_each(items))
    codes = [row.code if isinstance(row, ServiceError) else "" for row in found]
    assert codes == ["", "", "bad_image", "", "unreadable_file", "empty_text", "", "bad_image"]
    for n in (0, 3, 6):
        np.testing.assert_array_equal(found[n].vector, of_picture(good))
    assert [found[n].param for n in (2, 5, 7)] == ["items[2]", "items[5]", "items[7]"]


def test_embed_raises_for_the_first_that_is_refused_and_names_its_place(client: Client):
    with pytest.raises(ServiceError, match=r"items\[5\]") as caught:
        client.embed([*["a"] * 5, b"no picture", "b", b"none either"])
    assert caught.value.status == 400


def test_a_str_is_never_a_path_and_strangers_are_refused(client: Client):
    with pytest.raises(TypeError, match=r"pathlib\.Path"):
        client.embed([42])  # type: ignore[list-item]


def test_an_unknown_model_is_one_exception_with_code_message_and_remedy(url: str):
    with Client(url, model="other") as client, pytest.raises(ServiceError) as caught:
        client.embed(["a"])
    error = caught.value
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert MODEL.id in error.message
    assert error.remedy
    assert error.remedy in str(error)


def test_similarities_are_the_cosines_of_all_with_all(client: Client):
    left, right = ["a", image_bytes()], ["b", "c", "a"]
    found = client.similarity(left, right)
    texts = [unit(text.encode()) for text in right]
    expected = [[one @ text for text in texts] for one in (unit(b"a"), of_picture(image_bytes()))]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_probabilities_are_those_that_the_service_itself_tells(client: Client, url: str):
    pictures = [image_bytes(color=colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    classes = {"red": ["a {} thing", "{}"], "green": ["a {} thing", "{}"], "else": ["nothing"]}
    body = {
        "model": MODEL.id,
        "images": [f"data:image/png;base64,{base64.b64encode(one).decode()}" for one in pictures],
        "classes": [{"name": name, "templates": told} for name, told in classes.items()],
    }
    answer = httpx.post(f"{url}/v1/zero-shot", json=body, timeout=30).json()
    expected = [one["probabilities"] for one in answer["data"]]
    np.testing.assert_allclose(client.zero_shot(pictures, classes), expected, rtol=1e-5)
    plain = client.zero_shot(pictures, ["red", "green"], templates=["a {} thing", "{}"])
    assert plain.shape == (3, 2)
    np.testing.assert_allclose(plain.sum(axis=1), 1)


def test_no_more_requests_are_under_way_than_allowed(url: str):
    under_way, most, lock = 0, 0, threading.Lock()
    with Client(url, concurrency=3, batch_items=1) as client:
        post = client._sender.post

        def counted(path: str, body: object) -> object:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            try:
                return post(path, body)
            finally:
                with lock:
                    under_way -= 1

        client._sender.post = counted
        client.embed([f"{n}" for n in range(30)])
    assert 1 < most <= 3


def test_a_long_iterator_is_not_read_far_ahead(client: Client):
    read = 0

    def items() -> Iterator[str]:
        nonlocal read
        for read in range(1, 10_000):  # noqa: B007
            yield "x"

    rows = client.embed_each(items())
    next(rows)
    assert read < 60


def test_the_client_alone_imports_no_torch_and_no_ray(url: str):
    code = (
        f"import sys; from figclip.client import Client; Client({url!r}).embed(['a']);"
        "import figclip.client.folders;"
        "bad = {'torch', 'ray', 'transformers', 'lancedb', 'fastapi'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_vectors_have_the_models_length(client: Client):
    assert client.embed(["a", "b"]).vectors.shape == (2, DIM)
    assert client.model == MODEL.id
