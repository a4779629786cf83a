"""Pairs → an encoder: `python -m jobs.pretrain tiny --pairs pmc --optim.lr 1e-3`.

`--corpora pmc pmc-panels=0.5 pmc:mentions=0.25` mixes figures, panels and mentions by weights;
`--plan` says what a run would take, and starts nothing; `best-of:SWEEP` is the recipe that a sweep
found best, for a full run.
"""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from tyro.constructors import PrimitiveConstructorSpec

from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare, share_of, words_of
from figclip.store import Manifest, Store
from figclip.training.estimate import estimate_run
from figclip.training.pretrain import pretrain
from figclip.training.recipe import PretrainConfig
from figclip.training.schedule import schedule_of
from figclip.training.trackers import TrackerConfig
from figclip.tuning.winner import winner_of
from jobs.entry import Job, joined_ray, keep_config, run
from jobs.presets import (
    BATCH_4K_TO_64K,
    DEMO,
    RN50_CONTINUAL,
    VIT_B16,
    VIT_B16_384,
    VIT_B16_CONTINUAL,
    VIT_B16_GPT77,
    VIT_M16,
    VIT_S16,
)

WORDS = PrimitiveConstructorSpec(
    nargs=1,
    metavar="VERSION[:TEXT][=WEIGHT]",
    instance_from_str=lambda words: share_of(words[0]),
    is_instance=lambda value: isinstance(value, CorpusShare),
    str_from_instance=lambda share: [words_of(share)],
)
"""How a corpus is written on the command line."""


class PretrainJob(Job, PretrainConfig):
    """Train on `pairs/{pairs}`, or on `corpora`, and publish `encoder/{version}`."""

    pairs: str = "pmc"
    """Version of the pairs artifact to train on, once an epoch, with its captions."""
    corpora: tuple[Annotated[CorpusShare, WORDS], ...] = ()
    """Pairs artifacts, of figures or of panels, to mix instead. TEXT is `caption`, `mentions` or
    `caption_and_mentions`; WEIGHT is how often an epoch shows each image, in whole and parts. The
    first one is validated on."""
    version: str = "biomedclip"
    """Name of the encoder artifact to publish."""
    num_workers: PositiveInt = 2
    """Training processes (ranks)."""
    min_workers: PositiveInt | None = None
    """Start with as few where there is no room for `num_workers`, and follow the cluster as it
    grows and shrinks: by numbers that divide `lanes`, 8 or 16 of 8 to 16. Unset: just so many."""
    cpus_per_worker: NonNegativeFloat = 0.5
    """CPUs that Ray sets aside for each; leave some for reading."""
    cpus_per_read: NonNegativeFloat = 0.25
    """CPUs that Ray sets aside for one reading and decoding task."""
    reads_per_worker: PositiveInt = 1
    """Such tasks at work for each training process, where the cluster has the CPUs: on any of its
    machines. `--plan` says how many a GPU needs."""
    use_gpu: bool = False
    """One GPU for each training process, and NCCL between them."""
    max_failures: NonNegativeInt = 1
    """Times that workers which fail, or are lost with their machine, are started again."""
    trackers: TrackerConfig = TrackerConfig()
    """Where the curves go besides TensorBoard's files."""
    plan: bool = False
    """Say what the run would take, and do nothing."""
    plan_pairs: PositiveInt = 13_900_000
    """Training pairs to reckon with; as it stands, the paper's."""
    plan_gpu: str = "H200"
    """GPU to reckon with, by its name in `figclip.models.flops.PEAK_TFLOPS`."""
    plan_mfu: Annotated[float, Field(gt=0, le=1)] = 0.36
    """Share of that GPU's peak in its data sheet that the run reaches."""
    plan_tokens: PositiveInt = 128
    """Tokens of a mean caption, [CLS] and [SEP] among them."""
    plan_images_per_cpu_s: PositiveFloat = 100.0
    """Pictures that one CPU reads and decodes a second: what `python -m jobs.benchmark loader`
    measured on JPEGs of 1500 x 1000; of pictures stored at 512 px it was four times as many."""
    plan_dollars_per_gpu_hour: PositiveFloat | None = None


