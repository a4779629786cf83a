"""The whole walk, one command: articles → pairs → panels → encoders → embeddings → index → recall.

`python -m jobs.quickstart` makes a small PubMed Central of its own to walk through;
`--source FOLDER` or `--source s3://pmc-oa-opendata` takes real articles. Two encoders are trained
on equally many samples, one on figures alone and one on figures and their panels, and a table says
what each of them finds.
"""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.embedding.bulk import embed
from figclip.embedding.index.build import build_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.evaluation.report import DETAILS, TABLE_FILE, EvaluationConfig, evaluate
from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare, words_of
from figclip.panels.splitting import split_panels
from figclip.schema import SPLITS
from figclip.sources.miniature import ELIGIBLE_LICENSES, MiniatureConfig
from figclip.sources.source import open_source
from figclip.store import Manifest, Store
from figclip.tasks import Workers
from figclip.training.pretrain import pretrain
from figclip.training.recipe import PretrainConfig
from jobs.entry import Job, command_of, joined_ray, keep_config, run
from jobs.miniature import open_miniature
from jobs.presets import DEMO, SMOKE
from jobs.recipes import fitted, mixed

log = logging.getLogger(__name__)

FEWEST_TO_LEARN_FROM = 1_000
"""Training pairs; with fewer the summary says what to expect of an encoder from scratch."""

FIGURES, PANELS = "-figures", "-panels"
"""Behind the walk's version: what was learned from figures alone, and the panels of its figures."""


class QuickstartJob(Job):
    """Every artifact of the walk is published under one `version`; a rerun goes on where it was."""

    source: str = "miniature"
    """`miniature` (generated), a local folder, or `s3://bucket/prefix`."""
    endpoint: str | None = None
    """Address of another S3 server."""
    anonymous: bool = True
    """Ask S3 without credentials."""
    version: str = "quickstart"
    """Name of all artifacts of this walk."""
    miniature: MiniatureConfig = MiniatureConfig(num_articles=600)
    """The generated PubMed Central."""
    corpus: CorpusConfig = CorpusConfig(
        licenses=ELIGIBLE_LICENSES, longest_side=512, articles_per_shard=50, test_fraction=0.13
    )
    """From articles to pairs."""
    train: PretrainConfig = DEMO
    """From pairs to an encoder. A batch larger than the corpus is cut to fit."""
    panel_share: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Of the samples that the encoder is trained on, how many are panels; with 0 none is cut."""
    compare: bool = True
    """Train a second encoder on as many samples, all of them figures, and say what panels gain."""
    index: IndexConfig = IndexConfig()
    """From embeddings to an index."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """From embeddings to recall and a picture."""
    num_workers: PositiveInt = 2
    """Training processes."""
    cpus_per_worker: NonNegativeFloat = 0.5
    """CPUs that Ray sets aside for each; leave some for reading."""
    cpus_per_read: NonNegativeFloat = 0.25
    """CPUs that Ray sets aside for one reading and decoding task."""
    use_gpu: bool = False
    """Train and embed on GPUs."""
    cpus_per_task: PositiveFloat = 1.0
    """CPUs of one ingestion task, and of one embedding actor."""
    max_tasks: PositiveInt = 2
    """Ingestion tasks at work at once."""


PRESETS = {
    "demo": QuickstartJob(),
    # The walk in little, for tests: its encoder is worth nothing.
    "smoke": QuickstartJob(
        miniature=MiniatureConfig(num_articles=48),
        corpus=CorpusConfig(
            licenses=ELIGIBLE_LICENSES,
            articles_per_shard=8,
            validation_fraction=0.15,
            test_fraction=0.2,
        ),
        train=SMOKE,
    ),
}


def main(config: QuickstartJob) -> None:
    store = Store(config.store)
    with joined_ray(config):
        pairs = articles_to_pairs(store, config)
        panels = pairs_to_panels(store, config) if config.panel_share else None
        pairs_to_encoders(store, config, pairs, panels)
        beside = encoders_to_embeddings(store, config)
    v = config.version
    log.info("5/6 embeddings → index")
    build_index(store, embeddings_version=v, pairs_version=v, version=v, config=config.index)
    keep_config(store, "index", v, "quickstart", config)
    log.info("6/6 embeddings → recall on held-out articles")
    evaluate(
        store,
        embeddings_version=v,
        pairs_version=v,
        version=v,
        config=config.evaluation,
        command=command_of("quickstart", "demo", config, PRESETS["demo"]),
        beside=beside,
    )
    keep_config(store, "evaluation", v, "quickstart", config)
    print(summary(store, pairs, panels, v), flush=True)


def articles_to_pairs(store: Store, config: QuickstartJob) -> Manifest:
    v = config.version
    if config.source == "miniature":
        source = open_miniature(store, v, config.miniature, num_cpus=config.cpus_per_task)
    else:
        source = open_source(
            config.source, endpoint=config.endpoint, anonymous=config.anonymous, layout="auto"
        )
    log.info("1/6 articles → pairs")
    workers = Workers(config.cpus_per_task, config.max_tasks)
    pairs = ingest(source, store, v, config.corpus, workers=workers, name=config.source)
    keep_config(store, "pairs", v, "quickstart", config)
    return pairs


def pairs_to_panels(store: Store, config: QuickstartJob) -> Manifest:
    log.info("2/6 pairs → panels")
    v = config.version
    workers = Workers(config.cpus_per_task, config.max_tasks)
    panels = split_panels(store, pairs_version=v, version=v + PANELS, workers=workers)
    keep_config(store, "pairs", v + PANELS, "quickstart", config)
    return panels


def pairs_to_encoders(
    store: Store, config: QuickstartJob, pairs: Manifest, panels: Manifest | None
) -> None:
    """The walk's own encoder last, for a service that is told no name takes the newest."""
    v, num_figures = config.version, num_train_pairs(pairs)
    recipes: dict[str, tuple[CorpusShare, ...]] = {v: (CorpusShare(pairs=v),)}
    if panels is not None:
        mixture = mixed(v, v + PANELS, config.panel_share, num_figures, num_train_pairs(panels))
        alone = {v + FIGURES: recipes[v]} if config.compare else {}
        recipes = {**alone, v: mixture}
    for version, corpora in recipes.items():
        log.info("3/6 %s → encoder %s", " + ".join(map(words_of, corpora)), version)
        pretrain(
            store,
            corpora=corpora,
            version=version,
            config=fitted(config.train, num_figures, config.num_workers),
            num_workers=config.num_workers,
            cpus_per_worker=config.cpus_per_worker,
            cpus_per_read=config.cpus_per_read,
            use_gpu=config.use_gpu,
            validate=validate,
        )
        keep_config(store, "encoder", version, "quickstart", config)


