"""By what pictures are known again: the SHA-256 of the file, and the fingerprint of what it shows.

A fingerprint outlives another size and another encoding (`pictures.fingerprint`), but no turn and
no cut. Marks are taken while a picture is open for another reason, so that none is decoded twice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, UInt64
from PIL import Image

from figclip.corpus.leakage import fingerprint_words, near
from figclip.evaluation.datasets.opening import Pictures
from figclip.inputs.pixels import UnreadableImage
from figclip.pictures.fingerprint import NEAR_BITS, fingerprint


@dataclass(frozen=True)
class Marks:
    """By what the n pictures of a set are known again."""

    names: tuple[str, ...]
    sha256: tuple[str, ...]
    """Of their files, in hexadecimal; empty of a picture without a file of its own."""
    fingerprints: UInt64[np.ndarray, "n 4"]

    def only(self, places: Int[np.ndarray, " m"]) -> "Marks":
        return Marks(
            tuple(self.names[place] for place in places),
            tuple(self.sha256[place] for place in places),
            self.fingerprints[places],
        )


class Marking:
    """Takes the marks of pictures one by one."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._files: list[str] = []
        self._shown: list[bytes] = []

    def add(self, name: str, image: Image.Image, path: Path | None) -> None:
        """An open picture, and its own file where it has one."""
        self._names.append(name)
        self._files.append("" if path is None else file_hash(path))
        self._shown.append(fingerprint(image))

    @property
    def marks(self) -> Marks:
        return Marks(tuple(self._names), tuple(self._files), fingerprint_words(self._shown))


def marks_of(pictures: Pictures) -> Marks:
    """Of those that can be read, where nothing else opens them."""
    marking = Marking()
    for number, name in enumerate(pictures.names):
        try:
            image = pictures.read(number)
        except UnreadableImage:
            continue
        marking.add(name, image, None if pictures.paths is None else pictures.paths[number])
    return marking.marks


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def joined(marks: Sequence[Marks]) -> Marks:
    return Marks(
        tuple(name for one in marks for name in one.names),
        tuple(file for one in marks for file in one.sha256),
        np.concatenate([np.empty((0, 4), np.uint64), *(one.fingerprints for one in marks)]),
    )


def known_in(
    marks: Marks,
    files: Sequence[str] | pa.ChunkedArray,
    fingerprints: UInt64[np.ndarray, "m 4"],
    *,
    max_bits: int = NEAR_BITS,
) -> Bool[np.ndarray, " n"]:
    """Whether the very file, or a picture within `max_bits`, is among m others.

    A plain picture is known by its file alone.
    """
    others = files if isinstance(files, pa.ChunkedArray) else pa.array(files, pa.string())
    mine = pa.array(marks.sha256, pa.string())
    same = pc.is_in(mine, value_set=others, skip_nulls=True).to_numpy(zero_copy_only=False)
    found: Bool[np.ndarray, " n"] = same & np.array([file != "" for file in marks.sha256], bool)
    left = np.flatnonzero(~found)
    for _, ours in near(fingerprints, marks.fingerprints[left], max_bits):
        found[left[ours]] = True
    return found


def repeated(marks: Marks, others: Marks) -> Bool[np.ndarray, " n"]:
    """Whether each picture is among the others as well, be it as another file."""
    return known_in(marks, others.sha256, others.fingerprints)
