"""Drawn sets: the kinds of the miniature's pictures, and stand-ins in the published layouts.

They are known by their `dataset.json`, whose titles say "drawn": no number of theirs passes for one
of the published sets. The stand-ins have what trips up readers: a compressed array, a radiograph
of many boxes, 16-bit and inverted DICOM, a picture that cannot be read.
"""

import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from figclip.evaluation.datasets.declaration import FILE, Class, Dataset, Folders
from figclip.sources.synthetic.kinds import KINDS
from figclip.sources.synthetic.scenes import Attributes, Kind, Scene, invent_scene

WORDS = {
    "ct": "CT",
    "mri": "MRI",
    "xray": "X-ray",
    "ultrasound": "ultrasound",
    "histology": "histology of tissue",
    "fluorescence": "immunofluorescence",
    "gel": "blot or gel with lanes",
    "bar chart": "bar chart with bars",
    "line chart": "line chart with curves",
    "scatter plot": "scatter plot",
    "survival curve": "Kaplan–Meier survival curves",
    "heat map": "heat map in a colour scale",
    "flow chart": "flow chart of steps",
}
"""Kind → as the miniature's captions say it."""

KIND_SET = Dataset(
    name="drawn_kinds",
    title="drawn kinds",
    files=Folders(folder="test"),
    train=Folders(folder="train"),
    classes=tuple(
        Class(label=kind.name.replace(" ", "_"), words=WORDS[kind.name]) for kind in KINDS
    ),
    templates=("{}.", "{} of the", "image of {}"),
    source="jobs.evaluate zero_shot, which draws it",
    license="CC0",
)
"""Which kind of picture of the miniature is this?"""


def write_kinds(data: Path, *, num_per_class: int, seed: int = 0) -> None:
    """`drawn_kinds/` below the folder of all sets: equally many pictures of every kind, to learn
    from and as many others to be judged by."""
    root = data / KIND_SET.place
    for part, words in (("test", ""), ("train", " train")):
        for kind, one in zip(KINDS, KIND_SET.classes, strict=True):
            folder = root / part / one.label
            folder.mkdir(parents=True)
            for number in range(num_per_class):
                image = drawing(kind, {}, f"{seed} {one.label} {number}{words}", (192, 160))
                image.save(folder / f"{number:04d}.png", compress_level=1)
    (root / FILE).write_text(KIND_SET.to_json())


def drawing(
    kind: Kind, attributes: Mapping[str, str], seed: str, size: tuple[int, int]
) -> Image.Image:
    """A picture of that kind with these attributes, the others as the seed has them."""
    invented = invent_scene(kind, random.Random(seed)).attributes
    chosen: Attributes = {**invented, **attributes}
    rng = np.random.default_rng(list(seed.encode()))
    return Scene(kind, chosen).draw(rng, size)