def encoders_to_embeddings(store: Store, config: QuickstartJob) -> list[str]:
    """Versions of what is to stand beside the walk's own embeddings, which are of all splits."""
    log.info("4/6 pairs, encoders → embeddings")
    v, split = config.version, config.evaluation.split
    wanted = {v: (v, v)}
    if config.panel_share and config.compare:
        wanted |= {v + FIGURES: (v, v + FIGURES)}
        wanted |= {v + PANELS: (v + PANELS, v), v + PANELS + FIGURES: (v + PANELS, v + FIGURES)}
    for version, (pairs, encoder) in wanted.items():
        embed(
            store,
            pairs_version=pairs,
            encoder_version=encoder,
            version=version,
            splits=SPLITS if version == v else (split,),
            batch_size=64,
            num_actors=1,
            cpus_per_actor=config.cpus_per_task,
            gpus_per_actor=1.0 if config.use_gpu else 0.0,
        )
        keep_config(store, "embeddings", version, "quickstart", config)
    return [version for version in wanted if version != v]


def num_train_pairs(pairs: Manifest) -> int:
    return pairs.counts["splits"]["train"]["pairs"]


def summary(store: Store, pairs: Manifest, panels: Manifest | None, version: str) -> str:
    """What the walk found, as text for the terminal."""
    counts = pairs.counts
    table, _, _ = store.open("evaluation", version).read(TABLE_FILE).decode().partition(DETAILS)
    rejections = "\n".join(
        f"  {reason:<20} {number:>7,}" for reason, number in sorted(counts["rejections"].items())
    )
    splits = ", ".join(
        f"{split} {of['pairs']:,} pairs of {of['articles']:,} articles"
        for split, of in counts["splits"].items()
    )
    kinds = ("articles", "figures", "pairs", "rejections")
    numbers = {kind: f"{counts[f'num_{kind}']:,}" for kind in kinds}
    serve = os.path.relpath(Path(sys.executable).with_name("serve"))
    grid = store.folder("evaluation", version).path + "/grid.png"
    num_train = num_train_pairs(pairs)
    cut = (
        f"{panels.counts['num_figures']:,} figures, {panels.counts['num_compound']:,} of them "
        f"compound → {panels.counts['num_pairs']:,} panels\n"
        if panels
        else ""
    )
    expectation = (
        f"\nFrom scratch, {num_train:,} training pairs teach next to nothing: expect chance.\n"
        if num_train < FEWEST_TO_LEARN_FROM
        else ""
    )
    return f"""
{numbers["articles"]} articles, {numbers["figures"]} figures → {numbers["pairs"]} pairs
({splits})
{numbers["rejections"]} rejections, each with its reason:
{rejections or "  none"}
{cut}
{table}{expectation}
Queries and what they find: {grid}
The search page, on http://127.0.0.1:8000/ :
  {serve} run serve_apps.search:app store={store.root.path} index={version}
"""


if __name__ == "__main__":
    run(PRESETS, main, "quickstart")
