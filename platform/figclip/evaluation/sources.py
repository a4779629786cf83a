"""What an evaluation is made from: encoders by any name, sets by the state of their files."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from figclip.config import Config
from figclip.embedding.encoder import Encoder
from figclip.embedding.vectors import read_batches, split_files
from figclip.evaluation.datasets.declaration import Dataset
from figclip.evaluation.datasets.opening import files_digest, folder_digest
from figclip.store import Folder, Manifest, Store
from figclip.store.artifacts import code_revision

PAIR_SAID = ("pair_id", "image_sha256", "caption")
"""What a pair is known by."""
ROWS_AT_ONCE = 1 << 12


def published(encoders: Sequence[str]) -> tuple[str, ...]:
    """Those that are versions of the store's; the others are folders or `OWNER/NAME`."""
    return tuple(one for one in encoders if "/" not in one and not Path(one).exists())


def begun(
    store: Store,
    encoders: Sequence[str],
    datasets: Sequence[Dataset],
    data: str,
    config: Config,
    *,
    trained_on: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings and the inputs by which an evaluation is known again.

    `trained_on` are the versions of the pairs in which pictures are looked for, by encoder.
    `UsageError` where the store lacks an encoder.
    """
    mine = published(encoders)
    for one in mine:
        store.manifest("encoder", one)  # its complaint names those that are there
    settings = config.model_dump(mode="json") | {
        "encoders": list(encoders),
        "sets": [dataset.model_dump(mode="json") for dataset in datasets],
        "files": {dataset.name: files_digest(dataset, data) for dataset in datasets},
    }
    pairs = trained_on or {}
    settings["trained_on"] = {name: list(versions) for name, versions in pairs.items()}
    looked_in = dict.fromkeys(f"pairs@{one}" for versions in pairs.values() for one in versions)
    return settings, (*(f"encoder@{one}" for one in mine), *looked_in)


def published_as(
    store: Store,
    version: str,
    settings: dict[str, Any],
    inputs: tuple[str, ...],
    *,
    files: Mapping[str, str | bytes],
    counts: Mapping[str, Any],
) -> Manifest:
    """`evaluation/{version}` with these files, and with these counts in its manifest."""
    with store.publishing("evaluation", version, config=settings, inputs=inputs) as publication:
        for name, content in files.items():
            publication.folder.write(
                name, content.encode() if isinstance(content, str) else content
            )
        publication.counts.update(counts)
    return store.manifest("evaluation", version)


def captions_digest(data: str, name: str) -> str:
    """The state of the files of a folder with a `captions.csv`."""
    return folder_digest(Path(data, name))


def opened_encoders(
    store: Store, encoders: Sequence[str], *, device: str
) -> Iterator[tuple[str, Encoder]]:
    """One after the other, for two large ones need not fit at once."""
    for one in encoders:
        yield one, Encoder.open(source_of(store, one), device=device)


def source_of(store: Store, one: str) -> Folder | str:
    """What opens an encoder: its folder in the store, or itself."""
    return store.open("encoder", one) if published([one]) else one


def pairs_digest(pairs: Folder, split: str) -> str:
    """SHA-256 of ids, picture files and captions of the pairs of a split, in order."""
    seen = hashlib.sha256()
    for name in split_files(pairs, [split]):
        for batch in read_batches(pairs, name, PAIR_SAID, num_rows=ROWS_AT_ONCE):
            for row in batch.to_pylist():
                seen.update(f"{json.dumps(row, sort_keys=True)}\n".encode())
    return seen.hexdigest()


def made_by(command: str) -> str:
    """The last line of a report, as Markdown."""
    return f"Made by `{command}`, code {code_revision()}."
