"""Does a larger image tower find more?"""

from figclip.tuning.record import PaperTable
from figclip.tuning.spaces import Budget, Space

SPACE = Space(
    question="Does a larger image tower find more?",
    paper=PaperTable(
        source="Supplementary Table 2",
        columns=(
            "vision encoder",
            "trainable params",
            "hidden dim",
            "loss",
            "img2txt (%) R@1",
            "txt2img (%) R@1",
        ),
        rows=(
            ("ViT-S/16", "22M", 384, 0.5342, 69.45, 68.02),
            ("ViT-M/16", "39M", 512, 0.5063, 71.85, 70.22),
            ("ViT-B/16", "86M", 768, 0.4807, 73.50, 72.26),
        ),
    ),
    budgets={
        "tiny": Budget(
            base="tiny",
            fixed={"epochs": 2},
            rows=(
                {"model.vision.width": 96, "model.vision.heads": 3},
                {"model.vision.width": 192, "model.vision.heads": 3},
                {"model.vision.width": 288, "model.vision.heads": 3},
            ),
            labels=(
                ("4 blocks/16", "0.5M", 96),
                ("4 blocks/16", "2M", 192),
                ("4 blocks/16", "4M", 288),
            ),
        ),
        "paper": Budget(
            base="biomedclip_vit_b16",
            fixed={"epochs": 8},
            rows=(
                {"model.vision.timm_model": "vit_small_patch16_224"},
                # timm has neither this model nor weights for it.
                {
                    "model.vision.pretrained": False,
                    "model.vision.width": 512,
                    "model.vision.heads": 8,
                },
                {"model.vision.timm_model": "vit_base_patch16_224"},
            ),
            labels=(
                ("ViT-S/16", "22M", 384),
                ("ViT-M/16", "39M", 512),
                ("ViT-B/16", "86M", 768),
            ),
            num_seeds=1,
        ),
    },
)
