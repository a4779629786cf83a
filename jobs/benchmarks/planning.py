"""A million rows of a ledger that nobody read: what it takes to plan a rerun, and to finish one."""

import json
import logging
import time
from dataclasses import dataclass
from math import log as ln
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from figclip.corpus.ingest import unfinished_shards
from figclip.corpus.ledger import failed_articles, outcome, whole_ledger
from figclip.corpus.plan import LISTING_SCHEMA, fresh_plan, updated_plan
from figclip.corpus.planning import PLAN, opened_base, shard_numbers
from figclip.corpus.rules import REVISION, CorpusConfig
from figclip.corpus.shards import ledger_name, pairs_name, parquet_bytes
from figclip.schema import FINGERPRINT_BYTES, LEDGER_SCHEMA, SPLITS
from figclip.store import Store
from jobs.benchmarks.figures import Figures

log = logging.getLogger(__name__)

ARTICLES = 250_000
ARTICLES_IN_LITTLE = 62_500
GRAPHICS = 3
"""Of each article: with the line of the version four rows."""

ALL_ARTICLES = 8_200_000
"""Open-access articles of PubMed Central in 2026."""

CHANGED, NEW, REMOVED = 0.01, 0.01, 0.001
DUPLICATES = 0.05
"""Of the graphics so many repeat another's bytes, and so many more its looks."""

CONFIG = CorpusConfig(articles_per_shard=200)


@dataclass(frozen=True)
class Took:
    """Seconds."""

    plan_s: float
    finish_s: float
    num_tasks: int


def planning(folder: Path) -> Figures:
    """Seconds from opening a corpus to the tasks of the next one, and of summing up its ledgers."""
    little = _measured(folder / "little", ARTICLES_IN_LITTLE)
    whole = _measured(folder / "whole", ARTICLES)
    return {
        "plan_seconds": round(whole.plan_s, 2),
        "finish_seconds": round(whole.finish_s, 2),
        "plan_seconds_quarter": round(little.plan_s, 2),
        "finish_seconds_quarter": round(little.finish_s, 2),
        "plan_seconds_all_pmc": round(_at_all(little.plan_s, whole.plan_s), 1),
        "finish_seconds_all_pmc": round(_at_all(little.finish_s, whole.finish_s), 1),
        "tasks_planned": whole.num_tasks,
    }


def _at_all(little_s: float, whole_s: float) -> float:
    """What all of PMC would take, by the power of the size that leads from the one to the other."""
    power = max(1.0, ln(whole_s / little_s) / ln(ARTICLES / ARTICLES_IN_LITTLE))
    return whole_s * (ALL_ARTICLES / ARTICLES) ** power


def _measured(folder: Path, num_articles: int) -> Took:
    store, resolved = Store(folder), _resolved()
    listing = _listing(num_articles)
    with store.publishing("pairs", "base", config=resolved) as publication:
        plan = fresh_plan(listing, CONFIG.articles_per_shard)
        publication.folder.write(PLAN, parquet_bytes(plan))
        _write_ledgers(publication.folder, num_articles)
        publication.counts["num_pairs"] = num_articles * GRAPHICS
    newer = _newer(listing)
    with store.publishing("pairs", "next", config=resolved) as publication:
        start = time.monotonic()
        base = opened_base(store, "base", resolved)
        retry = failed_articles(whole_ledger(base.folder, shard_numbers(base.plan)))
        plan, _ = updated_plan(base.plan, newer, CONFIG.articles_per_shard, retry=retry)
        tasks = unfinished_shards(publication.folder, plan)
        plan_s = time.monotonic() - start
        start = time.monotonic()
        found = outcome(whole_ledger(base.folder, shard_numbers(base.plan)), CONFIG)
        finish_s = time.monotonic() - start
    if found.counts["num_pairs"] != num_articles * GRAPHICS or not found.counts["num_duplicates"]:
        raise AssertionError("the ledgers do not say what was written")
    took = Took(plan_s, finish_s, len(tasks))
    log.info("%d articles: %s", num_articles, took)
    return took


def _resolved() -> dict[str, Any]:
    corpus = json.loads(CONFIG.model_dump_json())
    return {"source": "synthetic", "revision": REVISION, "corpus": corpus}


def _listing(num_articles: int) -> pa.Table:
    ids = [f"PMC{number}.1" for number in range(1, num_articles + 1)]
    etags = [f"{number:032x}" for number in range(num_articles)]
    return pa.table({"version_id": ids, "etag": etags}, schema=LISTING_SCHEMA)


def _newer(listing: pa.Table) -> pa.Table:
    size = len(listing)
    random = np.random.default_rng(1)
    etags = listing["etag"].to_numpy(zero_copy_only=False)
    etags[random.random(size) < CHANGED] = "changed"
    stays = pa.array(random.random(size) >= REMOVED)
    kept = pa.table({"version_id": listing["version_id"], "etag": etags}, schema=LISTING_SCHEMA)
    ids = [f"PMC{size + number}.1" for number in range(1, int(size * NEW) + 1)]
    new = pa.table({"version_id": ids, "etag": ["new"] * len(ids)}, schema=LISTING_SCHEMA)
    return pa.concat_tables([kept.filter(stays), new])


def _write_ledgers(folder: Any, num_articles: int) -> None:
    """The ledgers of all shards, and beside them files of a few bytes in place of the pairs."""
    random = np.random.default_rng(0)
    hashes, prints = _pictures(random, num_articles * GRAPHICS)
    size = CONFIG.articles_per_shard
    for number, first in enumerate(range(0, num_articles, size)):
        articles = np.arange(first, min(first + size, num_articles))
        rows = slice(first * GRAPHICS, (first + len(articles)) * GRAPHICS)
        table = _ledger(articles, hashes[rows], prints[rows])
        folder.write(ledger_name(number), parquet_bytes(table))
        for split in SPLITS:
            folder.write(pairs_name(number, split, moved=False), b"pairs")


def _pictures(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Number and fingerprint (uint8 [n, 32]) of each picture; some are those of others."""
    numbers = np.arange(size)
    prints = random.integers(0, 256, (size, FINGERPRINT_BYTES), np.uint8)
    same = random.random(size) < DUPLICATES
    numbers[same] = random.integers(0, size, same.sum())
    prints[same] = prints[numbers[same]]
    alike = random.random(size) < DUPLICATES
    prints[alike] = prints[random.integers(0, size, alike.sum())]
    prints[alike, 0] ^= 1
    return numbers, prints


def _ledger(articles: np.ndarray, numbers: np.ndarray, prints: np.ndarray) -> pa.Table:
    """One line of each article, and one of each of its graphics."""
    rows = []
    for n, article in enumerate(articles.tolist()):
        own = {"pmcid": f"PMC{article + 1}", "version": 1, "state": "published", "reason": ""}
        blank = {"figure_id": "", "graphic": "", "detail": ""}
        rows.append(own | blank | {"num_figures": GRAPHICS, "num_figures_with_caption": GRAPHICS})
        for g in range(GRAPHICS):
            place = n * GRAPHICS + g
            named = {"figure_id": f"f{g}", "graphic": f"article-g{g:03d}.jpg", "detail": ""}
            picture = {
                "image_sha256": f"{numbers[place]:064x}",
                "image_fingerprint": prints[place].tobytes(),
            }
            rows.append(own | named | picture)
    return pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)
