"""Every way to run an encoder gives the plain model's vectors, or is refused."""

import shutil
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from figclip.config import UsageError
from figclip.embedding import backends
from figclip.embedding.backends import check_parity, sample_texts, with_backend
from figclip.embedding.encoder import Encoder
from figclip.embedding.ways import Backend, Tower
from figclip.models.clip import ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from jobs.benchmarks.serve_parity import compared, encoder_of, parity

BERT = ClipConfig(
    vision=VisionConfig(timm_model="vit_tiny_patch16_224", image_size=64, depth=3),
    text=TextConfig(
        vocab_size=400, hidden_size=64, layers=2, heads=4, intermediate_size=128, context_length=64
    ),
    embed_dim=32,
)
GPT = BERT.with_overrides(
    {
        "vision.timm_model": "vit_base_patch16_clip_quickgelu_224",
        "vision.width": 96,
        "vision.heads": 4,
        "text.architecture": "gpt",
        "text.activation": "quick_gelu",
    }
)
RESNET = BERT.with_overrides(
    {"vision.timm_model": "resnet18", "vision.depth": None, "vision.image_size": 64}
)
TOWERS: tuple[Tower, ...] = ("text", "image")
MODELS = {"bert": BERT, "gpt": GPT, "resnet": RESNET}


@pytest.fixture(scope="module")
def encoders() -> dict[str, Encoder]:
    return {name: encoder_of(config) for name, config in MODELS.items()}


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("name", MODELS)
def test_packed_weights_give_the_plain_vectors_in_every_batch(
    encoders: dict[str, Encoder], name: str, tower: Tower
):
    for backend, least, most in (("fp32", 0.999999, 1e-5), ("bf16", 0.9999, 1e-2)):
        cosine, difference = compared(encoders[name], backend, tower, 40)  # type: ignore[arg-type]
        assert cosine >= least
        assert difference <= most


@pytest.mark.parametrize("tower", TOWERS)
def test_a_plain_tower_alone_is_the_encoder(encoders: dict[str, Encoder], tower: Tower):
    encoder = encoders["bert"]
    alone = with_backend(encoder, "plain", tower=tower)
    embed, sample = backends._sample(encoder, tower)
    np.testing.assert_array_equal(embed(alone, sample), embed(encoder, sample))


def test_the_linear_layers_are_packed_but_for_the_heads_and_the_one_that_is_cut(
    encoders: dict[str, Encoder],
):
    for name, left in (("bert", 2 + 1), ("gpt", 1)):
        clip: Any = encoders[name]._clip
        num_packed = 0
        for tower in (clip.text, clip.visual):
            packed = backends.packed(tower, torch.float32)
            plain = [module for module in packed.modules() if type(module) is nn.Linear]
            num_packed += sum(isinstance(m, backends.PackedLinear) for m in packed.modules())
            left -= len(plain)
        assert num_packed > 10
        assert left == -1, "the image tower's head, and its last block's projection"


def test_the_encoder_itself_stays_as_it_was(encoders: dict[str, Encoder]):
    encoder = encoders["bert"]
    before = encoder.encode_texts(sample_texts()).vectors
    with_backend(encoder, "bf16", tower="text")
    np.testing.assert_array_equal(encoder.encode_texts(sample_texts()).vectors, before)


def test_what_is_not_the_plain_model_is_refused_with_a_remedy(
    encoders: dict[str, Encoder], monkeypatch: pytest.MonkeyPatch
):
    def skewed(tower: nn.Module) -> nn.Module:
        found: Any = backends.packed(tower, torch.float32)
        found.proj[-1] = nn.Linear(found.proj[-1].in_features, 32)
        return found

    monkeypatch.setitem(backends.WAYS, "bf16", skewed)
    with pytest.raises(UsageError, match="take backend=fp32 or backend=plain"):
        with_backend(encoders["bert"], "bf16", tower="text")
    for cosine in (0.99989, float("nan")):
        with pytest.raises(UsageError, match="cosine"):
            check_parity(cosine, "it")
    check_parity(0.9999, "it")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
@pytest.mark.parametrize("tower", TOWERS)
def test_compiled_blocks_give_the_plain_vectors(encoders: dict[str, Encoder], tower: Tower):
    cosine, difference = compared(encoders["gpt"], "compile", tower, 30)
    assert cosine >= 0.999999
    assert difference <= 1e-5


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_thousand_texts_and_images_of_a_real_size_keep_their_vectors():
    figures = parity()
    for tower in TOWERS:
        backend: Backend
        for backend in ("fp32", "bf16"):
            assert figures[f"parity_{tower}_{backend}"] >= 0.9999  # type: ignore[operator]
        assert figures[f"batch_difference_{tower}_fp32_per_million"] <= 10  # type: ignore[operator]
