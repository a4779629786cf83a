"""Pictures with captions for retrieval: a folder with a `captions.csv` of `image` and `caption`.

`image` is a path below the folder. Any set of pairs can be searched so; pairs of a corpus are
better embedded and searched as artifacts (`jobs.embed`, `jobs.evaluate test`).
"""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.drawn import drawing
from figclip.evaluation.datasets.opening import Pictures, files_below
from figclip.evaluation.embedded import embed_pictures, refuse_no_numbers
from figclip.evaluation.marks import Marks
from figclip.sources.synthetic.kinds import KINDS
from figclip.sources.synthetic.scenes import Scene, invent_scene

FILE = "captions.csv"
DRAWN = "drawn_captions"


@dataclass(frozen=True)
class CaptionedSet:
    """Pictures beside captions, embedded: row i of one belongs to row i of the other."""

    name: str
    images: np.ndarray
    """float32 unit vectors, [n, dim]."""
    texts: np.ndarray
    num_unreadable: int
    num_cut: int
    """Captions longer than the encoder's context."""
    checksum: str
    """SHA-256 of captions and pixels, in order."""
    names: tuple[str, ...]
    """Of the pictures."""
    marks: Marks | None = None
    """By what the pictures are known again; None of embedded pairs, whose own columns have them."""


def captioned_in(data: str) -> tuple[str, ...]:
    """Names of the folders below `data` that have a `captions.csv`."""
    return tuple(sorted(path.parent.name for path in Path(data).glob(f"*/{FILE}")))


def pictures_in(data: str, name: str) -> tuple[Pictures, list[str]]:
    """The pictures of such a folder, and the caption of each."""
    root = Path(data, name)
    lines = _lines(root / FILE)
    return files_below(root, [path for path, _ in lines]), [caption for _, caption in lines]


def embed_captioned(encoder: Encoder, data: str, name: str, *, batch_size: int) -> CaptionedSet:
    """`UsageError` where the table is none, no picture can be read, or the encoder gives no
    numbers; a picture that cannot be read is left out with its caption, and counted."""
    pictures, captions = pictures_in(data, name)
    said = [f"{caption}\n" for caption in captions]
    found = embed_pictures(encoder, pictures, said, batch_size=batch_size)
    if not len(found.kept):
        raise UsageError(
            f"{Path(data, name, FILE)}: none of its {len(captions)} pictures can be read"
        )
    kept = [captions[place] for place in found.kept]
    texts = encoder.encode_texts(kept, batch_size=batch_size)
    refuse_no_numbers(encoder, texts.vectors, kept)
    return CaptionedSet(
        name=name,
        images=found.vectors,
        texts=texts.vectors,
        num_unreadable=len(found.faults),
        num_cut=int(texts.truncated.sum()),
        checksum=found.checksum,
        names=found.marks.names,
        marks=found.marks,
    )


def write_captions(data: Path, *, num: int, seed: int = 0) -> None:
    """`drawn_captions/` below the folder of all sets: pictures of all kinds, and what they show."""
    root = data / DRAWN
    root.mkdir(parents=True)
    lines: list[Sequence[str]] = [("image", "caption")]
    for number in range(num):
        scene = _scene(number, seed)
        image = drawing(scene.kind, scene.attributes, _words(number, seed), (192, 160))
        image.save(root / f"{number:04d}.png", compress_level=1)
        lines.append((f"{number:04d}.png", _said(scene)))
    with (root / FILE).open("w", newline="") as file:
        csv.writer(file).writerows(lines)


def drawn_captions(num: int, *, seed: int = 0) -> list[str]:
    """The captions that `write_captions` writes."""
    return [_said(_scene(number, seed)) for number in range(num)]


def _words(number: int, seed: int) -> str:
    return f"captions {seed} {number}"


def _scene(number: int, seed: int) -> Scene:
    return invent_scene(KINDS[number % len(KINDS)], random.Random(_words(number, seed)))


def _said(scene: Scene) -> str:
    return " ".join([f"{scene.title}.", *scene.facts])


def _lines(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if lacking := {"image", "caption"} - {*(reader.fieldnames or ())}:
            raise UsageError(f"{path} has no column {', '.join(sorted(lacking))}")
        return [(line["image"], line["caption"]) for line in reader]
