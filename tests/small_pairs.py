"""A pairs artifact of drawn shapes, written by hand in the layout that ingestion publishes."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from figclip.schema import PAIR_SCHEMA
from figclip.store import Folder, Store

COLOURS = {"red": (200, 40, 30), "green": (40, 180, 60), "blue": (30, 60, 200), "grey": (90,) * 3}
PLACES = ("left", "right", "top", "bottom")


def publish_pairs(
    root: Path,
    *,
    num_train: int,
    num_validation: int = 0,
    num_test: int = 0,
    rows_per_file: int = 40,
    num_sentences: int = 1,
) -> Store:
    """A store with `pairs@small`; row groups of eight rows, captions of `num_sentences`."""
    store = Store(root)
    with store.publishing("pairs", "small", config={}) as publication:
        folder = Path(publication.folder.path)
        sizes = {"train": num_train, "validation": num_validation, "test": num_test}
        for split, size in sizes.items():
            rows = [pair(i, split, num_sentences) for i in range(size)]
            for start in range(0, size, rows_per_file):
                path = folder / split / f"{start // rows_per_file:05d}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                table = pa.Table.from_pylist(rows[start : start + rows_per_file], PAIR_SCHEMA)
                pq.write_table(table, path, row_group_size=8, compression="zstd")
    return store


def damage(
    folder: Folder, name: str, *, broken: int | Iterable[int] = (), silent: int | None = None
) -> None:
    """Break the pictures of some rows of a file, and take the words of one."""
    with folder.open(name) as file:
        rows = pq.read_table(file).to_pylist()
    for row in [broken] if isinstance(broken, int) else broken:
        rows[row]["image"] = b"no picture"
    if silent is not None:
        rows[silent] |= {"caption": " ", "mentions": []}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, PAIR_SCHEMA), buffer, row_group_size=8)
    folder.write(name, buffer.getvalue())


def pair(number: int, split: str, num_sentences: int = 1) -> dict:
    """The row of a picture with a coloured patch on one side; its caption says which."""
    random = np.random.default_rng([number, len(split)])
    colour, place = str(random.choice([*COLOURS])), str(random.choice(PLACES))
    empty = {field.name: None for field in PAIR_SCHEMA}
    return empty | {
        "pair_id": f"PMC{number}.1/f1/f1.png",
        "pmcid": f"PMC{number}",
        "version": 1,
        "label": "Figure 1",
        "caption": " ".join(
            [f"A {colour} patch at the {place} of picture {number}."] * num_sentences
        ),
        "mentions": [f"Mention {i} of {colour} (Fig. 1)." for i in range(number % 4)],
        "image": drawn(colour, place, number),
        "width": 48,
        "height": 40,
        "split": split,
    }


def drawn(colour: str, place: str, number: int) -> bytes:
    pixels = np.full((40, 48, 3), 255, dtype=np.uint8)
    pixels[10:30, 14:34] = 40 + number % 150
    rows, columns = {
        "left": (slice(None), slice(0, 12)),
        "right": (slice(None), slice(36, None)),
        "top": (slice(0, 10), slice(None)),
        "bottom": (slice(30, None), slice(None)),
    }[place]
    pixels[rows, columns] = COLOURS[colour]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
