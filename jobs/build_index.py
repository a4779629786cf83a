"""Embeddings → a searchable index: `python -m jobs.build_index lance --embeddings pmc`."""

from figclip.embedding.index.build import build_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.store import Manifest, Store
from jobs.entry import Job, keep_config, run


class BuildIndexJob(Job, IndexConfig):
    """Index `embeddings/{embeddings}` and publish `index/{version}`."""

    embeddings: str = "pmc"
    """Version of the embeddings artifact."""
    pairs: str = "pmc"
    """Version of the pairs artifact that the embeddings were made from."""
    types: str | None = None
    """Version of the image types (`jobs.evaluate types`), by which search then can filter."""
    base: str | None = None
    """Version of an index to go on from: rows of pairs that have not changed stay as they are."""
    version: str = "pmc"
    """Name of the index artifact to publish."""


PRESETS = {"lance": BuildIndexJob()}


def main(config: BuildIndexJob) -> Manifest:
    store = Store(config.store)
    manifest = build_index(
        store,
        embeddings_version=config.embeddings,
        pairs_version=config.pairs,
        version=config.version,
        config=config.part(IndexConfig),
        types_version=config.types,
        base_version=config.base,
    )
    keep_config(store, "index", config.version, "build_index", config)
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "build_index")
