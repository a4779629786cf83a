"""Does a larger batch find more?"""

from figclip.tuning.record import PaperTable
from figclip.tuning.spaces import Budget, Space

SPACE = Space(
    question="Does a larger batch find more?",
    paper=PaperTable(
        source="Supplementary Table 6",
        columns=("batch size", "img2txt (%) R@1", "txt2img (%) R@1"),
        rows=(("2k", 79.69, 78.43), ("4k", 82.90, 81.86)),
    ),
    budgets={
        "tiny": Budget(base="tiny", fixed={"epochs": 2}, grid={"batch_size": (16, 32, 64)}),
        "paper": Budget(
            base="biomedclip_vit_b16", grid={"batch_size": (2_048, 4_096)}, num_seeds=1
        ),
    },
)
