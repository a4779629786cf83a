"""Both services on a real Ray, spoken to by the clients that people have."""

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import openai
import psutil
import pytest
from foreign_models import OfOpenClip, OfTransformers
from tiny import SHAPES, drawn, publish_tiny_embeddings, publish_tiny_encoder, publish_tiny_pairs

from figclip.embedding.encoder import Encoder
from figclip.embedding.index.build import build_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.embedding.vectors import read_table, split_files
from figclip.schema import SPLITS
from figclip.store import Store
from serve_apps import embeddings, search

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

CHROMIUM = shutil.which("chromium")
# `publish_tiny_embeddings` says that they come from encoder@none.
ENCODER = "none"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Forty drawn pairs, an encoder of random weights, and the index of its vectors."""
    store = Store(tmp_path_factory.mktemp("artifacts"))
    publish_tiny_pairs(store, "tiny", 40)
    publish_tiny_encoder(store, ENCODER)
    encoder = Encoder.open(store.open("encoder", ENCODER), device="cpu")
    pairs = store.open("pairs", "tiny")
    rows = [
        row for name in split_files(pairs, SPLITS) for row in read_table(pairs, name).to_pylist()
    ]
    images = encoder.encode_images([row["image"] for row in rows])
    texts = encoder.encode_texts([row["caption"] for row in rows]).vectors
    publish_tiny_embeddings(store, "tiny", "tiny", images, texts)
    build_index(
        store, embeddings_version="tiny", pairs_version="tiny", version="tiny", config=IndexConfig()
    )
    return store


@pytest.fixture(scope="module")
def encoder(store: Store) -> Encoder:
    return Encoder.open(store.open("encoder", ENCODER), device="cpu")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, OfOpenClip | OfTransformers]:
    """Folder → the model that its own library saved there."""
    parent = tmp_path_factory.mktemp("foreign")
    kinds = {parent / "open_clip": OfOpenClip, parent / "transformers": OfTransformers}
    return {folder: kind(folder) for folder, kind in kinds.items()}


@pytest.fixture(scope="module")
def url(
    ray_cluster: None, store: Store, foreign: dict[Path, OfOpenClip | OfTransformers]
) -> Iterator[str]:
    """Both applications behind one port: the search at /search, and at / the embeddings of our own
    encoder and of the models of other libraries."""
    from ray import serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    small = {"store": store.url, "cpus": 0.25, "gateway_cpus": 0.25}
    several = embeddings.EmbeddingsArgs(models=(ENCODER, *map(str, foreign)), **small)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    try:
        serve.run_many(
            [
                serve.RunTarget(embeddings.app(several), "embeddings"),
                serve.RunTarget(
                    search.app(search.SearchArgs(follow_s=0.5, **small)), "search", "/search"
                ),
            ]
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def test_the_openai_client_gets_the_vectors_that_the_encoder_gives(
    client: openai.OpenAI, encoder: Encoder
):
    text, picture = "A red disc on the left.", drawn("blue", "ring", "right")
    answer = client.embeddings.create(model="encoder@none", input=[text, uri(picture), text])
    got = np.array([item.embedding for item in answer.data], dtype=np.float32)
    np.testing.assert_allclose(got[0], encoder.encode_texts([text]).vectors[0], atol=1e-5)
    np.testing.assert_allclose(got[1], encoder.encode_images([picture])[0], atol=1e-5)
    np.testing.assert_array_equal(got[0], got[2])
    num_tokens = int(encoder.encode_texts([text]).num_tokens[0])
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 2 * num_tokens


def test_models_of_other_libraries_answer_as_those_libraries_do(
    client: openai.OpenAI, foreign: dict[Path, OfOpenClip | OfTransformers]
):
    shown = [model.id for model in client.models.list()]
    assert shown == ["encoder@none", *map(str, foreign)]
    text, picture = "A red disc of 10 µm on the left.", drawn("blue", "ring", "right")
    for folder, model in foreign.items():
        answer = client.embeddings.create(model=str(folder), input=[text, uri(picture)])
        for item, expected in zip(answer.data, model.embed(text, picture), strict=True):
            np.testing.assert_allclose(item.embedding, expected.numpy(), atol=1e-5)


def test_float_and_base64_are_the_same_numbers(client: openai.OpenAI):
    ways = [
        client.embeddings.create(
            model="encoder@none", input=["a bar", uri(drawn("red", "bar", "left"))], **options
        )
        for options in ({}, {"encoding_format": "float"})
    ]
    plain, numbers = ([item.embedding for item in way.data] for way in ways)
    np.testing.assert_array_equal(np.float32(plain), np.float32(numbers))


def test_a_text_beyond_the_context_is_said_to_be_cut(url: str, encoder: Encoder):
    texts = ["grey square", "grey square " * 40]
    body = {"model": "encoder@none", "input": texts}
    answer = httpx.post(f"{url}/v1/embeddings", json=body, timeout=30).json()
    assert [item["truncated"] for item in answer["data"]] == [False, True]
    short, _ = encoder.encode_texts(texts).num_tokens
    assert answer["usage"]["prompt_tokens"] == short + encoder.context_length


def test_requests_that_share_a_batch_get_their_own_vectors(url: str, encoder: Encoder):
    asked = [[f"A disc of {n} µm.", "left " * (n % 7 + 1)] for n in range(40)]

    def ask(texts: list[str]) -> list[list[float]]:
        body = {"model": "encoder@none", "input": texts}
        answer = httpx.post(f"{url}/v1/embeddings", json=body, timeout=60)
        return [item["embedding"] for item in answer.json()["data"]]

    with ThreadPoolExecutor(16) as pool:
        got = np.array(list(pool.map(ask, asked)))
    alone = np.stack([encoder.encode_texts(texts).vectors for texts in asked])
    np.testing.assert_allclose(got, alone, atol=1e-5)


def test_an_unknown_model_is_not_found(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    assert caught.value.code == "model_not_found"


def test_one_broken_picture_among_good_requests_harms_only_its_own(url: str):
    good = drawn("green", "disc", "left")
    truncated = good[: len(good) * 2 // 3]

    def ask(picture: bytes) -> httpx.Response:
        body = {"model": "encoder@none", "input": ["a", uri(picture)]}
        return httpx.post(f"{url}/v1/embeddings", json=body, timeout=60)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, [good] * 15 + [truncated] + [good] * 16))
    bad = answers.pop(15)
    assert bad.status_code == 400
    assert bad.json()["error"]["param"] == "input[1]"
    assert {answer.status_code for answer in answers} == {200}
    vectors = np.array([answer.json()["data"][1]["embedding"] for answer in answers])
    assert np.ptp(vectors, axis=0).max() < 1e-5


def test_both_services_say_that_they_are_alive_and_ready(url: str):
    for place in ("/healthz", "/readyz", "/search/healthz", "/search/readyz"):
        assert httpx.get(url + place, timeout=30).status_code == 200, place


def test_the_search_finds_a_picture_of_the_index_by_itself(url: str, store: Store):
    pairs = store.open("pairs", "tiny")
    row = read_table(pairs, "train/00000.parquet").to_pylist()[3]
    answer = httpx.post(
        f"{url}/search/api/search", json={"image": uri(row["image"]), "k": 3}, timeout=30
    ).json()
    first = answer["results"][0]
    assert first["score"] == pytest.approx(1, abs=1e-4)
    same = httpx.get(f"{url}/search{first['image_path']}", timeout=30)
    assert same.headers["content-type"] == "image/jpeg"


def test_figures_like_a_figure_do_not_name_itself(url: str):
    texts = httpx.get(f"{url}/search/api/search", params={"q": "a red disc", "k": 1}, timeout=30)
    one = texts.json()["results"][0]["pair_id"]
    like = httpx.get(f"{url}/search/api/search", params={"like": one, "k": 39}, timeout=30).json()
    ids = [name for result in like["results"] for name in (result["pair_id"], *result["folded"])]
    assert len(set(ids)) == len(ids) == 39
    assert one not in ids


def test_the_page_finds_by_an_uploaded_picture(url: str):
    files = {"image": ("x.png", drawn("red", "bar", "left"), "image/png")}
    page = httpx.post(f"{url}/search/", files=files, timeout=30)
    assert page.status_code == 200
    assert page.text.count('class="tile"') == 12
    assert "data:image/jpeg;base64," in page.text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_shows_the_pictures_of_the_page(url: str, tmp_path: Path):
    from PIL import Image

    shot = tmp_path / "page.png"
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
        "--disable-background-networking --disable-component-update --disable-sync "
        f"--user-data-dir={tmp_path / 'profile'} --window-size=1280,1000 --screenshot={shot}"
    )
    subprocess.run(
        [str(CHROMIUM), *options.split(), f"{url}/search/?q=a+red+disc"],
        check=True,
        timeout=90,
        capture_output=True,
    )
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert num_like(pixels, (255, 255, 255)) > 50_000  # the tiles
    colored = sum(
        num_like(pixels, color) for color in ((200, 30, 30), (30, 160, 60), (40, 60, 200))
    )
    assert colored > 5_000  # what was drawn in the pictures


def num_like(pixels: np.ndarray, color: tuple[int, int, int]) -> int:
    """Pixels within 12 of a colour, for JPEG's sake."""
    return int((np.abs(pixels - np.array(color)).max(axis=-1) <= 12).sum())


