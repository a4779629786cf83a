"""Several corpora as one: which pairs an encoder learns from, how often, and with which words."""

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import PositiveFloat

from figclip.config import Config, UsageError
from figclip.inputs.order import RowGroup, weighted
from figclip.inputs.texts import COLUMNS, TextKind, texts_of
from figclip.schema import Split
from figclip.store import Folder, Store

WORDS = re.compile(r"(?P<pairs>[^:=]+)(?::(?P<text>[a-z_]+))?(?:=(?P<weight>[^:=]+))?")


class CorpusShare(Config):
    """A pairs artifact, of figures or of panels, and its part in every epoch."""

    pairs: str
    """Version of the artifact."""
    weight: PositiveFloat = 1.0
    """How often an epoch shows each of its images. Of a fraction, consecutive epochs show one slice
    after another, until all images have had their turn."""
    text: TextKind = "caption"
    """What is shown beside an image: its `caption` (of a panel its own words and then the shared
    ones), its `mentions` (the sentences of the article that name it; the caption where there are
    none), or `caption_and_mentions`."""

    @property
    def artifact(self) -> str:
        return f"pairs@{self.pairs}"


def share_of(words: str) -> CorpusShare:
    """`VERSION`, `VERSION=WEIGHT`, `VERSION:TEXT` or `VERSION:TEXT=WEIGHT` → the share."""
    match = WORDS.fullmatch(words)
    if match is None:
        raise UsageError(f"{words!r} is no corpus: write VERSION, VERSION:TEXT or VERSION=WEIGHT")
    given: dict[str, Any] = {key: value for key, value in match.groupdict().items() if value}
    try:
        given["weight"] = float(given.get("weight", 1))
    except ValueError as error:
        raise UsageError(f"{words!r}: {given['weight']!r} is no number") from error
    return CorpusShare.from_json(json.dumps(given))


def words_of(share: CorpusShare) -> str:
    """What `share_of` reads."""
    return f"{share.pairs}:{share.text}={share.weight!r}"


@dataclass(frozen=True)
class Corpus:
    """An open artifact, and which texts its images have."""

    pairs: Folder
    text: TextKind = "caption"


def open_corpora(store: Store, shares: Sequence[CorpusShare]) -> tuple[Corpus, ...]:
    """One for each share, in their order; `UsageError` where one is not published."""
    return tuple(Corpus(store.open("pairs", share.pairs), share.text) for share in shares)


def mixed_row_groups(
    corpora: Sequence[Corpus], shares: Sequence[CorpusShare], split: Split
) -> tuple[RowGroup, ...]:
    """The row groups of a split of all corpora, each with what every epoch takes of it."""
    return tuple(
        group
        for number, (corpus, share) in enumerate(zip(corpora, shares, strict=True))
        for group in weighted(row_groups(corpus.pairs, split, corpus=number), share.weight)
    )


def row_groups(pairs: Folder, split: Split, *, corpus: int = 0) -> tuple[RowGroup, ...]:
    """Of every Parquet file of a split, in the order of the paths; empty without such a folder."""
    names = [f"{split}/{name}" for name in (pairs / split).files() if name.endswith(".parquet")]

    def groups_of(name: str) -> list[RowGroup]:
        with pairs.open(name) as file:
            metadata = pq.read_metadata(file)
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        return [RowGroup(name, i, size, corpus) for i, size in enumerate(sizes) if size]

    with ThreadPoolExecutor(16) as threads:
        return tuple(group for groups in threads.map(groups_of, names) for group in groups)


def read_group(pairs: Folder, group: RowGroup, columns: Sequence[str]) -> pa.Table:
    with pairs.open(group.file) as file:
        return pq.ParquetFile(file).read_row_group(group.index, columns=list(columns))


def all_texts(corpora: Sequence[Corpus], groups: Sequence[RowGroup]) -> Iterator[str]:
    """Every text that the images of the groups have, whatever the groups' weights."""
    for group in groups:
        corpus = corpora[group.corpus]
        for pair in read_group(corpus.pairs, group, COLUMNS[corpus.text]).to_pylist():
            yield from texts_of(pair, corpus.text)
