"""A small CLIP of CLIP's own towers, in the shapes of OpenAI's ViT-B/16."""

from figclip.models.clip import ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig


def native_clip(*, vocab_size: int, context_length: int) -> ClipConfig:
    return ClipConfig(
        vision=VisionConfig(
            timm_model="vit_base_patch16_clip_quickgelu_224",
            image_size=32,
            width=64,
            depth=2,
            heads=1,
            patch_size=8,
        ),
        text=TextConfig(
            architecture="gpt",
            vocab_size=vocab_size,
            hidden_size=64,
            layers=2,
            heads=1,
            intermediate_size=256,
            max_positions=context_length,
            context_length=context_length,
            activation="quick_gelu",
        ),
        embed_dim=16,
    )
