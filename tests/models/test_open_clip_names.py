"""Checkpoints by open_clip's own names, judged by open_clip itself."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.model import CLIP

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.models.clip import Clip
from figclip.models.open_clip_config import config_from

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 49_408,
        "width": 32,
        "heads": 4,
        "layers": 2,
    },
}


@torch.no_grad()
def test_a_model_of_open_clips_registry_is_opened_by_its_name_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "Tiny-8.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path)
    torch.manual_seed(0)
    peer = CLIP(**TINY).eval()
    weights = tmp_path / "weights.pt"
    torch.save({"state_dict": peer.state_dict()}, weights)
    monkeypatch.chdir(tmp_path)
    encoder = Encoder.open("open_clip:Tiny-8/weights.pt")
    texts = ["CT of the chest", "a"]
    ids = open_clip.SimpleTokenizer()(texts, context_length=12)
    expected = peer.encode_text(ids, True).numpy()
    assert encoder.encode_texts(texts).vectors == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UsageError, match="no model 'Nothing'"):
        Encoder.open("open_clip:Nothing/openai")
    with pytest.raises(UsageError, match="no weights 'nope' of Tiny-8; it has none"):
        Encoder.open("open_clip:Tiny-8/nope")


def test_what_open_clip_would_fetch_is_told_where_it_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch,
):
    def out_of_reach(*_: object, **__: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "download_pretrained", out_of_reach)
    with pytest.raises(UsageError, match="go online, or name a local folder"):
        Encoder.open("open_clip:ViT-B-16-quickgelu/openai")


def test_the_shape_of_bmc_clip_is_one_that_is_built_here():
    """ViT-L/14 as open_clip describes it: https://huggingface.co/BIOMEDICA."""
    told = open_clip.get_model_config("ViT-L-14")
    config = config_from(told, {}, folder=Path())
    with torch.device("meta"):
        ours = sum(parameter.numel() for parameter in Clip(config).parameters())
        theirs = sum(parameter.numel() for parameter in CLIP(**told).parameters())
    assert ours == theirs == 427_616_513
