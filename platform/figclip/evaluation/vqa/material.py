"""Questions and pictures as tensors: what is learned from, what is asked, what is left out."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from safetensors.torch import load, save
from torch import Tensor

from figclip.config import UsageError
from figclip.evaluation.datasets.pictures import picture
from figclip.evaluation.embedded import NUM_NAMED
from figclip.evaluation.marks import Marking, Marks, repeated
from figclip.evaluation.vqa.questions import Question, Questions, Vocabulary, answers_of
from figclip.inputs.pixels import PixelConfig, UnreadableImage, eval_crop
from figclip.inputs.tokens import Tokenizer
from figclip.store import Folder

log = logging.getLogger(__name__)

FILE = "questions.safetensors"
MOST_TOKENS = 50
"""Of a question, METER's; a shorter context of the encoder counts."""


@dataclass(frozen=True)
class Part:
    """n questions."""

    ids: Int[Tensor, "n length"]
    mask: Bool[Tensor, "n length"]
    picture: Int[Tensor, " n"]
    """Places of their pictures."""
    answer: Int[Tensor, " n"]
    """Places of the true answers among the classes; -1 of one that is none."""


@dataclass(frozen=True)
class Material:
    pictures: UInt8[Tensor, "pictures 3 side side"]
    """As the encoder's own evaluation recipe crops them."""
    train: Part
    test: Part

    def save(self, folder: Folder) -> None:
        parts = {"train": self.train, "test": self.test}
        tensors = {
            f"{name}.{key}": one for name, p in parts.items() for key, one in vars(p).items()
        }
        folder.write(FILE, save({"pictures": self.pictures, **tensors}))

    @classmethod
    def load(cls, folder: Folder) -> "Material":
        tensors = load(folder.read(FILE))
        names = ("ids", "mask", "picture", "answer")
        train, test = (
            Part(**{name: tensors[f"{part}.{name}"] for name in names})
            for part in ("train", "test")
        )
        return cls(tensors["pictures"], train, test)


@dataclass(frozen=True)
class Prepared:
    """A set as one encoder is asked it."""

    material: Material
    answers: tuple[str, ...]
    """The classes."""
    test: tuple[Question, ...]
    """Those whose pictures can be read, in order."""
    num_unreadable: int
    """Questions, to learn from and to be judged by, whose pictures cannot be read."""
    unreadable: Mapping[str, str]
    """Picture → why; the first of them."""
    num_cut: int
    """Questions longer than what is read of them."""
    checksum: str
    """SHA-256 of questions, answers and pixels, of what is learned from + of what judges."""
    repeated: frozenset[str]
    """Pictures of the test part that those learned from have as well, by these or other names."""


def prepared(
    questions: Questions,
    tokenizer: Tokenizer,
    pixels: PixelConfig,
    *,
    context_length: int,
    vocabulary: Vocabulary,
) -> Prepared:
    """`UsageError` where no question of a part has a picture that can be read."""
    parts = questions.learned_from(vocabulary), questions.test
    names = list(dict.fromkeys(one.picture for part in parts for one in part))
    crops, sums, marks, faults = _crops(questions.root, names, pixels)
    kept = [tuple(one for one in part if one.picture not in faults) for part in parts]
    declared = questions.declared
    if not all(kept):
        name, why = next(iter(faults.items()))
        raise UsageError(
            f"{declared.title}: no picture of a part can be read; the first that cannot is {name}: "
            f"{why}. {declared.missing('whole folder of pictures', questions.root)}"
        )
    if faults:
        log.warning("%s: %d of %d pictures unreadable", declared.title, len(faults), len(names))
    train, test = kept
    answers = answers_of(train)
    place = {name: number for number, name in enumerate(crops)}
    length = min(MOST_TOKENS, context_length)
    made = [_part(part, tokenizer, length, place, answers) for part in kept]
    return Prepared(
        material=Material(torch.stack([*crops.values()]), made[0][0], made[1][0]),
        answers=answers,
        test=test,
        num_unreadable=sum(map(len, parts)) - len(train) - len(test),
        unreadable=dict(list(faults.items())[:NUM_NAMED]),
        num_cut=sum(num_cut for _, num_cut in made),
        checksum="+".join(_checksum(part, sums) for part in kept),
        repeated=_repeated(marks, *kept),
    )


def _part(
    questions: Sequence[Question],
    tokenizer: Tokenizer,
    length: int,
    place: Mapping[str, int],
    answers: Sequence[str],
) -> tuple[Part, int]:
    """And how many questions were cut."""
    tokens = tokenizer([one.text for one in questions], length)
    batch, number = tokens.trimmed(), {answer: place for place, answer in enumerate(answers)}
    part = Part(
        ids=batch.ids.contiguous(),
        mask=batch.mask.contiguous(),
        picture=torch.tensor([place[one.picture] for one in questions]),
        answer=torch.tensor([number.get(one.answer, -1) for one in questions]),
    )
    return part, int((tokens.num_tokens > length).sum())


def _crops(
    root: Path, names: Sequence[str], pixels: PixelConfig
) -> tuple[dict[str, Tensor], dict[str, str], Marks, dict[str, str]]:
    """Of each picture its pixels, its checksum and its marks, or what is wrong with it."""
    crops: dict[str, Tensor] = {}
    sums: dict[str, str] = {}
    faults: dict[str, str] = {}
    marking = Marking()
    for name in names:
        try:
            image = picture((root / name).read_bytes())
        except OSError as error:
            faults[name] = f"{error.strerror or error}"
            continue
        except UnreadableImage as error:
            faults[name] = str(error)
            continue
        crops[name] = eval_crop(image, pixels)
        seen = hashlib.sha256(np.array(image.size).tobytes())
        seen.update(image.tobytes())
        sums[name] = seen.hexdigest()
        marking.add(name, image, root / name)
    return crops, sums, marking.marks, faults


def _repeated(marks: Marks, train: Sequence[Question], test: Sequence[Question]) -> frozenset[str]:
    places = {name: place for place, name in enumerate(marks.names)}
    known, asked = (
        marks.only(np.array([places[name] for name in dict.fromkeys(one.picture for one in part)]))
        for part in (train, test)
    )
    return frozenset(
        name for name, is_there in zip(asked.names, repeated(asked, known), strict=True) if is_there
    )


def _checksum(questions: Sequence[Question], sums: Mapping[str, str]) -> str:
    seen = hashlib.sha256()
    for one in questions:
        words = (one.text, one.answer, str(one.is_closed), sums[one.picture])
        seen.update("\0".join(words).encode() + b"\n")
    return seen.hexdigest()