def processes_of_ray(words: str) -> list[psutil.Process]:
    """Of this session's own Ray, those whose title has these words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if words in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_decoders_that_are_killed_are_replaced_and_no_picture_is_lost(url: str, encoder: Encoder):
    decoders = processes_of_ray("figclip.serving.batches.decoding_child")
    assert decoders
    pictures = [drawn(color, shape, "left") for color in ("red", "blue") for shape in SHAPES]

    def ask(picture: bytes) -> httpx.Response:
        body = {"model": "encoder@none", "input": [uri(picture)]}
        return httpx.post(f"{url}/v1/embeddings", json=body, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(ask, pictures * 4)
        for process in decoders:
            process.kill()
        got = [answer.json()["data"][0]["embedding"] for answer in answers]
    np.testing.assert_allclose(got, np.tile(encoder.encode_images(pictures), (4, 1)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Texts", "Images"])
def test_a_replica_that_is_killed_under_load_loses_no_accepted_request(
    url: str, encoder: Encoder, kind: str
):
    texts = [f"A disc of {n} µm." for n in range(60)]
    picture = drawn("red", "bar", "left")
    expected = encoder.encode_texts(texts).vectors
    if kind == "Images":
        expected = np.tile(encoder.encode_images([picture]), (len(texts), 1))

    def ask(text: str) -> list[float]:
        body = {"model": "encoder@none", "input": text if kind == "Texts" else uri(picture)}
        headers = {"X-Timeout-S": "120"}
        answer = httpx.post(f"{url}/v1/embeddings", json=body, headers=headers, timeout=130)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"][0]["embedding"]

    [replica] = processes_of_ray(f"ServeReplica:embeddings:{kind}-0-")
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, text) for text in texts]
        answers[10].result()
        replica.kill()
        got = [answer.result() for answer in answers]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert httpx.get(f"{url}/readyz", timeout=60).status_code == 200


def test_a_newer_index_is_served_without_a_request_lost(url: str, store: Store):
    build_index(
        store,
        embeddings_version="tiny",
        pairs_version="tiny",
        version="newer",
        base_version="tiny",
        config=IndexConfig(),
    )
    served, deadline = [], time.monotonic() + 60
    while served[-3:] != ["newer"] * 3 and time.monotonic() < deadline:
        answer = httpx.get(f"{url}/search/api/search", params={"q": "a disc"}, timeout=30)
        assert answer.status_code == 200
        assert len(answer.json()["results"]) == 12
        served.append(answer.json()["index"])
    assert served == sorted(served, reverse=True)
    assert set(served) == {"tiny", "newer"} or set(served) == {"newer"}
    assert "40 figures · index newer" in httpx.get(f"{url}/search/", timeout=30).text
