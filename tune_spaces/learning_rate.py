"""Which learning rate finds most?"""

from figclip.tuning.record import PaperTable
from figclip.tuning.spaces import Between, Budget, Space

SPACE = Space(
    question="Which learning rate finds most?",
    paper=PaperTable(
        source="Supplementary Table 9", columns=("peak learning rate",), rows=((5.0e-4,),)
    ),
    budgets={
        "tiny": Budget(
            base="tiny",
            fixed={"epochs": 4},
            search={"optim.lr": Between(low=1e-4, high=1e-2, log=True)},
            num_samples=8,
            num_seeds=1,
            scheduler="asha",
        ),
        "population": Budget(
            base="tiny",
            fixed={"epochs": 4},
            search={"optim.lr": Between(low=1e-4, high=1e-2, log=True)},
            num_samples=4,
            num_seeds=1,
            scheduler="pbt",
        ),
        "paper": Budget(
            base="biomedclip_vit_b16",
            fixed={"epochs": 8},
            search={"optim.lr": Between(low=5e-5, high=5e-3, log=True)},
            num_samples=16,
            num_seeds=1,
            scheduler="asha",
        ),
    },
)
