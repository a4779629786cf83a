"""Sets of labelled pictures as an encoder sees them: vectors, labels, what could not be read."""

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.opening import Pictures, opened
from figclip.evaluation.marks import Marking, Marks
from figclip.inputs.pixels import UnreadableImage

log = logging.getLogger(__name__)

NUM_NAMED = 20
"""Unreadable pictures that a result names; all are counted."""


@dataclass(frozen=True)
class Embedded:
    """Those of some pictures that could be read, m of n."""

    vectors: Float[np.ndarray, "m dim"]
    """Unit vectors."""
    kept: Int[np.ndarray, " m"]
    """Their places among all."""
    faults: Mapping[str, str]
    """Name of each other one → why it could not."""
    checksum: str
    """SHA-256 of what is said of each, its size and its pixels, in order."""
    marks: Marks
    """By what the m are known again."""


@dataclass(frozen=True)
class EmbeddedSet:
    """The pictures of one part of a set that could be read."""

    vectors: Float[np.ndarray, "n dim"]
    """Unit vectors."""
    labels: Int[np.ndarray, " n"]
    """Places of their classes in the declaration."""
    kept: Int[np.ndarray, " n"]
    """Their own places among all pictures of the part."""
    num_unreadable: int
    unreadable: Mapping[str, str]
    """Name → why; the first of them."""
    checksum: str
    """SHA-256 of names, labels and pixels of the pictures, in order."""
    marks: Marks
    """By what they are known again, and their names."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.marks.names


See = Callable[[Dataset], EmbeddedSet]
"""A set, or its training part → its pictures as an encoder sees them."""


def seeing(encoder: Encoder, data: str, *, batch_size: int) -> See:
    """`embed_set`, which takes most of an evaluation's time, once for each part of a set."""
    known: dict[tuple[str, str, tuple[str, ...]], EmbeddedSet] = {}

    def see(dataset: Dataset) -> EmbeddedSet:
        key = dataset.place, dataset.files.to_json(), dataset.labels
        if key not in known:
            known[key] = embed_set(encoder, dataset, data, batch_size=batch_size)
        return known[key]

    return see


def marks_seen(see: See, datasets: Sequence[Dataset]) -> dict[str, Marks]:
    """By what the pictures that are judged by are known again, by the titles of their sets."""
    return {one.title: see(one).marks for one in datasets}


def embed_set(encoder: Encoder, dataset: Dataset, data: str, *, batch_size: int) -> EmbeddedSet:
    """The pictures of a set below the folder `data`.

    `UsageError` where files are missing, no picture of some class can be read, or the encoder
    gives no numbers.
    """
    with opened(dataset, data) as examples:
        said = [f"{name} {n} " for name, n in zip(examples.names, examples.labels, strict=True)]
        found = embed_pictures(encoder, examples, said, batch_size=batch_size)
    labels, faults = examples.labels[found.kept], found.faults
    if faults:
        log.warning("%s: %d of %d unreadable", dataset.title, len(faults), len(examples.labels))
    if lost := set(range(len(dataset.classes))) - set(labels.tolist()):
        name, why = next(iter(faults.items()))
        raise UsageError(
            f"{dataset.title}: no picture of {dataset.labels[min(lost)]!r} can be read; the first "
            f"that cannot is {name}: {why}"
        )
    return EmbeddedSet(
        vectors=found.vectors,
        labels=labels,
        kept=found.kept,
        num_unreadable=len(faults),
        unreadable=dict(list(faults.items())[:NUM_NAMED]),
        checksum=found.checksum,
        marks=found.marks,
    )


def embed_pictures(
    encoder: Encoder, pictures: Pictures, said: Sequence[str], *, batch_size: int
) -> Embedded:
    """Those that can be read; `said` is what goes into the checksum of each beside its pixels.

    `UsageError` where the encoder gives no numbers.
    """
    parts, kept, faults = [], [], {}
    seen, marking, total = hashlib.sha256(), Marking(), len(pictures.names)
    for start in range(0, total, batch_size):
        batch: list[Image.Image] = []
        for number in range(start, min(start + batch_size, total)):
            try:
                image = pictures.read(number)
            except UnreadableImage as error:
                faults[pictures.names[number]] = str(error)
                continue
            batch.append(image)
            kept.append(number)
            seen.update(f"{said[number]}{image.size}".encode())
            seen.update(image.tobytes())
            path = None if pictures.paths is None else pictures.paths[number]
            marking.add(pictures.names[number], image, path)
        if batch:
            vectors = encoder.encode_images(batch, batch_size=batch_size)
            refuse_no_numbers(encoder, vectors, [pictures.names[i] for i in kept[-len(batch) :]])
            parts.append(vectors)
    whole = np.concatenate([np.empty((0, encoder.dim), np.float32), *parts])
    numbers = np.array(kept, dtype=np.int64)
    return Embedded(whole, numbers, faults, seen.hexdigest(), marking.marks)


def is_among(names: Sequence[str], others: Collection[str]) -> Bool[np.ndarray, " n"]:
    """Of each name."""
    return np.array([name in others for name in names], dtype=bool)


def refuse_no_numbers(
    encoder: Encoder, vectors: Float[np.ndarray, "n dim"], names: Sequence[str]
) -> None:
    """`UsageError` names the first that is not finite."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise UsageError(
            f"{encoder.name} gives no finite numbers for {names[bad[0]]!r} and {len(bad) - 1} "
            f"more: its weights are broken; take another checkpoint"
        )
