"""What does a language model of biomedicine gain, and a vocabulary and a context of its own?"""

from figclip.tuning.record import PaperTable
from figclip.tuning.spaces import Budget, Space

CLIP_GPT_77 = {
    "model.text.architecture": "gpt",
    "model.text.hf_name": None,
    "model.text.vocab_size": 49_408,
    "model.text.hidden_size": 512,
    "model.text.heads": 8,
    "model.text.intermediate_size": 2_048,
    "model.text.max_positions": 77,
    "model.text.context_length": 77,
    "tokenizer": "openai/clip-vit-base-patch16",
}

SPACE = Space(
    question="What do a language model of biomedicine and a longer context gain?",
    paper=PaperTable(
        source="Supplementary Table 1",
        columns=(
            "text encoder",
            "vocab",
            "context length",
            "loss",
            "img2txt (%) R@1",
            "txt2img (%) R@1",
        ),
        rows=(
            ("GPT", "50k general domain", 77, 0.6626, 64.53, 63.56),
            ("PubMedBERT", "30k domain specific", 77, 0.5776, 69.03, 67.41),
            ("PubMedBERT", "30k domain specific", 256, 0.4807, 73.50, 72.26),
        ),
    ),
    budgets={
        # Both towers from scratch, with one vocabulary: what is left is the architecture.
        "tiny": Budget(
            base="tiny",
            fixed={"epochs": 2},
            rows=(
                {"model.text.architecture": "gpt", "model.text.context_length": 32},
                {"model.text.architecture": "bert", "model.text.context_length": 32},
                {"model.text.architecture": "bert", "model.text.context_length": 128},
            ),
            labels=(
                ("GPT", "2k of the corpus", 32),
                ("BERT", "2k of the corpus", 32),
                ("BERT", "2k of the corpus", 128),
            ),
        ),
        "paper": Budget(
            base="biomedclip_vit_b16",
            fixed={"epochs": 8},
            rows=(
                CLIP_GPT_77,
                {"model.text.context_length": 77},
                {"model.text.context_length": 256},
            ),
            labels=(
                ("GPT", "50k general domain", 77),
                ("PubMedBERT", "30k domain specific", 77),
                ("PubMedBERT", "30k domain specific", 256),
            ),
            num_seeds=1,
        ),
    },
)
