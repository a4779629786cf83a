"""Encoders to other libraries' folders and back: the same embeddings everywhere."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from native_clip import native_clip
from tiny import publish_tiny_encoder, tiny_pairs
from transformers import AutoTokenizer, CLIPModel

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.inputs.pixels import PixelConfig, decode, eval_pixels
from figclip.inputs.tokens import open_tokenizer
from figclip.models.clip import Clip
from figclip.models.weights import save_weights
from figclip.serving.batches.served import Served, model_card
from figclip.store import Store
from jobs.convert import ConvertJob, main

BYTE_PAIRS = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
TEXTS = ["A red disc of 10 µm.", "x!", "ΔΣ " * 40, ""]
IMAGES = [pair.image for pair in tiny_pairs(3)]
OWN_CLIP = native_clip(vocab_size=49_408, context_length=24)


@pytest.fixture
def store(tmp_path):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    store = Store(tmp_path / "store")
    with store.publishing("encoder", "clip", config={}) as publication:
        save_weights(publication.folder, Clip(OWN_CLIP), OWN_CLIP)
        open_tokenizer(BYTE_PAIRS).save(publication.folder)
        PixelConfig(size=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)).save(publication.folder)
    return store


def assert_alike(one, other):
    np.testing.assert_allclose(one.encode_images(IMAGES), other.encode_images(IMAGES), atol=1e-6)
    ours, theirs = one.encode_texts(TEXTS), other.encode_texts(TEXTS)
    np.testing.assert_allclose(ours.vectors, theirs.vectors, atol=1e-6)
    assert ours.num_tokens.tolist() == theirs.num_tokens.tolist()


@pytest.mark.parametrize("form", ["open_clip", "transformers"])
def test_a_model_goes_to_another_library_and_comes_back_the_same(store, tmp_path, form):
    folder = str(tmp_path / form)
    main(ConvertJob(store=store.url, form=form, source="clip", folder=folder))
    main(ConvertJob(store=store.url, form="encoder", source=folder, version="back"))
    own = Encoder.open(store.open("encoder", "clip"))
    assert_alike(own, Encoder.open(folder))
    assert_alike(own, Encoder.open(store.open("encoder", "back")))
    assert Encoder.open(folder).name.endswith(f"/{form}")
    main(ConvertJob(store=store.url, form="encoder", source=folder, version="back"))  # is kept


@pytest.mark.reference
@torch.no_grad()
def test_open_clip_opens_the_folder_with_its_tokenizer_and_pixels(store, tmp_path):
    main(ConvertJob(store=store.url, source="clip", folder=str(tmp_path / "out")))
    name = f"local-dir:{tmp_path / 'out'}"
    model, preprocess = open_clip.create_model_from_pretrained(name)
    tokenize = open_clip.get_tokenizer(name)
    own = Encoder.open(store.open("encoder", "clip"))
    pixels = torch.stack([preprocess(decode(image)) for image in IMAGES])
    images = model.eval().encode_image(pixels, normalize=True)
    np.testing.assert_allclose(own.encode_images(IMAGES), images, atol=1e-6)
    texts = model.encode_text(tokenize(TEXTS), normalize=True)
    np.testing.assert_allclose(own.encode_texts(TEXTS).vectors, texts, atol=1e-6)


@pytest.mark.reference
@torch.no_grad()
def test_transformers_opens_the_folder_with_its_tokenizer(store, tmp_path):
    main(
        ConvertJob(store=store.url, form="transformers", source="clip", folder=str(tmp_path / "o"))
    )
    model = CLIPModel.from_pretrained(tmp_path / "o").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "o")
    own = Encoder.open(store.open("encoder", "clip"))
    for text, vector in zip(TEXTS[:2], own.encode_texts(TEXTS[:2]).vectors, strict=True):
        found = model.get_text_features(**tokenizer([text], return_tensors="pt"))
        found = torch.nn.functional.normalize(found.pooler_output, dim=-1)
        np.testing.assert_allclose(vector, found[0], atol=1e-6)


@pytest.mark.reference
@torch.no_grad()
def test_open_clip_reads_a_wordpiece_of_a_causal_tower_at_its_own_end(tmp_path):
    config = OWN_CLIP.with_overrides({"text.vocab_size": 600})
    store = Store(tmp_path / "store")
    publish_tiny_encoder(store, "tiny")
    torch.manual_seed(0)
    with store.publishing("encoder", "words", config={}) as publication:
        save_weights(publication.folder, Clip(config), config)
        open_tokenizer(store.folder("encoder", "tiny").path).save(publication.folder)
        PixelConfig(size=32).save(publication.folder)
    main(ConvertJob(store=store.url, source="words", folder=str(tmp_path / "out")))
    name = f"local-dir:{tmp_path / 'out'}"
    texts = (
        open_clip.create_model(name)
        .eval()
        .encode_text(open_clip.get_tokenizer(name)(TEXTS), normalize=True)
    )
    own = Encoder.open(store.open("encoder", "words"))
    np.testing.assert_allclose(own.encode_texts(TEXTS).vectors, texts, atol=1e-6)


def test_a_service_shows_a_model_of_another_library_by_its_place(store, tmp_path):
    folder = str(tmp_path / "out")
    main(ConvertJob(store=store.url, source="clip", folder=folder))
    card = model_card(Served(store.url, folder))
    assert (card.id, card.dim, card.context_length) == (folder, 16, 24)
    assert model_card(Served(store.url, "clip")).id == "encoder@clip"


def test_pixels_are_those_of_the_source(store, tmp_path):
    folder = str(tmp_path / "out")
    main(ConvertJob(store=store.url, source="clip", folder=folder))
    pixels = Encoder.open(folder).pixels
    assert (pixels.size, pixels.mean, pixels.std) == (32, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    assert eval_pixels(decode(IMAGES[0]), pixels).shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "--folder"),
        ({"form": "encoder"}, "--version"),
        ({"source": "another"}, "published versions of encoder: clip"),
        ({"source": "./nowhere"}, "neither a local folder nor"),
    ],
)
def test_what_is_missing_is_named(store, options, words):
    with pytest.raises(UsageError, match=words):
        main(ConvertJob(store=store.url, **{"source": "clip", **options}))


def test_a_folder_in_use_is_left_alone(store, tmp_path):
    with pytest.raises(UsageError, match="not empty"):
        main(ConvertJob(store=store.url, source="clip", folder=str(tmp_path)))


def test_a_folder_without_a_vocabulary_says_which_file_it_lacks(store, tmp_path):
    folder = tmp_path / "out"
    main(ConvertJob(store=store.url, source="clip", folder=str(folder)))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"lay tokenizer.json or vocab.txt or bpe_simple"):
        Encoder.open(str(folder))


def test_a_vocabulary_that_does_not_fit_the_tower_is_refused(store, tmp_path):
    folder = tmp_path / "out"
    small = OWN_CLIP.with_overrides({"text.vocab_size": 600})
    with store.publishing("encoder", "small", config={}) as publication:
        save_weights(publication.folder, Clip(small), small)
        open_tokenizer(BYTE_PAIRS).save(publication.folder)
        PixelConfig(size=32).save(publication.folder)
    main(ConvertJob(store=store.url, source="small", folder=str(folder)))
    for source in (store.open("encoder", "small"), str(folder)):
        with pytest.raises(UsageError, match="49408 tokens, the model 600"):
            Encoder.open(source)


def test_a_gpu_that_is_not_there_is_an_error_with_the_remedy(store, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match=r"device cuda:1: torch sees 1 GPUs here; use the device"):
        Encoder.open(store.open("encoder", "clip"), device="cuda:1")
