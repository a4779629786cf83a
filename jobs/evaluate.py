"""Embeddings → recall on held-out articles: `python -m jobs.evaluate test --embeddings pmc`."""

import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import PositiveInt

from figclip.evaluation.grid import retrieval_grid
from figclip.evaluation.report import recall_table
from figclip.evaluation.retrieval import recall
from figclip.schema import Split
from figclip.store import Folder, Manifest, Store
from jobs.entry import Job, keep_config, run

log = logging.getLogger(__name__)


class EvaluateJob(Job):
    """Retrieval over one split; publishes `evaluation/{version}`: recall.txt, .json, grid.png."""

    embeddings: str = "pmc"
    """Version of the embeddings artifact."""
    pairs: str = "pmc"
    """Version of the pairs artifact that the embeddings were made from."""
    version: str = "pmc"
    """Name of the evaluation artifact to publish."""
    split: Split = "test"
    """Which held-out articles."""
    num_queries: PositiveInt = 5
    """Rows of the picture of retrieved figures."""


PRESETS = {"test": EvaluateJob(), "validation": EvaluateJob(split="validation")}


def main(config: EvaluateJob) -> Manifest:
    store = Store(config.store)
    manifest = evaluate(
        store,
        embeddings_version=config.embeddings,
        pairs_version=config.pairs,
        version=config.version,
        split=config.split,
        num_queries=config.num_queries,
    )
    keep_config(store, "evaluation", config.version, config)
    print(store.open("evaluation", config.version).read("recall.txt").decode())
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "evaluate")
