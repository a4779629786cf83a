"""A set of private pictures: a table of findings, the pictures, and seeds to look for figures by.

A set is a folder with a `proxy.json`:

    {"name": "ward", "title": "Our ward", "table": "labels.csv", "picture": "images/{image}",
     "seeds": "seeds"}

The table has a line a picture and the thirteen findings of CheXbert as columns, with the values of
MIMIC-CXR and CheXpert: 1 positive, 0 negative, -1 uncertain, blank where it is not mentioned. For
CheXpert's own tables `picture` is `{Path}`. Seeds are pictures of the same kind, here as in the
paper of another source (there MIMIC-CXR); they are as private as the rest.

No sentence of this module names a picture: messages give the number of its line.
"""

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from pydantic import Field

from figclip.config import Config, UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.pictures import SUFFIXES, picture
from figclip.evaluation.embedded import refuse_no_numbers
from figclip.evaluation.marks import Marking, Marks
from figclip.evaluation.proxy.findings import (
    BLANK,
    FINDINGS,
    NEGATIVE,
    POSITIVE,
    UNCERTAIN,
    positive,
)
from figclip.inputs.pixels import UnreadableImage

FILE = "proxy.json"
READINGS = {1.0: POSITIVE, 0.0: NEGATIVE, -1.0: UNCERTAIN}
OTHER_NAMES = {"airspace opacity": "lung opacity"}
"""Of the first release of MIMIC-CXR's labels."""


class PrivateSet(Config):
    name: str = Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")
    title: str
    """As a table's head says it."""
    table: str = "labels.csv"
    picture: str = "images/{image}"
    """Path of a line's picture; a name in braces is the line's value in that column."""
    where: dict[str, str] = Field(default_factory=dict)
    """Lines that count: those with this value in each of these columns."""
    seeds: str = "seeds"
    """Folder of the pictures by which figures are looked for."""
    folder: str = ""
    """Below the folder of all sets; unset: its name."""

    @property
    def place(self) -> str:
        return self.folder or self.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the table, but for the findings."""
        found = (*re.findall(r"\{(\w+)\}", self.picture), *self.where)
        return tuple(dict.fromkeys(found))

    def missing(self, what: str) -> str:
        return (
            f"{self.title}: there is no {what}. Expected below {self.place}/: {self.table} with "
            f"the columns {', '.join((*self.columns, *FINDINGS))}; {self.picture}; {self.seeds}/ "
            f"with pictures of the same kind"
        )


def private_in(data: str, names: Sequence[str] = ()) -> tuple[PrivateSet, ...]:
    """The sets below a folder: all that have a `proxy.json`, or those of these names."""
    found = [_declared(path) for path in sorted(Path(data).glob(f"*/{FILE}"))]
    return tuple(one for one in found if not names or one.name in names)


def _declared(path: Path) -> PrivateSet:
    try:
        found = PrivateSet.from_json(path.read_bytes())
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return found.model_copy(update={"folder": path.parent.name})


@dataclass(frozen=True)
class PrivatePictures:
    """Those that a table lists, not read yet."""

    paths: Sequence[Path]
    lines: Sequence[int]
    """Of the table, its head being the first."""
    truth: Bool[np.ndarray, "n 13"]
    """Who has which finding."""


def listed(private: PrivateSet, data: str) -> PrivatePictures:
    """`UsageError` where the table is none, or has a value that is no reading."""
    root = Path(data, private.place)
    path = root / private.table
    if not path.is_file():
        raise UsageError(private.missing(private.table))
    paths: dict[Path, int] = {}
    told: list[list[int]] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = _columns(private, reader.fieldnames or ())
        for line in reader:
            if any(line[column] != value for column, value in private.where.items()):
                continue
            number = reader.line_num
            readings = [_reading(private, line[columns[one]], one, number) for one in FINDINGS]
            place = root / private.picture.format_map(line)
            if place in paths:
                raise UsageError(
                    f"{private.title}: line {number} of {private.table} has the picture of line "
                    f"{paths[place]} again: a picture has one line"
                )
            paths[place] = number
            told.append(readings)
    if not paths:
        raise UsageError(f"{private.title}: {private.table} lists no picture that counts")
    return PrivatePictures([*paths], [*paths.values()], positive(np.array(told)))


def _columns(private: PrivateSet, header: Sequence[str]) -> dict[str, str]:
    """Finding → its column, however it is capitalised."""
    folded = {_folded(name): name for name in header}
    lacking = [one for one in private.columns if one not in header]
    lacking += [one for one in FINDINGS if _folded(one) not in folded]
    if lacking:
        raise UsageError(
            f"{private.title}: {private.table} has no column {', '.join(lacking)}; a line has all "
            f"thirteen findings, as the tables of MIMIC-CXR and CheXpert do"
        )
    return {one: folded[_folded(one)] for one in FINDINGS}


def _folded(name: str) -> str:
    small = name.strip().lower().replace("_", " ")
    return OTHER_NAMES.get(small, small)


def _reading(private: PrivateSet, text: str | None, finding: str, line: int) -> int:
    if not (text or "").strip():
        return BLANK
    try:
        return READINGS[float(text or "")]
    except (ValueError, KeyError) as error:
        raise UsageError(
            f"{private.title}: line {line} of {private.table} has a value for {finding} that is "
            f"none of 1, 0, -1 and blank"
        ) from error


def seeds_of(private: PrivateSet, data: str, *, num: int, seed: int) -> list[Path]:
    """At most `num` pictures of the seeds' folder, drawn by `seed`, in the order of their paths."""
    root = Path(data, private.place, private.seeds)
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UsageError(private.missing(f"picture in {private.seeds}/"))
    chosen = np.random.default_rng(seed).permutation(len(found))[:num]
    return [found[number] for number in np.sort(chosen)]


@dataclass(frozen=True)
class PrivateVectors:
    """Pictures that could be read, as an encoder sees them."""

    vectors: Float[np.ndarray, "n dim"]
    kept: Sequence[int]
    """Their places among all."""
    checksum: str
    """SHA-256 of their pixels, in order."""
    marks: Marks
    """By what they are known again, by the number of their place: names stay out of it."""


def embed_private(
    encoder: Encoder, paths: Sequence[Path], *, what: str, batch_size: int
) -> PrivateVectors:
    """`UsageError` where none can be read, or the encoder gives no numbers; no picture is named."""
    parts, kept, seen, marking = [], [], hashlib.sha256(), Marking()
    for start in range(0, len(paths), batch_size):
        batch: list[Image.Image] = []
        for number, image in _readable(paths, range(start, min(start + batch_size, len(paths)))):
            batch.append(image)
            kept.append(number)
            seen.update(f"{image.size}".encode())
            seen.update(image.tobytes())
            marking.add(str(number), image, paths[number])
        if batch:
            vectors = encoder.encode_images(batch, batch_size=batch_size)
            refuse_no_numbers(encoder, vectors, [f"one of {what}"] * len(batch))
            parts.append(vectors)
    if not parts:
        raise UsageError(f"none of {len(paths)} pictures of {what} can be read")
    return PrivateVectors(np.concatenate(parts), kept, seen.hexdigest(), marking.marks)


def _readable(paths: Sequence[Path], numbers: range) -> Iterator[tuple[int, Image.Image]]:
    for number in numbers:
        try:
            yield number, picture(paths[number].read_bytes())
        except (UnreadableImage, OSError):
            continue
