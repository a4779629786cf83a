"""Panels of anybody's pairs: a line of JSON or a row of Parquet in, one out, in the same order."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from figclip.config import UsageError
from figclip.panels.rows import LONGEST_SIDE, scaled
from figclip.panels.split import SplitFigure, split_pair, whole_figure
from figclip.pictures.opening import ImageError
from figclip.pictures.reading import read_picture, size_of

Record = Mapping[str, Any]

COLUMNS = ("image", "caption", "mentions")

OUTPUT_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        (
            "panels",
            pa.list_(
                pa.struct(
                    [
                        ("label", pa.string()),
                        ("box", pa.list_(pa.int32(), 4)),
                        ("label_box", pa.list_(pa.int32(), 4)),
                        ("caption", pa.list_(pa.string())),
                        ("mentions", pa.list_(pa.string())),
                        ("confidence", pa.float32()),
                    ]
                )
            ),
        ),
        ("shared", pa.list_(pa.string())),
        ("notes", pa.list_(pa.string())),
    ]
)
"""Of the output where it is Parquet; a line of JSON has the same names."""


@dataclass(frozen=True)
class Chunk:
    """Records that are split together."""

    number: int
    start: int
    """Of lines: the byte of the first; of Parquet: the row group."""
    num_lines: int
    """0 for Parquet, where all of the group is meant."""


def chunks_of(path: Path, *, num_lines: int) -> list[Chunk]:
    """All records of a `.parquet` file, or of lines of JSON, in their order.

    `UsageError` where there is no such file, or no Parquet in it, or not the columns.
    """
    try:
        if path.suffix != ".parquet":
            with path.open("rb") as lines:
                return list(_line_chunks(lines, num_lines))
        file = pq.ParquetFile(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path} is no Parquet file: {error}") from error
    if not {"image", "caption"} <= set(file.schema_arrow.names):
        raise UsageError(f"{path} needs columns `image` (a path, or bytes) and `caption`")
    return [Chunk(number, number, 0) for number in range(file.num_row_groups)]


def _line_chunks(lines: BinaryIO, num_lines: int) -> Iterator[Chunk]:
    number = start = count = place = 0
    for line in lines:
        count += 1
        place += len(line)
        if count == num_lines:
            yield Chunk(number, start, count)
            number, start, count = number + 1, place, 0
    if count:
        yield Chunk(number, start, count)


def records_of(path: Path, chunk: Chunk) -> Iterator[Record]:
    """A chunk's records; a line that is none is one with the fault alone, an empty line nothing."""
    if not chunk.num_lines:
        file = pq.ParquetFile(path)
        columns = [name for name in COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(8, row_groups=[chunk.start], columns=columns):
            yield from batch.to_pylist()
        return
    with path.open("rb") as lines:
        lines.seek(chunk.start)
        yield from (_record(line) for line in islice(lines, chunk.num_lines) if line.strip())


def _record(line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        return {"fault": f"bad_line: no JSON ({error})"}
    return record if isinstance(record, dict) else {"fault": "bad_line: no JSON object"}


def split_record(record: Record, folders: Sequence[Path]) -> dict[str, Any]:
    """The output of one record; a relative path of an image starts at the first folder that has it.

    Nothing is an error: what cannot be split comes out whole, or without panels where it is no
    picture, with a note.
    """
    image, caption, mentions = (record.get(name) for name in ("image", "caption", "mentions"))
    named = image if isinstance(image, str) else None
    fault = record.get("fault") or _fault(image, caption, mentions)
    if fault:
        words = [caption] if isinstance(caption, str) and caption else []
        return {"image": named, "panels": [], "shared": words, "notes": [fault]}
    caption, mentions = caption or "", mentions or []
    try:
        data = image if isinstance(image, bytes) else _read(str(image), folders)
    except OSError as error:
        notes = [f"missing_image: {error.strerror}"]
        return {
            "image": named,
            "panels": [],
            "shared": [caption] if caption else [],
            "notes": notes,
        }
    found = _split(data, caption, mentions)
    if found is None:
        notes = ["not_an_image: no picture of a known format"]
        return {
            "image": named,
            "panels": [],
            "shared": [caption] if caption else [],
            "notes": notes,
        }
    return {"image": named, **_as_json(found)}


def _read(name: str, folders: Sequence[Path]) -> bytes:
    paths = [folder / name for folder in folders]
    return next((path for path in paths if path.exists()), paths[0]).read_bytes()


def _fault(image: object, caption: object, mentions: object) -> str | None:
    """Why a record is none, if it is."""
    if not isinstance(image, str | bytes):
        return "bad_line: `image` must be a path"
    if not isinstance(caption, str | None):
        return "bad_line: `caption` must be text"
    is_list = isinstance(mentions, list) and all(isinstance(text, str) for text in mentions)
    return None if mentions is None or is_list else "bad_line: `mentions` must be a list of texts"


def _split(data: bytes, caption: str, mentions: list[str]) -> SplitFigure | None:
    try:
        view = read_picture(data, longest_side=LONGEST_SIDE)
    except ImageError as error:
        size = size_of(data)
        return size and whole_figure(size, caption, mentions, str(error))
    return scaled(split_pair(view.levels, caption, mentions), view)


def _as_json(found: SplitFigure) -> dict[str, Any]:
    panels = [
        {
            "label": panel.label or None,
            "box": list(panel.box),
            "label_box": panel.label_box and list(panel.label_box),
            "caption": list(panel.caption),
            "mentions": list(panel.mentions),
            "confidence": round(panel.confidence, 3),
        }
        for panel in found.panels
    ]
    return {"panels": panels, "shared": list(found.shared), "notes": list(found.notes)}


@contextmanager
def lines_writer(path: Path, *, is_parquet: bool) -> Iterator[Callable[[list[Record]], None]]:
    """What writes output records to a file, in either form."""
    if is_parquet:
        with pq.ParquetWriter(path, OUTPUT_SCHEMA, compression="zstd") as writer:
            yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema=OUTPUT_SCHEMA))
        return
    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        yield lambda rows: file.writelines(
            json.dumps(row, ensure_ascii=False) + "\n" for row in rows
        )
