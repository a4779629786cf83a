"""Numbers of others that are quoted, not measured here: what the paper's text gives, and no more.

The paper draws the numbers of most baselines as bars (Fig. 2 A, Fig. 3, Fig. 4 A) without writing
them down; those are named with their figure, and without a number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from figclip.evaluation.datasets.published import BIOMEDCLIP_224, PAPER

Quoting = Literal["retrieval", "zero_shot", "probe", "vqa", "proxy"]

SOURCE = "Zhang et al., BiomedCLIP, arXiv 2303.00915"


@dataclass(frozen=True)
class Quoted:
    """One number as somebody published it."""

    task: Quoting
    model: str
    set: str
    measure: str
    value: str
    """In per cent, as it is written; – where the source only draws it."""
    where: str
    """In the source: a table, a figure, or the text."""


BIOMEDCLIP_384 = {
    "pcam": 67.15,
    "lc25000_lung": 61.80,
    "lc25000_colon": 87.42,
    "tcga_til": 57.00,
    "rsna": 78.49,
    "mean": 70.37,
}
"""Supplementary Table 5, 384 px."""
VALIDATION = (
    ("OpenAI CLIP (ResNet-50-224-GPT/77)", "10.31", "10.38"),
    ("OpenAI CLIP (ViT-B/16-224-GPT/77)", "11.82", "11.65"),
    ("BiomedCLIP (ResNet-50-224-GPT/77)", "81.17", "80.17"),
    ("BiomedCLIP (ViT-B/16-224-GPT/77)", "81.57", "80.89"),
    ("BiomedCLIP (ViT-B/16-224-BERT/256)", "82.90", "81.86"),
)
"""Supplementary Table 8: recall@1 among the validation part of PMC-15M, image → text and back."""
FIG_3_A = ("CLIP", "MedCLIP", "PubMedCLIP", "PLIP", "Med-Flamingo", "LLaVA-Med")
FIG_3_C_D = (("GLoRIA", "RSNA"), ("BioViL", "RSNA"))
FIG_4_A = ("MAML", "CLIP", "PubMedCLIP", "BiomedGPT-B", "Med-PaLM M (562B)", "LLaVA-Med")
DRAWN = "–"


def quoted_for(task: str) -> tuple[Quoted, ...]:
    return tuple(one for one in QUOTED if one.task == task)


def _retrieval() -> Iterator[Quoted]:
    tested = "PMC-15M, test (725,739 pairs)"
    yield Quoted("retrieval", "BiomedCLIP", tested, "@1", "over 56", "text, on Fig. 2 A")
    yield Quoted("retrieval", "BiomedCLIP", tested, "@5", "over 77", "text, on Fig. 2 A")
    for model in ("CLIP", "PubMedCLIP"):
        yield Quoted("retrieval", model, tested, "@1, @5, @10", DRAWN, "Fig. 2 A")
    for model, to_text, to_image in VALIDATION:
        for way, value in (("image → text @1", to_text), ("text → image @1", to_image)):
            yield Quoted("retrieval", model, "PMC-15M, validation", way, value, "Suppl. Table 8")


def _zero_shot() -> Iterator[Quoted]:
    titles = {one.name: (one.title, one.metric) for one in PAPER} | {
        "mean": ("mean of the five", "")
    }
    for pixels, values in (("224 px", BIOMEDCLIP_224), ("384 px", BIOMEDCLIP_384)):
        for name, value in values.items():
            title, metric = titles[name]
            words = "AUROC" if metric == "auroc" else metric
            model = f"BiomedCLIP ({pixels})"
            yield Quoted("zero_shot", model, title, words, f"{value:.2f}", "Suppl. Table 5")
    for model in FIG_3_A:
        yield Quoted("zero_shot", model, "the five", "", DRAWN, "Fig. 3 A, B")


def _probe() -> Iterator[Quoted]:
    for model, title in FIG_3_C_D:
        where = "Fig. 3 D, which takes it from its own paper"
        yield Quoted("probe", model, title, "accuracy at 1, 10, 100 %", DRAWN, where)


def _vqa() -> Iterator[Quoted]:
    for model in FIG_4_A:
        yield Quoted("vqa", model, "VQA-RAD, SLAKE", "accuracy, token F1", DRAWN, "Fig. 4 A")


def _proxy() -> Iterator[Quoted]:
    for label, value in (("lung opacity", "88.80"), ("atelectasis", "95.04")):
        where = "text, on Fig. 5 B"
        yield Quoted("proxy", "BiomedCLIP", "Providence, 980", f"recall, {label}", value, where)
    for model in ("PLIP", "CLIP"):
        yield Quoted("proxy", model, "Providence, 980", "recall and F1", DRAWN, "Fig. 5 B")


QUOTED: Sequence[Quoted] = (*_retrieval(), *_zero_shot(), *_probe(), *_vqa(), *_proxy())
