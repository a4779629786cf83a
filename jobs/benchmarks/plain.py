"""The work of ingestion as a plain loop: what it costs without Ray, threads, resumption or ledger.

`python -m jobs.benchmarks.plain SOURCE FOLDER SHARE SHARES [ENDPOINT]` reads every article whose
number leaves the remainder SHARE; its last line says what that took.
"""

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from figclip.corpus.images import ImageError, store_image
from figclip.corpus.jats import JatsError, parse_article
from figclip.corpus.pairs import Candidate, candidates, objection, pair
from figclip.corpus.plan import split_version_id
from figclip.corpus.rules import CorpusConfig
from figclip.schema import PAIR_SCHEMA, Pair, table_of
from figclip.sources.objects import CorruptObject, MissingObject
from figclip.sources.pmc_cloud import BadMetadata, choose_version
from figclip.sources.source import Source, open_source


def ingest_plainly(
    source: Source, folder: Path, config: CorpusConfig, *, share: int, shares: int
) -> int:
    """GET, md5, parse, decode, encode, write; the number of pairs written."""
    articles: dict[str, list[str]] = {}
    for version_id in source.list_versions()["version_id"].to_pylist():
        articles.setdefault(split_version_id(version_id)[0], []).append(version_id)
    mine = list(articles.values())[share::shares]
    num_pairs = 0
    for start in range(0, len(mine), config.articles_per_shard):
        pairs = [
            found
            for version_ids in mine[start : start + config.articles_per_shard]
            for found in _pairs(source, version_ids, config)
        ]
        num_pairs += len(pairs)
        path = folder / f"{share:02d}-{start:05d}.parquet"
        pq.write_table(table_of(pairs, PAIR_SCHEMA), path, compression="zstd")
    return num_pairs


def _pairs(source: Source, version_ids: list[str], config: CorpusConfig) -> list[Pair]:
    try:
        versions = [source.metadata(version_id) for version_id in version_ids]
        chosen, _ = choose_version(versions, {*(config.allowed_licenses or ()), None})
        if chosen is None:
            return []
        article = parse_article(source.xml(chosen))
    except (BadMetadata, MissingObject, CorruptObject, JatsError):
        return []
    if objection(article, chosen, config):
        return []
    pairs = []
    for found in candidates(article, chosen, config):
        if isinstance(found, Candidate):
            try:
                data = source.media(chosen, found.graphic)
                image = store_image(data, longest_side=config.longest_side)
            except (MissingObject, CorruptObject, ImageError):
                continue
            pairs.append(pair(article, chosen, found, image, config))
    return pairs


def main(source: str, folder: str, share: str, shares: str, endpoint: str | None = None) -> None:
    config = CorpusConfig.from_json(sys.stdin.read())
    opened = open_source(source, endpoint=endpoint)
    wall, cpu = time.monotonic(), time.process_time()
    found = ingest_plainly(opened, Path(folder), config, share=int(share), shares=int(shares))
    figures = {
        "num_pairs": found,
        "wall_s": time.monotonic() - wall,
        "cpu_s": time.process_time() - cpu,
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
