"""Which recipe finds most for its cost? A joint search over what the other questions ask alone."""

from figclip.tuning.spaces import Between, Budget, Space

SIDE = "model.vision.image_size & pixels.size"

SPACE = Space(
    question="Which recipe finds most for its cost?",
    with_cost=True,
    budgets={
        # The base is what `make demo` trains, and every trial sees as many samples.
        "tiny": Budget(
            base="tiny",
            search={
                "optim.lr": Between(low=7e-4, high=2e-3, log=True),
                "batch_size": (32, 64),
                "model.vision.patch_size": (8, 16),
                "model.text.context_length": (32, 128),
            },
            num_samples=12,
            num_seeds=3,
            scheduler="asha",
        ),
        "paper": Budget(
            base="biomedclip_vit_b16",
            fixed={"epochs": 8},
            search={
                "optim.lr": Between(low=1e-4, high=2e-3, log=True),
                "optim.weight_decay": (0.05, 0.2, 0.5),
                "batch_size": (2_048, 4_096, 8_192),
                SIDE: (224, 288, 384),
                "model.text.context_length": (77, 128, 256),
                "model.vision.patch_dropout": (0.0, 0.25, 0.5),
            },
            num_samples=32,
            num_seeds=1,
            scheduler="asha",
        ),
    },
)
