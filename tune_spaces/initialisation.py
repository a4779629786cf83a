"""Do weights from elsewhere help?"""

from figclip.tuning.record import PaperTable
from figclip.tuning.spaces import Budget, Space

WHOLE_TINY_VIT = {
    "model.vision.width": None,
    "model.vision.depth": None,
    "model.vision.heads": None,
    "model.vision.patch_size": None,
}
"""ImageNet's weights fit timm's own sizes alone."""

OPENAI_TEXT = {
    "model.text.architecture": "gpt",
    "model.text.hf_name": None,
    "model.text.vocab_size": 49_408,
    "model.text.hidden_size": 512,
    "model.text.heads": 8,
    "model.text.intermediate_size": 2_048,
    "model.text.max_positions": 77,
    "model.text.context_length": 77,
    "model.text.activation": "quick_gelu",
    "tokenizer": "openai/clip-vit-base-patch16",
    "model.vision.pretrained": False,
}

SPACE = Space(
    question="Do weights from elsewhere help?",
    paper=PaperTable(
        source="Supplementary Table 3",
        columns=(
            "vision encoder",
            "initialization",
            "loss",
            "img2txt (%) R@1",
            "txt2img (%) R@1",
        ),
        rows=(
            ("ViT-B/16", "random initialization", 0.3814, 83.15, 81.75),
            ("ViT-B/16", "pretrained on ImageNet", 0.3819, 82.90, 81.86),
        ),
    ),
    downstream=PaperTable(
        source="Supplementary Table 8",
        columns=("model", "config", "data", "img2txt (%) R@1", "txt2img (%) R@1"),
        rows=(
            ("OpenAI CLIP", "ResNet-50-224-GPT/77", "WIT-400M", 10.31, 10.38),
            ("OpenAI CLIP", "ViT-B/16-224-GPT/77", "WIT-400M", 11.82, 11.65),
            ("BiomedCLIP", "ResNet-50-224-GPT/77", "WIT-400M → PMC-15M", 81.17, 80.17),
            ("BiomedCLIP", "ViT-B/16-224-GPT/77", "WIT-400M → PMC-15M", 81.57, 80.89),
            (
                "BiomedCLIP",
                "ViT-B/16-224-BERT/256",
                "ImageNet/PubMed → PMC-15M",
                82.90,
                81.86,
            ),
        ),
    ),
    budgets={
        # ImageNet's weights come from timm's hub, or its cache.
        "tiny": Budget(
            base="tiny",
            fixed={"epochs": 2},
            rows=(
                {**WHOLE_TINY_VIT, "model.vision.pretrained": False},
                {**WHOLE_TINY_VIT, "model.vision.pretrained": True},
            ),
            labels=(
                ("ViT-Ti/16", "random initialization"),
                ("ViT-Ti/16", "pretrained on ImageNet"),
            ),
        ),
        "paper": Budget(
            base="biomedclip_vit_b16",
            rows=({"model.vision.pretrained": False}, {"model.vision.pretrained": True}),
            labels=(("ViT-B/16", "random initialization"), ("ViT-B/16", "pretrained on ImageNet")),
            num_seeds=1,
        ),
        "continual": Budget(
            base="biomedclip_vit_b16",
            rows=(
                {
                    **OPENAI_TEXT,
                    "model.vision.timm_model": "resnet50_clip",
                    "model.vision.patch_dropout": 0.0,
                    "model.vision.gradient_checkpointing": False,
                    "model.embed_dim": 1_024,
                    "init": "timm/resnet50_clip.openai",
                },
                {
                    **OPENAI_TEXT,
                    "model.vision.timm_model": "vit_base_patch16_clip_quickgelu_224",
                    "init": "timm/vit_base_patch16_clip_224.openai",
                },
                {"model.vision.pretrained": True},
            ),
            labels=(
                ("BiomedCLIP", "ResNet-50-224-GPT/77", "WIT-400M → PMC-15M"),
                ("BiomedCLIP", "ViT-B/16-224-GPT/77", "WIT-400M → PMC-15M"),
                ("BiomedCLIP", "ViT-B/16-224-BERT/256", "ImageNet/PubMed → PMC-15M"),
            ),
            num_seeds=1,
        ),
    },
)
