"""Pairs, encoder → embeddings: `python -m jobs.embed cpu --pairs pmc --encoder biomedclip`."""

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from figclip.embedding.bulk import embed
from figclip.schema import SPLITS, Split
from figclip.store import Manifest, Store
from jobs.entry import Job, joined_ray, keep_config, run


class EmbedJob(Job):
    """Embed images and captions of `pairs/{pairs}` and publish `embeddings/{version}`."""

    pairs: str = "pmc"
    """Version of the pairs artifact."""
    encoder: str = "biomedclip"
    """Version of the encoder artifact."""
    version: str = "pmc"
    """Name of the embeddings artifact to publish."""
    splits: tuple[Split, ...] = SPLITS
    """Which parts of the pairs."""
    batch_size: PositiveInt = 64
    """Pairs that go through the towers at once."""
    num_actors: PositiveInt = 1
    """Encoders at work at once."""
    cpus_per_actor: PositiveFloat = 1.0
    """CPUs that Ray sets aside for each; leave some for reading."""
    gpus_per_actor: NonNegativeFloat = 0.0
    """GPUs of each; 0 embeds on the CPU."""


PRESETS = {
    "cpu": EmbedJob(),
    "gpu": EmbedJob(batch_size=512, num_actors=8, cpus_per_actor=4.0, gpus_per_actor=1.0),
}


def main(config: EmbedJob) -> Manifest:
    store = Store(config.store)
    with joined_ray(config):
        manifest = embed(
            store,
            pairs_version=config.pairs,
            encoder_version=config.encoder,
            version=config.version,
            splits=config.splits,
            batch_size=config.batch_size,
            num_actors=config.num_actors,
            cpus_per_actor=config.cpus_per_actor,
            gpus_per_actor=config.gpus_per_actor,
        )
    keep_config(store, "embeddings", config.version, "embed", config)
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "embed")