BEST_FILE = "_jobs.pretrain.json"
"""Beside the best encoder of a sweep: the full run of its recipe."""


def _on_16_gpus(recipe: PretrainConfig) -> PretrainJob:
    """The machines of the paper: "up to 16 NVIDIA A100", and CPUs that feed them."""
    return PretrainJob(
        **dict(recipe),
        num_workers=16,
        cpus_per_worker=2,
        cpus_per_read=1,
        reads_per_worker=30,  # what --plan reckons for an H200; a slower GPU leaves some idle
        use_gpu=True,
    )


PRESETS = {
    "tiny": PretrainJob(**dict(DEMO), version="tiny"),
    "biomedclip_vit_b16": _on_16_gpus(VIT_B16),
    "biomedclip_vit_s16": _on_16_gpus(VIT_S16),
    "biomedclip_vit_m16": _on_16_gpus(VIT_M16),
    "biomedclip_vit_b16_384": _on_16_gpus(VIT_B16_384),
    "biomedclip_vit_b16_gpt77": _on_16_gpus(VIT_B16_GPT77),
    "biomedclip_vit_b16_continual": _on_16_gpus(VIT_B16_CONTINUAL),
    "biomedclip_rn50_continual": _on_16_gpus(RN50_CONTINUAL),
    "biomedclip_batch_4k_to_64k": _on_16_gpus(BATCH_4K_TO_64K),
}


def main(config: PretrainJob) -> Manifest | None:
    if config.plan:
        print("\n".join(plan(config)), flush=True)
        return None
    store = Store(config.store)
    with joined_ray(config):
        manifest = pretrain(
            store,
            corpora=config.corpora or (CorpusShare(pairs=config.pairs),),
            version=config.version,
            config=config.part(PretrainConfig),
            num_workers=config.num_workers,
            cpus_per_worker=config.cpus_per_worker,
            cpus_per_read=config.cpus_per_read,
            reads_per_worker=config.reads_per_worker,
            use_gpu=config.use_gpu,
            validate=validate,
            min_workers=config.min_workers,
            max_failures=config.max_failures,
            trackers=config.trackers,
        )
    keep_config(store, "encoder", config.version, "pretrain", config)
    return manifest


def plan(config: PretrainJob) -> list[str]:
    schedule = schedule_of(
        num_rows=config.plan_pairs,
        epochs=config.epochs,
        batch_size=config.batch_size,
        batch_schedule=config.batch_schedule,
    )
    # Every BERT of the presets has the sizes that a config has without a name.
    found = estimate_run(
        config.model.with_overrides({"text.hf_name": None}),
        schedule,
        num_gpus=config.num_workers,
        gpu=config.plan_gpu,
        mfu=config.plan_mfu,
        mean_tokens=config.plan_tokens,
        images_per_cpu_s=config.plan_images_per_cpu_s,
    )
    return found.lines(config.plan_dollars_per_gpu_hour)


BEST_OF = "best-of:"


def presets_for(args: Sequence[str]) -> Mapping[str, PretrainJob]:
    """The presets, and `best-of:SWEEP` where it is asked for, from the store that is named."""
    if not args or not args[0].startswith(BEST_OF):
        return PRESETS
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--store", default=PretrainJob().store)
    store = Store(parser.parse_known_args(args[1:])[0].store)
    sweep = args[0].removeprefix(BEST_OF)
    manifest = winner_of(store, sweep)
    kept = store.open(manifest.name, manifest.version).read(BEST_FILE)
    return {args[0]: PretrainJob.from_json(kept), **PRESETS}


if __name__ == "__main__":
    run(presets_for, main, "pretrain")
