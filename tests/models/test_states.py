"""States of patches and tokens, judged by what the towers themselves pool of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_models import OfOpenClip, OfTransformers
from tiny import TINY_CLIP
from torch import Tensor, nn

from figclip.models.clip import Clip
from figclip.models.opening import open_model
from figclip.models.states import image_states, text_states
from figclip.models.vision import VisionConfig, VisionTower

SIDE = 64


def texts(vocab_size: int) -> tuple[Tensor, Tensor]:
    """Four of different lengths, the longest first column to last but two."""
    torch.manual_seed(0)
    ids = torch.randint(0, vocab_size, (4, 12))
    lengths = torch.tensor([10, 3, 7, 1])
    return ids, torch.arange(12) < lengths[:, None]


@pytest.fixture(params=["ours", "open_clip", "transformers"])
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Clip:
    if request.param == "ours":
        torch.manual_seed(0)
        return Clip(TINY_CLIP).eval()
    {"open_clip": OfOpenClip, "transformers": OfTransformers}[request.param](tmp_path / "theirs")
    return open_model(tmp_path / "theirs").clip


def test_of_every_source_the_first_state_is_what_the_tower_pools(clip: Clip):
    pixels = torch.randn(3, 3, 32, 32)
    ids, mask = texts(600)
    text: Any = clip.text
    with torch.no_grad():
        image, tokens = image_states(clip.visual, pixels), text_states(text, ids, mask)
        pooled = clip.visual.head(image.tokens[:, 0])
        torch.testing.assert_close(pooled, clip.visual(pixels), atol=1e-5, rtol=1e-4)
        first = tokens.tokens[:, 0]
        found = text.proj(first) if hasattr(text, "proj") else first @ text.text_projection
        torch.testing.assert_close(found, text(ids, mask), atol=1e-5, rtol=1e-4)
    assert image.tokens.shape[1] == 1 + 16
    assert image.mask.all()


def test_padding_changes_no_state_of_a_text(clip: Clip):
    ids, mask = texts(600)
    with torch.no_grad():
        whole = text_states(clip.text, ids, mask)
        for row, length in enumerate(mask.sum(dim=1).tolist()):
            alone = text_states(
                clip.text, ids[row : row + 1, :length], mask[row : row + 1, :length]
            )
            assert alone.mask.all()
            assert int(whole.mask[row].sum()) == alone.tokens.shape[1]
            torch.testing.assert_close(
                whole.tokens[row][whole.mask[row]], alone.tokens[0], atol=1e-5, rtol=1e-4
            )


@pytest.mark.parametrize("name", ["resnet50_clip", "convnext_atto", "swin_s3_tiny_224"])
def test_of_a_tower_without_class_token_the_mean_of_its_grid_stands_before_the_grid(name: str):
    side = 224 if "swin" in name else SIDE
    torch.manual_seed(0)
    tower = VisionTower(VisionConfig(timm_model=name, image_size=side), embed_dim=16).eval()
    pixels = torch.randn(1, 3, side, side)
    with torch.no_grad():
        states = image_states(tower, pixels)
        grid = tower.trunk.forward_features(pixels)
    rows = grid if name.startswith("swin") else grid.permute(0, 2, 3, 1)
    patches = [rows[0, y, x] for y in range(rows.shape[1]) for x in range(rows.shape[2])]
    torch.testing.assert_close(states.tokens[0, 1:], torch.stack(patches))
    torch.testing.assert_close(states.tokens[0, 0], sum(patches) / len(patches))


def test_a_trunk_that_gives_a_vector_alone_is_a_sequence_of_one():
    tower = VisionTower(VisionConfig(timm_model="convnext_atto", image_size=SIDE), embed_dim=16)

    class Pooled(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.mean(dim=(2, 3))

    tower.trunk = Pooled()
    pixels = torch.randn(2, 3, SIDE, SIDE)
    states = image_states(tower, pixels)
    torch.testing.assert_close(states.tokens[:, 0], pixels.mean(dim=(2, 3)))
    assert states.mask.shape == (2, 1)
