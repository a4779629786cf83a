"""The work of ingestion as a plain loop: what it costs without Ray, threads, resumption or ledger.

`python -m jobs.benchmarks.plain SOURCE FOLDER SHARE SHARES [ENDPOINT]` says
`ready`, waits for a config of the corpus on its standard input, and reads every article whose
number leaves the remainder SHARE; its last line says what that took.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from figclip.corpus.pairs import Candidate, candidates, objection, pair
from figclip.corpus.plan import split_version_id
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.shards import COMPRESSION, ROWS_PER_GROUP
from figclip.jats.article import JatsError, parse_article
from figclip.pictures.images import store_image
from figclip.pictures.opening import ImageError
from figclip.schema import PAIR_SCHEMA, Pair, table_of
from figclip.sources.objects import CorruptObject, MissingObject
from figclip.sources.pmc_cloud import BadMetadata, VersionMetadata, choose_version
from figclip.sources.source import Source, open_source


@dataclass
class Work:
    """What was done, and what it took."""

    num_versions: int = 0
    num_articles: int = 0
    """Whose XML was read."""
    num_media: int = 0
    num_pairs: int = 0
    xml_bytes: int = 0
    media_bytes: int = 0
    stored_bytes: int = 0
    """Of the files written."""
    images_cpu_s: float = 0.0
    """From the GET of a picture to its bytes as stored."""
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @contextmanager
    def on_images(self) -> Iterator[None]:
        start = time.process_time()
        try:
            yield
        finally:
            self.images_cpu_s += time.process_time() - start


def ingest_plainly(
    source: Source, folder: Path, config: CorpusConfig, *, share: int, shares: int
) -> Work:
    """GET, md5, parse, decode, encode, write."""
    wall, cpu = time.monotonic(), time.process_time()
    articles: dict[str, list[str]] = {}
    for version_id in source.list_versions()["version_id"].to_pylist():
        articles.setdefault(split_version_id(version_id)[0], []).append(version_id)
    mine = list(articles.values())[share::shares]
    work = Work(num_versions=sum(map(len, mine)))
    for start in range(0, len(mine), config.articles_per_shard):
        some = mine[start : start + config.articles_per_shard]
        pairs = [found for ids in some for found in _pairs(source, ids, config, work)]
        work.num_pairs += len(pairs)
        path = folder / f"{share:02d}-{start:05d}.parquet"
        rows = table_of(pairs, PAIR_SCHEMA)
        pq.write_table(rows, path, compression=COMPRESSION, row_group_size=ROWS_PER_GROUP)
        work.stored_bytes += path.stat().st_size
    work.wall_s, work.cpu_s = time.monotonic() - wall, time.process_time() - cpu
    return work


def _pairs(source: Source, ids: list[str], config: CorpusConfig, work: Work) -> list[Pair]:
    try:
        versions = [source.metadata(version_id) for version_id in ids]
        allowed = config.allowed_licenses
        chosen, _ = choose_version(versions, None if allowed is None else {*allowed, None})
        if chosen is None:
            return []
        xml = source.xml(chosen)
        work.num_articles += 1
        work.xml_bytes += len(xml)
        article = parse_article(xml)
    except (BadMetadata, MissingObject, CorruptObject, JatsError):
        return []
    if objection(article, chosen, config):
        return []
    pairs = []
    for found in candidates(article, chosen, config):
        if isinstance(found, Candidate):
            try:
                with work.on_images():
                    data = _media(source, chosen, found.graphic, work)
                    image = store_image(data, longest_side=config.longest_side)
            except (MissingObject, CorruptObject, ImageError):
                continue
            pairs.append(pair(article, chosen, found, image, config))
    return pairs


def _media(source: Source, chosen: VersionMetadata, name: str, work: Work) -> bytes:
    data = source.media(chosen, name)
    work.num_media += 1
    work.media_bytes += len(data)
    return data


def main(source: str, folder: str, share: str, shares: str, endpoint: str | None = None) -> None:
    print("ready", flush=True)
    config = CorpusConfig.from_json(sys.stdin.read())
    opened = open_source(source, endpoint=endpoint)
    work = ingest_plainly(opened, Path(folder), config, share=int(share), shares=int(shares))
    print(json.dumps(asdict(work)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
