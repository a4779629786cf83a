"""The proxy analysis of one set by one encoder, as it is done in a process without a network."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeInt, PositiveInt

from figclip.config import Config, UsageError
from figclip.embedding.encoder import Encoder
from figclip.embedding.vectors import (
    matrix,
    read_table,
    refuse_no_numbers,
    split_files,
    vector_blocks,
)
from figclip.evaluation.leakage import leaked
from figclip.evaluation.marks import Marks
from figclip.evaluation.proxy.agreement import Agreement, agreements, values_without
from figclip.evaluation.proxy.chexbert import CheXbert
from figclip.evaluation.proxy.findings import Labeller, positive
from figclip.evaluation.proxy.pool import best, most_consistent, nearest, nearness
from figclip.evaluation.proxy.private import PrivateSet, embed_private, listed, seeds_of
from figclip.evaluation.proxy.rules import Rules
from figclip.evaluation.proxy.seclusion import Isolation, best_isolation, secluded
from figclip.schema import SPLITS
from figclip.store import Folder, Store

log = logging.getLogger(__name__)

RULES = "rules"


class ProxyConfig(Config):
    """How proxies are chosen and read; the numbers are the paper's."""

    labeller: str = RULES
    """`rules` (built in), or a folder with CheXbert's `chexbert.pth` and BERT's `vocab.txt`."""
    num_seeds: PositiveInt = 1_000
    """Pictures by which figures are looked for."""
    num_candidates: PositiveInt = 100_000
    """Figures that are nearest to any of them."""
    share_kept: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Of these, the ones whose captions fit best."""
    num_resamples: PositiveInt = 2_000
    """Of the private pictures, for the 95 % intervals."""
    seed: NonNegativeInt = 0
    """Draws seeds and resamples."""
    batch_size: PositiveInt = 64
    """Pictures that go through the tower at once."""


class ProxyTask(Config):
    """All that the secluded process is told."""

    store: str
    embeddings: str
    """Version; its manifest names encoder and pairs."""
    data: str
    private: PrivateSet
    trained_on: tuple[str, ...]
    """Versions of the pairs that the encoder has learned from; empty where none are known."""
    device: str
    isolation: Isolation
    config: ProxyConfig


class ProxyResult(Config):
    """All that comes back: numbers, and no picture, name or text of the private set."""

    title: str
    embeddings: str
    encoder: str
    labeller: str
    isolation: Isolation
    num_figures: int
    """Public figures that were looked through."""
    num_seeds: int
    num_candidates: int
    num_pool: int
    """Candidates that the filter kept."""
    num_distinct: int
    """Figures that stand for at least one private picture."""
    num_images: int
    num_unreadable: int
    unreadable_lines: tuple[int, ...]
    """Of the table; the first of them."""
    num_leaked: int | None = None
    """Of the pictures, those that the encoder has learned from; None where that is not known."""
    unleaked: dict[str, float] = Field(default_factory=dict)
    """`recall: Edema`, `F1: Edema` and so on without them, where there are some and others are
    left."""
    checksum: str
    """SHA-256 of the private pictures, their findings and the seeds."""
    agreements: tuple[Agreement, ...]


@dataclass(frozen=True)
class Pool:
    """The figures that may stand for a private picture."""

    images: Float[np.ndarray, "m dim"]
    pair_ids: Sequence[str]
    files: Sequence[str]
    """Of each figure the file in which its pair lies."""
    rows: Sequence[int]
    """And the row there."""
    num_figures: int
    num_candidates: int


def analysed(
    store: Store,
    embeddings: str,
    private: PrivateSet,
    data: str,
    config: ProxyConfig,
    *,
    trained_on: Sequence[str] = (),
    device: str = "cpu",
    isolation: Isolation | None = None,
) -> ProxyResult:
    """Judge the proxies of a private set below the folder `data`, in a process without a network,
    where they are looked for in the pairs `trained_on`, too.

    `UsageError` where the store is not on this machine, files are missing, or another encoder made
    the embeddings than the store has.
    """
    if "://" in store.url:
        raise UsageError(
            f"{store.url} is not on this machine, and private pictures are read without a network: "
            f"copy encoder, embeddings and pairs to a local --store"
        )
    task = ProxyTask(
        store=str(Path(store.url).absolute()),
        embeddings=embeddings,
        data=str(Path(data).absolute()),
        private=private,
        trained_on=tuple(trained_on),
        device=device,
        isolation=isolation or best_isolation(),
        config=config,
    )
    return ProxyResult.from_json(secluded(analyse, task.to_json(), isolation=task.isolation))


def analyse(task: str) -> str:
    """A `ProxyTask` → a `ProxyResult`, both as JSON."""
    return analysis(ProxyTask.from_json(task)).to_json()


def analysis(task: ProxyTask) -> ProxyResult:
    """As `analysed`, in this process."""
    store, config = Store(task.store), task.config
    inputs = dict(one.split("@", 1) for one in store.manifest("embeddings", task.embeddings).inputs)
    labeller = open_labeller(config.labeller, device=task.device)
    pictures = listed(task.private, task.data)
    encoder = Encoder.open(store.open("encoder", inputs["encoder"]), device=task.device)
    size = config.batch_size
    paths = seeds_of(task.private, task.data, num=config.num_seeds, seed=config.seed)
    seeds = embed_private(encoder, paths, what="the seeds", batch_size=size)
    mine = embed_private(encoder, pictures.paths, what="the set", batch_size=size)
    pool = pool_of(store.open("embeddings", task.embeddings), seeds.vectors, config)
    found = nearest(mine.vectors, pool.images)
    chosen, of_each = np.unique(found, return_inverse=True)
    captions = captions_of(store.open("pairs", inputs["pairs"]), pool, chosen.tolist())
    told = positive(labeller.label(captions))[of_each]
    truth = pictures.truth[mine.kept]
    is_leaked = learned_of(store, task.trained_on, mine.marks)
    lost = [pictures.lines[n] for n in sorted({*range(len(pictures.paths))} - {*mine.kept})]
    seen = f"{mine.checksum} {seeds.checksum} {truth.astype(int).tolist()}"
    return ProxyResult(
        title=task.private.title,
        embeddings=task.embeddings,
        encoder=encoder.name,
        labeller=labeller.name,
        isolation=task.isolation,
        num_figures=pool.num_figures,
        num_seeds=len(seeds.kept),
        num_candidates=pool.num_candidates,
        num_pool=len(pool.rows),
        num_distinct=len(chosen),
        num_images=len(mine.kept),
        num_unreadable=len(lost),
        unreadable_lines=tuple(lost[:20]),
        num_leaked=None if is_leaked is None else int(is_leaked.sum()),
        unleaked={} if is_leaked is None else values_without(truth, told, is_leaked),
        checksum=hashlib.sha256(seen.encode()).hexdigest(),
        agreements=agreements(truth, told, num_resamples=config.num_resamples, seed=config.seed),
    )


def learned_of(
    store: Store, versions: Sequence[str], marks: Marks
) -> Bool[np.ndarray, " n"] | None:
    """Whether each picture is among training pairs; None where none are known."""
    return leaked(marks, [store.open("pairs", one) for one in versions]) if versions else None


def open_labeller(name: str, *, device: str) -> Labeller:
    """`UsageError` where the folder holds no CheXbert."""
    return Rules() if name == RULES else CheXbert.open(name, device=device)


def pool_of(embeddings: Folder, seeds: Float[np.ndarray, "s dim"], config: ProxyConfig) -> Pool:
    """Looks at all figures once, and once more at the files that hold candidates."""
    names = split_files(embeddings, SPLITS)
    scores = [
        nearness(vectors, seeds)
        for _, vectors in vector_blocks(embeddings, names, "image_embedding")
    ]
    ends = np.cumsum([len(one) for one in scores])
    candidates = best(np.concatenate(scores), config.num_candidates)
    images, texts, ids, places = [], [], [], []
    for name, end, here in zip(names, ends, scores, strict=True):
        start = end - len(here)
        rows = candidates[(candidates >= start) & (candidates < end)] - start
        if len(rows):
            table = read_table(embeddings, name, ["pair_id", "image_embedding", "text_embedding"])
            table = table.take(rows)
            images.append(matrix(table["image_embedding"]))
            texts.append(matrix(table["text_embedding"]))
            ids += table["pair_id"].to_pylist()
            origin = f"{embeddings.path}/{name}"
            refuse_no_numbers(texts[-1], ids[-len(rows) :], origin=origin)
            places += [(name, int(row)) for row in rows]
    both = np.concatenate(images), np.concatenate(texts)
    kept = most_consistent(*both, share=config.share_kept)
    return Pool(
        images=both[0][kept],
        pair_ids=[ids[n] for n in kept],
        files=[places[n][0] for n in kept],
        rows=[places[n][1] for n in kept],
        num_figures=int(ends[-1]),
        num_candidates=len(candidates),
    )


def captions_of(pairs: Folder, pool: Pool, chosen: Sequence[int]) -> list[str]:
    """Captions of some figures of the pool, in their order."""
    found: dict[int, str] = {}
    for name in dict.fromkeys(pool.files[n] for n in chosen):
        table = read_table(pairs, name, ["pair_id", "caption"])
        for n in (n for n in chosen if pool.files[n] == name):
            row = table.slice(pool.rows[n], 1).to_pylist()
            if [one["pair_id"] for one in row] != [pool.pair_ids[n]]:
                raise UsageError(
                    f"{pairs.path}/{name} does not hold the pairs that were embedded: embed these "
                    f"pairs anew, under a new version"
                )
            found[n] = row[0]["caption"]
    return [found[n] for n in chosen]
