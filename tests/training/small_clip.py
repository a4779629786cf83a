"""The smallest CLIP with all its parts, and batches of noise for it."""

import torch

from figclip.inputs.pixels import PixelConfig
from figclip.inputs.reader import Batch
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig

PIXELS = PixelConfig(size=32)


def small_clip(
    *, dropout: float = 0.1, patch_dropout: float = 0.5, gradient_checkpointing: bool = False
) -> Clip:
    """The same weights whenever it is called."""
    torch.manual_seed(0)
    vision = VisionConfig(
        timm_model="vit_tiny_patch16_224",
        image_size=32,
        width=32,
        depth=3,
        heads=2,
        patch_size=8,
        patch_dropout=patch_dropout,
        gradient_checkpointing=gradient_checkpointing,
    )
    text = TextConfig(
        vocab_size=50,
        hidden_size=32,
        layers=3,
        heads=2,
        intermediate_size=64,
        max_positions=16,
        context_length=12,
        dropout=dropout,
        gradient_checkpointing=gradient_checkpointing,
    )
    return Clip(ClipConfig(vision=vision, text=text, embed_dim=16)).train()


def noise(n: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 10, (n, 1), generator=generator)
    return Batch(
        pixels=torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8),
        ids=torch.randint(1, 50, (n, 12), generator=generator),
        mask=torch.arange(12) < lengths,
    )


def rows(batch: Batch, start: int, stop: int) -> Batch:
    return Batch(batch.pixels[start:stop], batch.ids[start:stop], batch.mask[start:stop])
