"""The whole walk, one command: articles → pairs → encoder → embeddings → recall → index.

`python -m jobs.quickstart` makes a small PubMed Central of its own to walk through;
`--source FOLDER` or `--source s3://pmc-oa-opendata` takes real articles.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import pyarrow.fs as pafs
import ray
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from figclip.corpus.ingest import ingest
from figclip.corpus.rules import CorpusConfig
from figclip.embedding.bulk import embed
from figclip.embedding.index import IndexConfig, build_index
from figclip.evaluation.report import EvaluationConfig, evaluate
from figclip.evaluation.retrieval import validate
from figclip.schema import SPLITS
from figclip.sources.miniature import ELIGIBLE_LICENSES, MiniatureConfig, write_miniature
from figclip.sources.source import Source, open_source
from figclip.store import Manifest, Store
from figclip.tasks import Workers
from figclip.training.pretrain import PretrainConfig, pretrain
from jobs.entry import Job, joined_ray, keep_config, run
from jobs.presets import DEMO, SMOKE

log = logging.getLogger(__name__)

T = TypeVar("T")

FEWEST_TO_LEARN_FROM = 1_000
"""Training pairs; with fewer the summary says what to expect of an encoder from scratch."""


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
    miniature: MiniatureConfig = MiniatureConfig(num_articles=700)
    """The generated PubMed Central."""
    corpus: CorpusConfig = CorpusConfig(
        licenses=ELIGIBLE_LICENSES, longest_side=512, articles_per_shard=50, test_fraction=0.13
    )
    """From articles to pairs."""
    train: PretrainConfig = DEMO
    """From pairs to an encoder. A batch larger than the corpus is cut to fit."""
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
    v = config.version
    with joined_ray(config):
        source = opened_source(store, config)
        log.info("1/5 articles → pairs")
        pairs = ingest(
            source,
            store,
            v,
            config.corpus,
            workers=Workers(config.cpus_per_task, config.max_tasks),
            name=config.source,
        )
        keep_config(store, "pairs", v, "quickstart", config)
        num_train = pairs.counts["splits"]["train"]["pairs"]
        log.info("2/5 pairs → encoder")
        pretrain(
            store,
            pairs_version=v,
            version=v,
            config=fitted(config.train, num_train, config.num_workers),
            num_workers=config.num_workers,
            cpus_per_worker=config.cpus_per_worker,
            cpus_per_read=config.cpus_per_read,
            use_gpu=config.use_gpu,
            validate=validate,
        )
        keep_config(store, "encoder", v, "quickstart", config)
        log.info("3/5 pairs, encoder → embeddings")
        embed(
            store,
            pairs_version=v,
            encoder_version=v,
            version=v,
            splits=SPLITS,
            batch_size=64,
            num_actors=1,
            cpus_per_actor=config.cpus_per_task,
            gpus_per_actor=1.0 if config.use_gpu else 0.0,
        )
        keep_config(store, "embeddings", v, "quickstart", config)
    log.info("4/5 embeddings → index")
    build_index(store, embeddings_version=v, pairs_version=v, version=v, config=config.index)
    keep_config(store, "index", v, "quickstart", config)
    log.info("5/5 embeddings → recall on held-out articles")
    evaluate(store, embeddings_version=v, pairs_version=v, version=v, config=config.evaluation)
    keep_config(store, "evaluation", v, "quickstart", config)
    print(summary(store, pairs, v), flush=True)


def opened_source(store: Store, config: QuickstartJob) -> Source:
    """The source to read articles from; the miniature is generated on the first run."""
    if config.source != "miniature":
        return open_source(
            config.source, endpoint=config.endpoint, anonymous=config.anonymous, layout="auto"
        )
    made = config.miniature.model_dump(mode="json")
    if not store.already_published("miniature", config.version, made):
        log.info("0/5 drawing a PubMed Central of %d articles", config.miniature.num_articles)
        with (
            store.publishing("miniature", config.version, config=made) as publication,
            publication.folder.built_locally() as folder,
        ):
            mapped = partial(map_on_ray, num_cpus=config.cpus_per_task)
            publication.counts.update(write_miniature(folder, config.miniature, mapped=mapped))
    path = store.folder("miniature", config.version).path
    if isinstance(store.root.fs, pafs.LocalFileSystem):
        return open_source(path)
    query = parse_qs(urlsplit(store.url).query)
    host = query.get("endpoint_override", [None])[0]
    endpoint = f"{query.get('scheme', ['https'])[0]}://{host}" if host else None
    return open_source(f"s3://{path}", endpoint=endpoint, anonymous=False)


def map_on_ray(
    function: Callable[[int], T], items: Iterable[int], *, num_cpus: float, chunk: int = 8
) -> Iterator[T]:
    """Like `map`, in tasks of `chunk` items that reserve `num_cpus` each."""

    @ray.remote(num_cpus=num_cpus)
    def values(some: list[int]) -> list[T]:
        return [function(item) for item in some]

    listed = list(items)
    tasks = [values.remote(listed[start : start + chunk]) for start in range(0, len(listed), chunk)]
    for task in tasks:
        yield from ray.get(task)


def fitted(train: PretrainConfig, num_pairs: int, num_workers: int) -> PretrainConfig:
    """`train` as a small corpus allows it: a batch of half the pairs, a fifth of the steps to warm
    up, at the most."""
    fits = train.lanes % num_workers == 0 and train.lanes <= num_pairs // 2
    lanes = train.lanes if fits else num_workers
    largest = max(num_pairs // 2 // lanes, 1) * lanes
    batch_size = min(train.batch_size // lanes * lanes, largest)
    num_steps = num_pairs // batch_size * train.epochs
    warmup_steps = min(train.optim.warmup_steps, num_steps // 5)
    fitted = {"lanes": lanes, "batch_size": batch_size, "optim.warmup_steps": warmup_steps}
    found = train.with_overrides(fitted)
    if found == train:
        return train
    log.info(
        "%d training pairs: a batch of %d instead of %d, %d steps of warm-up instead of %d",
        *(num_pairs, batch_size, train.batch_size, warmup_steps, train.optim.warmup_steps),
    )
    return found


def summary(store: Store, pairs: Manifest, version: str) -> str:
    """What the walk found, as text for the terminal."""
    counts = pairs.counts
    table = store.open("evaluation", version).read("recall.md").decode()
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
    num_train = counts["splits"]["train"]["pairs"]
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

{table}{expectation}
Queries and what they find: {grid}
The search page, on http://127.0.0.1:8000/ :
  {serve} run serve_apps.search:app store={store.root.path} index={version}
"""


if __name__ == "__main__":
    run(PRESETS, main, "quickstart")
