"""Stand-ins for what an evaluation needs, for who has not got it: drawn sets, random encoders.

`python -m jobs.stand_ins sets --data DIR` draws every published set in little, in its own layout;
`python -m jobs.stand_ins encoders --out DIR` writes a BiomedCLIP and an OpenAI CLIP of random
weights, in the released shapes and in open_clip's files. What is measured by them says whether an
evaluation runs, and how long; nothing else.
"""

import logging
from pathlib import Path

import torch
from pydantic import NonNegativeInt, PositiveInt

from figclip.config import UsageError
from figclip.evaluation.datasets.captioned import drawn_captions, write_captions
from figclip.evaluation.datasets.drawn import write_kinds
from figclip.evaluation.datasets.stand_ins import write_stand_ins
from figclip.evaluation.proxy.stand_in import write_ward
from figclip.evaluation.vqa.stand_ins import write_question_stand_ins
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.tokens import train_wordpiece
from figclip.models.clip import BIOMEDCLIP, OPENAI_VIT_B16, Clip
from figclip.models.open_clip import write_open_clip
from figclip.store import Store
from jobs.entry import Job, run

log = logging.getLogger(__name__)

SHAPES = {"biomedclip": BIOMEDCLIP, "openai-clip": OPENAI_VIT_B16}
"""Folder → its model: 195,902,721 and 149,620,737 parameters."""
NUM_CAPTIONS, VOCABULARY_SIZE = 500, 2_000
"""What the vocabulary is trained on, and its size at most: the released ones are a hub's."""


class SetsJob(Job):
    """The published sets in little, the kinds of the miniature's pictures, captions, questions, and
    radiographs that stand for private ones."""

    data: str = "./data-drawn"
    """Folder of all sets, for `jobs.evaluate --data`."""
    num_per_class: PositiveInt = 5
    """Pictures of every class."""
    num_captions: PositiveInt = 39
    """Pictures with captions, for retrieval."""
    num_asked: PositiveInt = 20
    """Pictures with questions, of each set of questions."""
    num_private: PositiveInt = 40
    """Radiographs that stand for private ones."""
    seed: NonNegativeInt = 0


class EncodersJob(Job):
    """A BiomedCLIP and an OpenAI CLIP of random weights."""

    out: str = "./encoders-drawn"
    """Folder of both, `biomedclip/` and `openai-clip/`, for `jobs.evaluate --beside`."""
    seed: NonNegativeInt = 0


PRESETS: dict[str, Job] = {"sets": SetsJob(), "encoders": EncodersJob()}


def main(config: Job) -> None:
    match config:
        case SetsJob():
            write_sets(
                _new(config.data),
                num_per_class=config.num_per_class,
                num_captions=config.num_captions,
                num_asked=config.num_asked,
                num_private=config.num_private,
                seed=config.seed,
            )
        case EncodersJob():
            write_encoders(_new(config.out), seed=config.seed)
        case _:
            raise TypeError(type(config))


def write_sets(
    data: Path,
    *,
    num_per_class: int,
    num_captions: int,
    num_asked: int,
    num_private: int,
    seed: int = 0,
) -> None:
    """Below the folder of all sets, which is empty."""
    write_stand_ins(data, num_per_class=num_per_class, seed=seed)
    write_kinds(data, num_per_class=num_per_class, seed=seed)
    write_captions(data, num=num_captions, seed=seed)
    write_question_stand_ins(data, num_pictures=num_asked, seed=seed)
    write_ward(data, num=num_private, num_seeds=num_private // 2, seed=seed)
    log.info("%s: %s", data, ", ".join(sorted(path.name for path in data.iterdir())))


def write_encoders(out: Path, *, seed: int = 0) -> None:
    """In open_clip's files, with a vocabulary of their own beside them."""
    tokenizer = train_wordpiece(drawn_captions(NUM_CAPTIONS), vocab_size=VOCABULARY_SIZE)
    pixels = PixelConfig()
    for name, shape in SHAPES.items():
        torch.manual_seed(seed)
        folder = Store(str(out)).root / name
        is_gpt = shape.text.architecture == "gpt"
        write_open_clip(
            folder,
            Clip(shape),
            shape,
            mean=pixels.mean,
            std=pixels.std,
            pad_id=tokenizer.pad_id,
            end_id=tokenizer.end_id if is_gpt else None,
        )
        tokenizer.save_for_transformers(folder)
        log.info("%s: random weights in the shape of %s", folder.path, name)


def _new(place: str) -> Path:
    path = Path(place)
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"{path} is not empty: name a new folder")
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    run(PRESETS, main, "stand_ins")
