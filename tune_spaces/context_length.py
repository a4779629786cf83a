"""Do longer texts find more?"""

from figclip.tuning.record import PaperTable
from figclip.tuning.spaces import Budget, Space

LENGTH = "model.text.context_length"

SPACE = Space(
    question="Do longer texts find more?",
    paper=PaperTable(
        source="Supplementary Table 1, PubMedBERT",
        columns=("context length", "loss", "img2txt (%) R@1", "txt2img (%) R@1"),
        rows=((77, 0.5776, 69.03, 67.41), (256, 0.4807, 73.50, 72.26)),
    ),
    budgets={
        "tiny": Budget(base="tiny", fixed={"epochs": 2}, grid={LENGTH: (8, 32, 128)}),
        "paper": Budget(
            base="biomedclip_vit_b16",
            fixed={"epochs": 8},
            grid={LENGTH: (77, 256)},
            num_seeds=1,
        ),
    },
)
