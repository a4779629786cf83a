"""Does a batch that grows on the way find more?"""

from figclip.tuning.record import PaperTable
from figclip.tuning.spaces import Budget, Space

SPACE = Space(
    question="Does a batch that grows on the way find more?",
    paper=PaperTable(
        source="Supplementary Table 7",
        columns=("batch size", "img2txt (%) R@1", "txt2img (%) R@1"),
        rows=(("4k→4k", 83.98, 82.71), ("4k→64k", 87.32, 86.66)),
    ),
    budgets={
        "tiny": Budget(
            base="tiny",
            fixed={"epochs": 2},
            rows=({"batch_schedule": []}, {"batch_schedule": [[1, 128]]}),
            labels=(("32→32",), ("32→128",)),
        ),
        "paper": Budget(
            base="biomedclip_vit_b16",
            fixed={"epochs": 40},
            rows=({"batch_schedule": []}, {"batch_schedule": [[8, 65_536]]}),
            labels=(("4k→4k",), ("4k→64k",)),
            num_seeds=1,
        ),
    },
)
