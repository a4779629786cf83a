"""Training recipes that more than one job offers."""

from figclip.inputs.pixels import PixelConfig
from figclip.models.clip import BIOMEDCLIP, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.training.optim import OptimConfig
from figclip.training.pretrain import PretrainConfig

DEMO = PretrainConfig(
    model=ClipConfig(
        vision=VisionConfig(
            timm_model="vit_tiny_patch16_224", image_size=96, width=192, depth=4, heads=3
        ),
        text=TextConfig(
            vocab_size=2_000,
            hidden_size=128,
            layers=2,
            heads=2,
            intermediate_size=512,
            max_positions=256,
            context_length=128,
            dropout=0.0,
        ),
        embed_dim=128,
    ),
    pixels=PixelConfig(size=96),
    optim=OptimConfig(lr=1e-3, weight_decay=0.1, warmup_steps=50),
    batch_size=32,
    lanes=4,
    epochs=10,
    checkpoint_every_steps=100,
)
"""From scratch on two CPU cores, in minutes."""

SMOKE = PretrainConfig(
    model=ClipConfig(
        vision=VisionConfig(
            timm_model="vit_tiny_patch16_224", image_size=32, width=32, depth=1, heads=1
        ),
        text=TextConfig(
            vocab_size=300,
            hidden_size=32,
            layers=1,
            heads=1,
            intermediate_size=64,
            max_positions=64,
            context_length=32,
        ),
        embed_dim=16,
    ),
    pixels=PixelConfig(size=32),
    optim=OptimConfig(warmup_steps=2),
    batch_size=16,
    lanes=2,
    epochs=3,
    checkpoint_every_steps=4,
)
"""Seconds of work, for tests: its encoder is worth nothing."""

BIOMEDBERT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"

PAPER = PretrainConfig(
    model=BIOMEDCLIP.with_overrides(
        {
            "vision.pretrained": True,
            # The paper names patch dropout without its rate; FLIP (arXiv 2212.00794) found 0.5.
            "vision.patch_dropout": 0.5,
            "vision.gradient_checkpointing": True,
            "text.hf_name": BIOMEDBERT,
            "text.gradient_checkpointing": True,
        }
    ),
    tokenizer=BIOMEDBERT,
    lanes=64,
    batch_size=4_096,
    epochs=32,
)
"""Supplementary Table 9 of the BiomedCLIP paper (arXiv 2303.00915), at its first batch size."""
