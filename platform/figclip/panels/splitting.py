"""The flows from pairs to panels: a file or a chunk at a time, each written whole or not at all."""

import json
import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from figclip.config import UsageError
from figclip.log import with_progress
from figclip.panels.alone import Chunk, chunks_of, lines_writer, records_of, split_record
from figclip.panels.pieces import run_pieces
from figclip.panels.rows import panel_rows
from figclip.schema import PAIR_SCHEMA, PANEL_PAIR_SCHEMA, SPLITS
from figclip.store import Folder, Manifest, Store
from figclip.store.resume import keep_own_files
from figclip.tasks import Workers

log = logging.getLogger(__name__)

BATCH_ROWS = 16
"""Pairs that are held as rows at once."""

CHUNK_LINES = 32
"""Figures of a file that are split together: some seconds of work."""

RECIPE = 2
"""Of the splitter: another number never goes on with the files of this one."""


def split_panels(store: Store, *, pairs_version: str, version: str, workers: Workers) -> Manifest:
    """Publish `pairs/{version}`: the panels of every pair of `pairs/{pairs_version}`.

    Each file of pairs gives one of panels, of the same name and order, in the same split. A run
    that was cut off is continued by the same call. `UsageError` where there are no pairs, or they
    are panels already.
    """
    inputs = (f"pairs@{pairs_version}",)
    config = {"stage": "split_panels", "recipe": RECIPE}
    if store.already_published("pairs", version, config, inputs):
        return store.manifest("pairs", version)
    pairs, source = store.open("pairs", pairs_version), store.manifest("pairs", pairs_version)
    if source.config.get("stage") == "split_panels":
        raise UsageError(f"{inputs[0]} are panels already: name the pairs they were made from")
    names = [name for name in pairs.files() if name.split("/")[0] in SPLITS]
    if not names:
        raise UsageError(f"{inputs[0]} hold no pair")
    with store.publishing("pairs", version, config=config, inputs=inputs, resume=True) as making:
        target = making.folder
        plan = {"config": config, "inputs": list(inputs), "created": source.created}
        keep_own_files(target, plan, names)
        missing = {name: name for name in names if not target.exists(name)}
        log.info("%d of %d files are left to split", len(missing), len(names))
        done = run_pieces(partial(split_file, pairs=pairs, target=target), missing, workers)
        for _ in with_progress(done, what="files split", total=len(missing)):
            pass
        making.counts.update(_counts(target, names))
    return store.manifest("pairs", version)


def split_file(name: str, *, pairs: Folder, target: Folder) -> str:
    """Write the panels of one file of pairs; its name."""
    with target.scratch() as scratch:
        path = scratch / "panels.parquet"
        with (
            pairs.open(name) as file,
            pq.ParquetWriter(path, PANEL_PAIR_SCHEMA, compression="zstd") as writer,
        ):
            batches = pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=PAIR_SCHEMA.names)
            for batch in batches:
                rows = [row for pair in batch.to_pylist() for row in panel_rows(pair)]
                writer.write_table(pa.Table.from_pylist(rows, schema=PANEL_PAIR_SCHEMA))
        target.take(name, path)
    return name


def _counts(target: Folder, names: list[str]) -> dict[str, Any]:
    """Panels, figures and notes, over all and by split."""
    splits: dict[str, dict[str, int]] = {}
    notes: Counter[str] = Counter()
    figures = compound = 0
    for name in names:
        with target.open(name) as file:
            columns = ["pmcid", "figure_pair_id", "panel_notes"]
            table = pq.read_table(file, columns=columns)
        of = splits.setdefault(name.split("/")[0], {"pairs": 0, "articles": 0})
        of["pairs"] += table.num_rows
        of["articles"] += len(set(table["pmcid"].to_pylist()))
        panels = Counter(table["figure_pair_id"].to_pylist())
        figures += len(panels)
        compound += sum(count > 1 for count in panels.values())
        first = dict(
            zip(table["figure_pair_id"].to_pylist(), table["panel_notes"].to_pylist(), strict=True)
        )
        notes.update(note.split(":")[0] for said in first.values() for note in said)
    total = sum(of["pairs"] for of in splits.values())
    return {
        "num_pairs": total,
        "num_figures": figures,
        "num_compound": compound,
        "notes": dict(sorted(notes.items())),
        "splits": splits,
    }


def split_alone(source: Path, output: Path, *, workers: Workers) -> dict[str, int]:
    """Write the panels of the figures that a file names, in its order; counts by note.

    The output is lines of JSON, or Parquet where its name says so, and is written whole: finished
    parts lie beside it until then, and the same call goes on with them.
    """
    chunks, stat = chunks_of(source, num_lines=CHUNK_LINES), source.stat()
    parts = Store(output.parent).root / f"{output.name}.parts"
    plan = {
        "recipe": RECIPE,
        "input": str(source.absolute()),
        "bytes": stat.st_size,
        "changed": stat.st_mtime_ns,
    }
    names = [_part_name(chunk) for chunk in chunks]
    keep_own_files(parts, plan, names)
    missing = {
        name: chunk for name, chunk in zip(names, chunks, strict=True) if not parts.exists(name)
    }
    folders = (source.absolute().parent, Path.cwd())
    task = partial(split_chunk, source=source.absolute(), folders=folders, parts=parts)
    for _ in with_progress(run_pieces(task, missing, workers), what="parts", total=len(missing)):
        pass
    counts = join_parts(parts, names, output)
    parts.clear()
    return counts


def _part_name(chunk: Chunk) -> str:
    return f"{chunk.number:06d}.jsonl"


def split_chunk(chunk: Chunk, *, source: Path, folders: tuple[Path, ...], parts: Folder) -> int:
    """Write one part; its number."""
    found = (split_record(record, folders) for record in records_of(source, chunk))
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in found]
    parts.write(_part_name(chunk), "".join(lines).encode("utf-8", "surrogatepass"))
    return chunk.number


def join_parts(parts: Folder, names: list[str], output: Path) -> dict[str, int]:
    """The parts in order as one file, whole or not at all; counts of figures, panels and notes."""
    counts: Counter[str] = Counter()
    with parts.scratch() as scratch:
        path = scratch / "whole"
        with lines_writer(path, is_parquet=output.suffix == ".parquet") as write:
            for name in names:
                found = [json.loads(line) for line in parts.read(name).splitlines()]
                write(found)
                counts["figures"] += len(found)
                counts["panels"] += sum(len(one["panels"]) for one in found)
                counts.update(note.split(":")[0] for one in found for note in one["notes"])
        Store(output.parent).root.take(output.name, path)
    return dict(counts)
