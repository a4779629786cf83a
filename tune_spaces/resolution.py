"""Do larger pictures find more, and at what cost?"""

from figclip.tuning.record import PaperTable
from figclip.tuning.spaces import Budget, Space

SIDE = "model.vision.image_size & pixels.size"

SPACE = Space(
    question="Do larger pictures find more, and at what cost?",
    paper=PaperTable(
        source="Supplementary Table 4",
        columns=(
            "image size",
            "training time",
            "loss",
            "img2txt (%) R@1",
            "txt2img (%) R@1",
        ),
        rows=(
            ("224px", "1.00x", 0.3819, 82.90, 81.86),
            ("384px", "1.92x", 0.3406, 84.63, 83.56),
        ),
    ),
    downstream=PaperTable(
        source="Supplementary Table 5",
        columns=(
            "image size",
            "PCam",
            "LC25000 (Lung)",
            "LC25000 (Colon)",
            "TCGA-TIL",
            "RSNA",
            "mean",
        ),
        # The head of the printed table has lost the name of its fifth dataset; the paper's five
        # are PCam, LC25000 (lung), LC25000 (colon), TCGA-TIL and RSNA.
        rows=(
            ("224px", 73.41, 65.23, 92.98, 67.04, 78.95, 75.52),
            ("384px", 67.15, 61.80, 87.42, 57.00, 78.49, 70.37),
        ),
    ),
    zero_shot=True,
    budgets={
        "tiny": Budget(base="tiny", fixed={"epochs": 2}, grid={SIDE: (48, 64, 96)}),
        "paper": Budget(base="biomedclip_vit_b16", grid={SIDE: (224, 384)}, num_seeds=1),
    },
)
