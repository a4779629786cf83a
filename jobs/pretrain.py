"""Pairs → an encoder: `python -m jobs.pretrain tiny --pairs pmc --optim.lr 1e-3`."""

from pydantic import NonNegativeFloat, PositiveInt

from figclip.evaluation.retrieval import validate
from figclip.store import Manifest, Store
from figclip.training.pretrain import PretrainConfig, pretrain
from jobs.entry import Job, joined_ray, keep_config, run
from jobs.presets import DEMO, PAPER


class PretrainJob(Job, PretrainConfig):
    """Train on `pairs/{pairs}` and publish `encoder/{version}`."""

    pairs: str = "pmc"
    """Version of the pairs artifact to train on."""
    version: str = "biomedclip"
    """Name of the encoder artifact to publish."""
    num_workers: PositiveInt = 2
    """Training processes (ranks)."""
    cpus_per_worker: NonNegativeFloat = 0.5
    """CPUs that Ray sets aside for each; leave some for reading."""
    cpus_per_read: NonNegativeFloat = 0.25
    """CPUs that Ray sets aside for one reading and decoding task."""
    use_gpu: bool = False
    """One GPU for each training process, and NCCL between them."""


PRESETS = {
    "tiny": PretrainJob(**dict(DEMO), version="tiny"),
    "biomedclip": PretrainJob(**dict(PAPER), num_workers=16, cpus_per_worker=8, use_gpu=True),
}


def main(config: PretrainJob) -> Manifest:
    store = Store(config.store)
    with joined_ray(config):
        manifest = pretrain(
            store,
            pairs_version=config.pairs,
            version=config.version,
            config=config.part(PretrainConfig),
            num_workers=config.num_workers,
            cpus_per_worker=config.cpus_per_worker,
            cpus_per_read=config.cpus_per_read,
            use_gpu=config.use_gpu,
            validate=validate,
        )
    keep_config(store, "encoder", config.version, "pretrain", config)
    return manifest


if __name__ == "__main__":
    run(PRESETS, main, "pretrain")
