"""A client with an encoder of its own sends vectors, and nothing else, to anybody."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripted_server import Scripted, reply, scripted_server
from tiny import drawn, publish_tiny_encoder

from figclip.client import Client, ServiceError
from figclip.client.folders import embed_folder
from figclip.embedding.encoder import Encoder
from figclip.store import Store

WORDS = "a very private haemangioma of Jane Doe"
WINDOW = 12
"""Bytes in a row by which something is recognised."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder artifact on disk."""
    root = tmp_path_factory.mktemp("artifacts")
    publish_tiny_encoder(Store(root), "tiny")
    return root / "encoder" / "tiny"


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder.open(folder)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted_server([reply({"results": [], "total": 0, "next_page": None})]) as server:
        yield server


def noise() -> Image.Image:
    """Of random pixels: no run of its bytes is anybody else's."""
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (64, 64, 3), np.uint8))


def as_png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def traces(secret: bytes) -> set[bytes]:
    """Every run of `WINDOW` bytes, plain and in base64 at each of its three beginnings."""
    shifted = [base64.b64encode(secret[shift:]) for shift in range(3)]
    return {
        told[n : n + WINDOW] for told in (secret, *shifted) for n in range(len(told) - WINDOW + 1)
    }


def body_of(request: bytes) -> dict[str, Any]:
    return json.loads(request.partition(b"\r\n\r\n")[2])


def assert_nothing_of(secrets: list[bytes], server: Scripted) -> None:
    sent = b"".join(server.requests)
    runs = {sent[n : n + WINDOW] for n in range(len(sent) - WINDOW + 1)}
    for secret in secrets:
        assert not traces(secret) & runs


def test_no_byte_of_a_picture_and_no_word_goes_over_the_socket(folder: Path, server: Scripted):
    picture = noise()
    png = as_png(picture)
    with Client(server.url, encoder=folder) as client:
        client.search(WORDS, image=picture)
        client.search(image=png, figure="PMC1.1/F1/a.jpg")
        client.search(WORDS)
        client.similarity([png], [WORDS])
        client.zero_shot([picture], ["benign", "malignant"])
    assert len(server.requests) == 3
    assert_nothing_of([png, picture.tobytes(), WORDS.encode(), b"Jane Doe of yore"], server)
    told = [set(body_of(request)) for request in server.requests]
    assert not any({"text", "image"} & names for names in told)


def test_the_watcher_would_see_a_picture_that_is_sent(server: Scripted):
    """The same pictures by a client without an encoder: the proof above can fail."""
    png = as_png(noise())
    with Client(server.url) as client:
        client.search(WORDS, image=png)
    with pytest.raises(AssertionError):
        assert_nothing_of([png], server)
    with pytest.raises(AssertionError):
        assert_nothing_of([WORDS.encode()], server)


def test_a_folder_is_embedded_without_a_single_request(
    folder: Path, encoder: Encoder, server: Scripted, tmp_path: Path
):
    (tmp_path / "a.png").write_bytes(drawn("red", "disc", "left"))
    with Client(server.url, encoder=folder) as client:
        outcome = embed_folder(client, tmp_path, tmp_path / "v.parquet", shows_progress=False)
    assert outcome.num_embedded == 1
    assert server.requests == []


def test_the_vectors_are_those_of_the_encoder(folder: Path, encoder: Encoder):
    pictures = [drawn("red", "disc", "left"), drawn("blue", "bar", "right")]
    with Client("http://127.0.0.1:9", encoder=folder) as client:
        found = client.embed([pictures[0], WORDS, pictures[1]]).vectors
        assert client.model == encoder.name
    np.testing.assert_allclose(found[[0, 2]], encoder.encode_images(pictures), atol=1e-6)
    np.testing.assert_allclose(found[1], encoder.encode_texts([WORDS]).vectors[0], atol=1e-6)


def test_a_broken_picture_is_refused_here_by_its_place(folder: Path):
    with Client("http://127.0.0.1:9", encoder=folder) as client:
        found = list(client.embed_each(["a", drawn("red", "disc", "left"), b"no picture"]))
    assert isinstance(found[2], ServiceError)
    assert (found[2].code, found[2].param) == ("bad_image", "items[2]")


def test_several_parts_rank_as_they_would_one_by_one(
    folder: Path, encoder: Encoder, server: Scripted
):
    """The service adds unit vectors by their weights: here it adds the figure's to ours."""
    picture, weights = drawn("green", "ring", "left"), {"text": 0.3, "image": 0.9, "figure": 0.5}
    with Client(server.url, encoder=folder) as client:
        client.search(WORDS, image=picture, figure="F", weights=weights)
    body = body_of(server.requests[0])
    assert body["pair_id"] == "F"
    sent = np.array(body["vector"])
    figures = np.random.default_rng(0).normal(size=(50, encoder.dim))
    text, image = encoder.encode_texts([WORDS]).vectors[0], encoder.encode_images([picture])[0]
    wanted = figures @ (0.3 * text + 0.9 * image + 0.5 * figures[0])
    got = figures @ (body["weights"]["vector"] * sent + body["weights"]["pair_id"] * figures[0])
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [({"hybrid": True}, "leave hybrid out"), ({"weights": {"text": 0.0}}, "a weight above 0")],
)
def test_what_would_tell_the_words_or_say_nothing_is_refused(
    folder: Path, server: Scripted, words: dict[str, Any], remedy: str
):
    with Client(server.url, encoder=folder) as client, pytest.raises(ServiceError) as caught:
        client.search(WORDS, **words)
    assert remedy in caught.value.remedy
    assert server.requests == []
