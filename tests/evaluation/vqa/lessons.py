"""A small lesson: pictures of plain colours, and questions that need both picture and words."""

from pathlib import Path

import numpy as np
import torch
from pyarrow.fs import LocalFileSystem
from tiny import TINY_CLIP

from figclip.evaluation.vqa.fusion import FusionConfig
from figclip.evaluation.vqa.learning import LearnConfig, Lesson, VqaOptimConfig
from figclip.evaluation.vqa.material import Material, Part
from figclip.inputs.pixels import PixelConfig
from figclip.models.clip import Clip
from figclip.models.weights import save_weights
from figclip.store import Folder

COLOURS = ((220, 30, 30), (30, 180, 60), (40, 60, 220), (230, 210, 40), (128, 128, 128))
WORDS = ((2, 11, 12, 3), (2, 21, 22, 23, 3))
"""Ids of "which colour" and of "is it red"."""
NUM_ANSWERS = len(COLOURS) + 2
"""The colours, no and yes."""
SIDE = 32

CONFIG = LearnConfig(
    fusion=FusionConfig(num_pairs=1, width=32, heads=2, dropout=0.0),
    optim=VqaOptimConfig(lr=2e-4, fusion_times=5, head_times=10),
    epochs=40,
    batch_size=10,
)


def part_of(pictures: list[int], colours: list[int], asked: list[int]) -> Part:
    """Picture `pictures[i]` of colour `colours[i]`, asked question number `asked[i]`."""
    length = max(map(len, WORDS))
    ids = torch.zeros(len(asked), length, dtype=torch.int64)
    for row, question in zip(ids, asked, strict=True):
        row[: len(WORDS[question])] = torch.tensor(WORDS[question])
    answers = [
        len(COLOURS) + (colour == 0) if question else colour
        for colour, question in zip(colours, asked, strict=True)
    ]
    return Part(ids, ids > 0, torch.tensor(pictures), torch.tensor(answers))


def painted(colours: list[int], *, seed: int) -> torch.Tensor:
    """Noisy squares, uint8 [n, 3, side, side]."""
    noise = np.random.default_rng(seed).normal(scale=20, size=(len(colours), 3, SIDE, SIDE))
    plain = np.array([COLOURS[colour] for colour in colours])[:, :, None, None]
    return torch.from_numpy((plain + noise).clip(0, 255).astype(np.uint8))


def material_of(num_train: int, num_test: int = 0, *, both: bool = True) -> Material:
    """`num_train` pictures to learn from; without others it is asked what it learned from."""
    colours = [number % len(COLOURS) for number in range(num_train + num_test)]
    kinds = (0, 1) if both else (0,)

    def part(numbers: range) -> Part:
        rows = [(number, kind) for number in numbers for kind in kinds]
        places = [number for number, _ in rows]
        return part_of(places, [colours[n] for n in places], [kind for _, kind in rows])

    asked = range(num_train, num_train + num_test) if num_test else range(num_train)
    return Material(painted(colours, seed=0), part(range(num_train)), part(asked))


def lesson(path: Path, material: Material, config: LearnConfig = CONFIG) -> Lesson:
    """With small towers of random weights that have no dropout."""
    run = Folder(LocalFileSystem(), str(path))
    sizes = TINY_CLIP.with_overrides({"text.dropout": 0.0})
    torch.manual_seed(0)
    save_weights(run, Clip(sizes), sizes)
    material.save(run)
    return Lesson(run, config, PixelConfig(size=SIDE), NUM_ANSWERS)
