"""Questions about pictures: one of them, a whole set in its parts, and the answers it knows."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from figclip.config import Config

Layout = Literal["vqa_rad", "slake"]
Vocabulary = Literal["train", "train_validation"]
"""Whose answers are the classes, and whose questions are learned from."""

PUBLIC, PUBLIC_IMAGES = "VQA_RAD Dataset Public.json", "VQA_RAD Image Folder"
PARTS = ("trainset.json", "valset.json", "testset.json")
SLAKE_PARTS = ("Slake1.0/train.json", "Slake1.0/validate.json", "Slake1.0/test.json")
EXPECTED: dict[Layout, str] = {
    "vqa_rad": f"{PUBLIC} and the pictures in {PUBLIC_IMAGES}/; or, as it was cut anew, "
    f"{PARTS[0]}, {PARTS[2]} and (where there is one) {PARTS[1]}, the pictures in images/",
    "slake": f"{', '.join(SLAKE_PARTS)} and the pictures in Slake1.0/imgs/",
}


class VqaSet(Config):
    """Where a set of questions lies, and how. One of one's own says so in a `questions.json`."""

    name: str = Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")
    title: str
    """As a table's head says it."""
    layout: Layout
    folder: str = ""
    """Below the folder of all sets; unset: its name."""
    source: str = ""
    """Where to get it."""
    license: str = ""

    @property
    def place(self) -> str:
        """Its own folder, below that of all sets."""
        return self.folder or self.name

    def missing(self, what: str, root: object) -> str:
        """The sentence for who has not got the files."""
        terms = f" ({self.license})" if self.license else ""
        source = f" It is to be had from {self.source}{terms}." if self.source else ""
        return (
            f"{self.title}: {root} has no {what}.{source} Expected there: {EXPECTED[self.layout]}"
        )


VQA_RAD = VqaSet(
    name="vqa_rad",
    title="VQA-RAD",
    layout="vqa_rad",
    source="https://osf.io/89kps/",
    license="CC0",
)
"""315 radiographs, CTs and MRIs, 3,064 questions to learn from and 451 to be judged by, about the
same pictures; Lau et al. 2018, https://doi.org/10.1038/sdata.2018.251."""

SLAKE = VqaSet(
    name="slake",
    title="SLAKE (English)",
    layout="slake",
    source="https://www.med-vqa.com/slake/",
    license="CC BY 4.0",
)
"""642 radiographs, CTs and MRIs; of their English questions 4,919 to learn from, 1,053 to validate
by and 1,061 to be judged by, about other pictures; Liu et al. 2021, arXiv 2102.09542."""

PUBLISHED = (VQA_RAD, SLAKE)


@dataclass(frozen=True)
class Question:
    text: str
    answer: str
    """As `plain_answer` has it."""
    is_closed: bool
    """One of a few answers fits, mostly yes or no."""
    picture: str
    """Path below the set's folder."""


@dataclass(frozen=True)
class Questions:
    """A set, read."""

    declared: VqaSet
    root: Path
    train: tuple[Question, ...]
    validation: tuple[Question, ...]
    """Empty where the set has none."""
    test: tuple[Question, ...]

    def learned_from(self, vocabulary: Vocabulary) -> tuple[Question, ...]:
        """`train` keeps the validation part out, answers and all; `train_validation` takes both
        parts for one, as METER does of VQAv2."""
        return self.train if vocabulary == "train" else (*self.train, *self.validation)


def plain_answer(value: object) -> str:
    """Small letters, white space folded, no full stop: what two answers are compared by.

    Published answers are texts, and some of them numbers.
    """
    return " ".join(str(value).lower().split()).removesuffix(".")


def answers_of(questions: Iterable[Question]) -> tuple[str, ...]:
    """The classes: every answer once, in order."""
    return tuple(sorted({one.answer for one in questions}))
