"""CLIP: an image tower and a text tower that meet on one sphere, and the temperature."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from figclip.config import Config
from figclip.models.gpt import GptTower
from figclip.models.text import TextConfig, TextTower
from figclip.models.vision import VisionConfig, VisionTower

# The logits are kept from being scaled by more than 100: section 2.5 of CLIP, arXiv 2103.00020.
MAX_LOG_SCALE = math.log(100)


class ClipConfig(Config):
    """Two towers and the dimension in which they meet."""

    vision: VisionConfig = VisionConfig()
    text: TextConfig = TextConfig()
    embed_dim: PositiveInt = 512
    """Length of an embedding."""
    initial_scale: PositiveFloat = 1 / 0.07
    """Inverse temperature at the start: CLIP's; SigLIP begins at 10."""
    initial_bias: float | None = None
    """What a sigmoid loss adds to the logits, at the start (SigLIP, arXiv 2303.15343: -10); None,
    for a softmax over the batch, has no such parameter."""

    def settled(self) -> "ClipConfig":
        """The same model, to be built without a hub."""
        towers = {"vision": self.vision.settled(), "text": self.text.settled()}
        return self.model_copy(update=towers)


BIOMEDCLIP = ClipConfig()
"""ViT-B/16 at 224 px, BERT-base with 256 tokens: the released BiomedCLIP (arXiv 2303.00915)."""

CLIP_GPT = TextConfig(
    architecture="gpt",
    vocab_size=49_408,
    hidden_size=512,
    heads=8,
    intermediate_size=2_048,
    max_positions=77,
    context_length=77,
)
"""The text tower of CLIP's smaller models: 12 layers, 77 tokens, 49,408 byte pairs."""

OPENAI_VIT_B16 = ClipConfig(
    vision=VisionConfig(timm_model="vit_base_patch16_clip_quickgelu_224"),
    text=CLIP_GPT.with_overrides({"activation": "quick_gelu"}),
)
"""OpenAI's CLIP ViT-B/16 (arXiv 2103.00020)."""

OPENAI_RN50 = ClipConfig(
    vision=VisionConfig(timm_model="resnet50_clip"),
    text=CLIP_GPT.with_overrides({"activation": "quick_gelu"}),
    embed_dim=1_024,
)
"""OpenAI's CLIP ResNet-50 (arXiv 2103.00020)."""


class TwoTowers(nn.Module):
    """Embeds images and texts as unit vectors; `logit_scale` is the log of the inverse temperature.

    `visual` takes pixels, `text` ids and a mask; both give features that are not normalised.
    """

    def __init__(self, visual: nn.Module, text: nn.Module, logit_scale: Float[Tensor, ""]) -> None:
        super().__init__()
        self.visual = visual
        self.text = text
        self.logit_scale = nn.Parameter(logit_scale)

    def encode_image(
        self, pixels: Float[Tensor, "batch 3 side side"]
    ) -> Float[Tensor, "batch embed_dim"]:
        return _on_the_sphere(self.visual(pixels))

    def encode_text(
        self,
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch embed_dim"]:
        """`mask` is true, or 1, where a token is no padding."""
        return _on_the_sphere(self.text(ids, mask))


class Clip(TwoTowers):
    """Two towers of this config.

    Parameters are named as in open_clip: `visual.*`, `text.*`, `logit_scale` and, where the config
    has an `initial_bias`, `logit_bias`. Random weights, unless the config asks for pretrained
    towers.
    """

    visual: VisionTower
    text: TextTower | GptTower
    logit_bias: nn.Parameter | None

    def __init__(self, config: ClipConfig) -> None:
        text = GptTower if config.text.architecture == "gpt" else TextTower
        super().__init__(
            VisionTower(config.vision, embed_dim=config.embed_dim),
            text(config.text, embed_dim=config.embed_dim),
            torch.tensor(math.log(config.initial_scale)),
        )
        bias = config.initial_bias
        self.logit_bias = None if bias is None else nn.Parameter(torch.tensor(bias))

    def forward(
        self,
        pixels: Float[Tensor, "images 3 side side"],
        ids: Int[Tensor, "texts length"],
        mask: Bool[Tensor, "texts length"] | Int[Tensor, "texts length"],
    ) -> tuple[Tensor, ...]:
        """Embeddings [images, embed_dim] and [texts, embed_dim], inverse temperature and, where
        there is one, the bias of the logits."""
        text = self.encode_text(ids, mask)  # first: to pack it waits for what the device has to do
        features = self.encode_image(pixels), text, self.logit_scale.exp()
        return features if self.logit_bias is None else (*features, self.logit_bias.clone())

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Bring the inverse temperature back into [1, 100]; call it after every step."""
        self.logit_scale.clamp_(0, MAX_LOG_SCALE)


def _on_the_sphere(features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
    """Unit vectors, in fp32 at least: the loss multiplies them by up to 100."""
    return F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=-1)
