"""Embeddings → a searchable index: `python -m jobs.build_index lance --embeddings pmc`."""

from figclip.embedding.index import IndexConfig, build_index
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
    )
    keep_config(store, "index", config.version, "build_index", config)
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "build_index")
