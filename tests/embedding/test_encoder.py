import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY_CLIP, publish_tiny_encoder, tiny_pairs

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.inputs.pixels import PixelConfig, UnreadableImage, eval_pixels
from figclip.inputs.tokens import Tokenizer
from figclip.models.weights import load_clip
from figclip.store import Store

PAIRS = tiny_pairs(12)
IMAGES = [pair.image for pair in PAIRS]
TEXTS = [
    "disc",
    "A red disc of 10 µm on the left.",
    "",
    "blue " * 100,
    "a square, then a bar, then a ring: all of them grey",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("store"))
    publish_tiny_encoder(store, "tiny")
    return store


@pytest.fixture(scope="module")
def encoder(store) -> Encoder:
    return Encoder.open(store.open("encoder", "tiny"), device="cpu")


def test_encoder_says_what_it_is(encoder):
    assert encoder.name == "encoder@tiny"
    assert encoder.dim == 16
    assert encoder.context_length == 24


def test_images_are_embedded_as_by_the_model_itself_one_at_a_time(store, encoder):
    folder = store.open("encoder", "tiny")
    clip, config = load_clip(folder)
    recipe = PixelConfig.load(folder)
    for image, vector in zip(IMAGES, encoder.encode_images(IMAGES, batch_size=5), strict=True):
        with torch.no_grad():
            pixels = eval_pixels(Image.open(io.BytesIO(image)), recipe)
            expected = clip.encode_image(pixels[None])[0]
        np.testing.assert_allclose(vector, expected, atol=1e-6)
    assert config == TINY_CLIP


def test_texts_are_embedded_as_by_the_model_itself_with_full_padding(store, encoder):
    folder = store.open("encoder", "tiny")
    clip, config = load_clip(folder)
    batch = Tokenizer.load(folder)(TEXTS, config.text.context_length)
    with torch.no_grad():
        expected = clip.encode_text(batch.ids, batch.mask)
    found = encoder.encode_texts(TEXTS, batch_size=2)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_a_vector_does_not_depend_on_its_company(encoder, batch_size):
    whole, images = encoder.encode_texts(TEXTS), encoder.encode_images(IMAGES)
    order = np.random.default_rng(batch_size).permutation(len(TEXTS))
    shuffled = encoder.encode_texts([TEXTS[i] for i in order], batch_size=batch_size)
    np.testing.assert_allclose(shuffled.vectors, whole.vectors[order], atol=1e-5)
    np.testing.assert_array_equal(shuffled.num_tokens, whole.num_tokens[order])
    again = encoder.encode_images(IMAGES[::-1], batch_size=batch_size)
    np.testing.assert_allclose(again, images[::-1], atol=1e-5)


def test_vectors_are_float32_of_length_one(encoder):
    for vectors in (encoder.encode_images(IMAGES), encoder.encode_texts(TEXTS).vectors):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_beyond_the_context_is_said_to_be_cut(encoder):
    found = encoder.encode_texts(TEXTS)
    assert found.truncated.tolist() == [False, False, False, True, False]
    assert found.num_tokens[2] == 2
    assert found.num_tokens[3] == 102
    same = encoder.encode_texts(["blue " * 22])
    assert not same.truncated[0]
    np.testing.assert_allclose(same.vectors[0], found.vectors[3], atol=1e-5)


def test_nothing_in_gives_nothing_out(encoder):
    assert encoder.encode_images([]).shape == (0, 16)
    assert encoder.encode_texts([]).vectors.shape == (0, 16)


def test_an_opened_picture_is_as_good_as_its_bytes(encoder):
    opened = [Image.open(io.BytesIO(image)) for image in IMAGES]
    np.testing.assert_array_equal(encoder.encode_images(opened), encoder.encode_images(IMAGES))


def test_a_broken_image_is_named_by_its_place(encoder):
    images = [*IMAGES[:3], IMAGES[3][:60]]
    with pytest.raises(UnreadableImage, match="image 3: "):
        encoder.encode_images(images, batch_size=2)


def test_threads_share_one_encoder(encoder):
    expected = encoder.encode_images(IMAGES)
    texts = encoder.encode_texts(TEXTS).vectors
    with ThreadPoolExecutor(8) as pool:
        images = [pool.submit(encoder.encode_images, IMAGES) for _ in range(16)]
        others = [pool.submit(encoder.encode_texts, TEXTS) for _ in range(16)]
        for future in images:
            np.testing.assert_allclose(future.result(), expected, atol=1e-5)
        for future in others:
            np.testing.assert_allclose(future.result().vectors, texts, atol=1e-5)


def test_half_precision_stays_near(store, encoder):
    half = Encoder.open(store.open("encoder", "tiny"), device="cpu", precision="bf16")
    cosines = (half.encode_images(IMAGES) * encoder.encode_images(IMAGES)).sum(axis=1)
    assert cosines.min() > 0.999
    assert half.encode_images(IMAGES).dtype == np.float32


@pytest.mark.parametrize(
    "name", ["model.json", "model.safetensors", "tokenizer.json", "pixels.json"]
)
def test_an_encoder_that_lacks_a_file_names_it(tmp_path, name):
    store = Store(tmp_path)
    publish_tiny_encoder(store, "v")
    (tmp_path / "encoder" / "v" / name).unlink()
    with pytest.raises(UsageError, match=name):
        Encoder.open(store.folder("encoder", "v"), device="cpu")


def test_files_of_two_runs_do_not_make_an_encoder(tmp_path):
    store = Store(tmp_path)
    publish_tiny_encoder(store, "v")
    folder = store.folder("encoder", "v")
    PixelConfig(size=64).save(folder)
    with pytest.raises(UsageError, match="not of one training run"):
        Encoder.open(folder, device="cpu")
