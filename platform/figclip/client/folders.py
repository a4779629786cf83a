"""A folder of pictures → a Parquet file of their vectors, resumed where it was cut off.

While it grows, the work lies beside it in `{out}.parts/`: a Parquet file for every `PART` pictures,
written whole or not at all. The next call reads them, and asks for what is missing only. When all
is there, they become one file, and the folder goes.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from figclip.client.calls import Client
from figclip.client.faults import ServiceError
from figclip.client.rows import Row

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff"})
PART = 256
"""Pictures that a crash can cost at most, beside those on their way."""
MODEL = b"figclip.model"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("vector", pa.list_(pa.float32())),
        ("num_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Outcome:
    """What became of a folder."""

    num_embedded: int
    """Rows of the file."""
    refused: dict[str, ServiceError]
    """Picture → why it has no vector."""


@dataclass(frozen=True)
class FolderPicture:
    """A picture of the folder; size and time tell whether it is still the one that was embedded."""

    id: str
    """The path below the folder, with `/`."""
    num_bytes: int
    modified_ns: int


def embed_folder(
    client: Client, folder: Path, out: Path, *, shows_progress: bool = True
) -> Outcome:
    """Write `out`: `id` (the path below `folder`) and `vector` of every picture there, by id.

    What an earlier call has embedded by the same model is taken over, unless the picture has
    changed since. A picture that is refused has no row. `ServiceError` where the service fails for
    good (call again, and it goes on from there), or `out` holds vectors of another model.
    """
    pictures = pictures_below(folder)
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    done = set(_pictures_of(_read(out, parts, client.model)))
    missing = [picture for picture in pictures if picture not in done]
    refused: dict[str, ServiceError] = {}
    with tqdm(
        total=len(pictures),
        initial=len(pictures) - len(missing),
        unit="picture",
        disable=not shows_progress,
    ) as bar:
        answers = zip(missing, client.embed_each(folder / one.id for one in missing), strict=True)
        for number, some in enumerate(_chunks(answers), start=_next_number(parts)):
            refused |= {one.id: row for one, row in some if isinstance(row, ServiceError)}
            rows = [(one, row) for one, row in some if isinstance(row, Row)]
            _write(parts / f"{number:06d}.parquet", _table(rows), client.model)
            bar.update(len(some))
    whole = _chosen(_read(out, parts, client.model), pictures)
    _write(out, whole, client.model)
    shutil.rmtree(parts)
    return Outcome(whole.num_rows, refused)


def pictures_below(folder: Path) -> list[FolderPicture]:
    """Files with a picture's suffix, at any depth, by their ids."""
    if not folder.is_dir():
        raise ServiceError("no_folder", f"{folder} is no folder", remedy="name one of pictures")
    found = []
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            facts = path.stat()
            name = path.relative_to(folder).as_posix()
            found.append(FolderPicture(name, facts.st_size, facts.st_mtime_ns))
    return sorted(found, key=lambda picture: picture.id)


def _chunks(
    answers: Iterator[tuple[FolderPicture, Row | ServiceError]],
) -> Iterator[list[tuple[FolderPicture, Row | ServiceError]]]:
    while some := list(islice(answers, PART)):
        yield some


def _read(out: Path, parts: Path, model: str) -> pa.Table:
    """All rows of earlier calls, the oldest first."""
    tables = [SCHEMA.empty_table()]
    for path in [out, *sorted(parts.glob("*.parquet"))]:
        if not path.exists():
            continue
        schema = pq.read_schema(path)
        made_by = (schema.metadata or {}).get(MODEL, b"").decode()
        if made_by != model:
            raise ServiceError(
                "other_model",
                f"{path} holds vectors of {made_by or 'an unknown model'}, not of {model}",
                remedy="name another file to write, or remove that one",
            )
        tables.append(pq.read_table(path).replace_schema_metadata(None))
    return pa.concat_tables(tables)


def _pictures_of(table: pa.Table) -> list[FolderPicture]:
    columns = [table[name].to_pylist() for name in ("id", "num_bytes", "modified_ns")]
    return [FolderPicture(*row) for row in zip(*columns, strict=True)]


def _chosen(table: pa.Table, pictures: Sequence[FolderPicture]) -> pa.Table:
    """The rows of these pictures as they are now, in their order; those without one left out."""
    places = {picture: place for place, picture in enumerate(_pictures_of(table))}
    return table.take([places[picture] for picture in pictures if picture in places])


def _table(rows: Sequence[tuple[FolderPicture, Row]]) -> pa.Table:
    vectors = pa.array([row.vector for _, row in rows], pa.list_(pa.float32()))
    facts = [[getattr(one, name) for one, _ in rows] for name in ("id", "num_bytes", "modified_ns")]
    return pa.table([facts[0], vectors, *facts[1:]], schema=SCHEMA)


def _next_number(parts: Path) -> int:
    return max((int(path.stem) for path in parts.glob("*.parquet")), default=-1) + 1


def _write(path: Path, table: pa.Table, model: str) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    pq.write_table(table.replace_schema_metadata({MODEL: model}), unfinished)
    unfinished.replace(path)
