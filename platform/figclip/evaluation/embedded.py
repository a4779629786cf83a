"""Sets of labelled pictures as an encoder sees them: vectors, labels, what could not be read."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.opening import Examples, opened
from figclip.inputs.pixels import UnreadableImage

log = logging.getLogger(__name__)

NUM_NAMED = 20
"""Unreadable pictures that a result names; all are counted."""


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


def embed_set(encoder: Encoder, dataset: Dataset, data: str, *, batch_size: int) -> EmbeddedSet:
    """The pictures of a set below the folder `data`.

    `UsageError` where files are missing, no picture of some class can be read, or the encoder
    gives no numbers.
    """
    with opened(dataset, data) as examples:
        vectors, kept, faults, checksum = _embedded(encoder, examples, batch_size)
        labels = examples.labels[kept]
    if faults:
        log.warning("%s: %d of %d unreadable", dataset.title, len(faults), len(examples.labels))
    if lost := set(range(len(dataset.classes))) - set(labels.tolist()):
        name, why = next(iter(faults.items()))
        raise UsageError(
            f"{dataset.title}: no picture of {dataset.labels[min(lost)]!r} can be read; the first "
            f"that cannot is {name}: {why}"
        )
    named = dict(list(faults.items())[:NUM_NAMED])
    return EmbeddedSet(vectors, labels, np.array(kept), len(faults), named, checksum)


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


def _embedded(
    encoder: Encoder, examples: Examples, batch_size: int
) -> tuple[Float[np.ndarray, "m dim"], list[int], dict[str, str], str]:
    """Vectors of the pictures that can be read, their places, what is wrong with the others, and
    the checksum."""
    parts, kept, faults = [], [], {}
    seen, total = hashlib.sha256(), len(examples.labels)
    for start in range(0, total, batch_size):
        batch: list[Image.Image] = []
        for number in range(start, min(start + batch_size, total)):
            name = examples.names[number]
            try:
                image = examples.read(number)
            except UnreadableImage as error:
                faults[name] = str(error)
                continue
            batch.append(image)
            kept.append(number)
            seen.update(f"{name} {examples.labels[number]} {image.size}".encode())
            seen.update(image.tobytes())
        if batch:
            vectors = encoder.encode_images(batch, batch_size=batch_size)
            refuse_no_numbers(encoder, vectors, [examples.names[i] for i in kept[-len(batch) :]])
            parts.append(vectors)
    whole = np.concatenate(parts) if parts else np.empty((0, encoder.dim), dtype=np.float32)
    return whole, kept, faults, seen.hexdigest()
