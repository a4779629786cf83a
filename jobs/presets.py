"""Training recipes that more than one job offers."""

from figclip.inputs.pixels import PixelConfig
from figclip.models.clip import BIOMEDCLIP, CLIP_GPT, OPENAI_RN50, OPENAI_VIT_B16, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.training.optim import OptimConfig
from figclip.training.recipe import PretrainConfig

DEMO = PretrainConfig(
    model=ClipConfig(
        vision=VisionConfig(
            timm_model="vit_tiny_patch16_224",
            image_size=96,
            patch_size=16,
            width=192,
            depth=4,
            heads=3,
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

OPENAI_BYTE_PAIRS = "openai/clip-vit-base-patch16"
"""A hub name, whose tokenizer all of OpenAI's models share; the file of OpenAI's does as well."""

VIT_B16 = PretrainConfig(
    model=BIOMEDCLIP.with_overrides(
        {
            # ImageNet's weights; Supplementary Table 3 finds random ones
            # (--model.vision.no-pretrained) as good in validation and less stable downstream.
            "vision.pretrained": True,
            # The paper names patch dropout without its rate; FLIP (arXiv 2212.00794) found 0.5.
            "vision.patch_dropout": 0.5,
            "vision.gradient_checkpointing": True,
            "text.hf_name": BIOMEDBERT,
            "text.context_length": 256,
            "text.gradient_checkpointing": True,
        }
    ),
    tokenizer=BIOMEDBERT,
    # The mean and deviation of CLIP. "RandomResizedCrop" is all that is said of augmentation:
    # OpenCLIP, which the paper trained with, keeps 0.9 to 1 of the picture unless told otherwise.
    pixels=PixelConfig(
        size=224,
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
        scale=(0.9, 1.0),
    ),
    optim=OptimConfig(
        lr=5e-4, weight_decay=0.2, beta1=0.9, beta2=0.98, eps=1e-6, warmup_steps=2_000
    ),
    lanes=64,
    batch_size=4_096,  # "We chose the 4k batch size to train our BiomedCLIP."
    epochs=32,  # Supplementary Table 9; Table 7 speaks of 40: --epochs 40
    precision="bf16",
    seed=0,
)
"""Supplementary Table 9 of the BiomedCLIP paper (arXiv 2303.00915): ViT-B/16 and PubMedBERT."""

VIT_S16 = VIT_B16.with_overrides({"model.vision.timm_model": "vit_small_patch16_224", "epochs": 8})
"""Supplementary Table 2, first row."""

VIT_M16 = VIT_B16.with_overrides(
    # 39 million parameters and 512 features are what the table says; timm has neither this model
    # nor weights for it.
    {
        "model.vision.pretrained": False,
        "model.vision.width": 512,
        "model.vision.heads": 8,
        "epochs": 8,
    }
)
"""Supplementary Table 2, second row."""

VIT_B16_384 = VIT_B16.with_overrides({"model.vision.image_size": 384, "pixels.size": 384})
"""Supplementary Table 4. The discussion speaks of 336 px where the tables have 384:
`--model.vision.image-size 336 --pixels.size 336`."""

VIT_B16_GPT77 = VIT_B16.with_overrides(
    {
        "model.text": {**CLIP_GPT.model_dump(mode="json"), "gradient_checkpointing": True},
        "tokenizer": OPENAI_BYTE_PAIRS,
        "epochs": 8,
    }
)
"""Supplementary Table 1, first row: a blank-slate GPT and CLIP's vocabulary in place of PubMedBERT.
Its second row: `biomedclip_vit_b16 --model.text.context-length 77 --epochs 8`."""

VIT_B16_CONTINUAL = VIT_B16.with_overrides(
    {
        "model": OPENAI_VIT_B16.with_overrides(
            {
                "vision.patch_dropout": 0.5,
                "vision.gradient_checkpointing": True,
                "text.gradient_checkpointing": True,
            }
        ).model_dump(mode="json"),
        "init": "timm/vit_base_patch16_clip_224.openai",  # OpenAI's weights in open_clip's form
        "tokenizer": OPENAI_BYTE_PAIRS,
    }
)
"""Supplementary Table 8: OpenAI's ViT-B/16, pretrained further on PMC-15M."""

RN50_CONTINUAL = VIT_B16_CONTINUAL.with_overrides(
    # A ResNet has no patches to drop; recomputed batch norms would count every batch twice.
    {
        "model": {
            **OPENAI_RN50.model_dump(mode="json"),
            "text": VIT_B16_CONTINUAL.model.text.model_dump(mode="json"),
        },
        "init": "timm/resnet50_clip.openai",
    }
)
"""Supplementary Table 8: OpenAI's ResNet-50, pretrained further on PMC-15M."""

BATCH_4K_TO_64K = VIT_B16.with_overrides({"batch_schedule": [[8, 65_536]], "epochs": 40})
"""Supplementary Table 7: 8 epochs of 4k, then 32 of 64k. The paper does not say whether its cosine
follows steps, four fifths of which then lie in the first fifth of the samples, or samples, as here:
`--optim.lr-follows steps` is OpenCLIP's way."""
