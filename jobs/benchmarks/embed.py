"""Bulk embedding beside the bare model: what decoding, Parquet, the tokenizer and Ray cost.

    forward_ratio = bare / (job − decode),    each in CPU seconds an image

`bare` is the forward pass of both towers alone, in a process of its own, on tensors that are ready:
normalised pixels, and tokens of all captions sorted by length and cut to each batch's longest.
`decode` is that process's own account of the stored bytes as pixels: decoding, resizing, cropping.
`job` is `python -m jobs.embed` as anyone runs it, counted from the first file that it has written
to the last, for the pictures of those files: its actor, its driver, Ray's raylet and control store.
What runs beside them on every machine of a Ray (dashboard, its agents, log monitor, idle workers)
costs by the clock and not by the picture, most where others use the machine as well; with it the
ratio is `forward_ratio_with_services`. What lies before, Ray's start, imports and the opening of
the encoder, is told apart as `start_cpu_s`, less the first file. All is of one thread, the two
sides take turns, and the ratio is the median of the rounds.
"""

import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from figclip.config import UsageError
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.tokens import train_wordpiece
from figclip.models.clip import Clip, ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from figclip.models.weights import save_weights
from figclip.pictures.images import store_image
from figclip.schema import PAIR_SCHEMA
from figclip.store import Store
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.loader import STORED_SIDE, drawn_photograph
from jobs.benchmarks.processes import Family
from jobs.embed import PRESETS

log = logging.getLogger(__name__)

VERSION = "embed"
"""Of the pairs, and of the encoder."""
NUM_PICTURES, NUM_FILES, PAIRS_PER_FILE = 12, 3, 96
WORDS = [
    "axial",
    "section",
    "of",
    "the",
    "stained",
    "tissue",
    "with",
    "arrows",
    "at",
    "scale",
    "and",
    "controls",
    "after",
    "days",
]
MEAN_WORDS, SPREAD = 60, 0.7
"""Of captions, whose lengths are log-normal as those of articles are, nearly."""
MODEL = ClipConfig(
    vision=VisionConfig(timm_model="vit_base_patch32_224"),
    text=TextConfig(
        vocab_size=400, hidden_size=512, layers=8, heads=8, intermediate_size=2_048, dropout=0.0
    ),
    embed_dim=512,
)
"""ViT-B/32 and BERT-Medium: a smaller model than BiomedCLIP's, beside which all else costs more."""
ROUNDS = 3
"""In each both sides take turns, so that what disturbs the machine disturbs both."""
LOOK_EVERY_S = 0.1
"""For a file that was written."""
MOST_NAMED, TITLE_CHARS = 8, 80
OWN = ("ray::FileEmbedder", "/raylet/raylet ", "/gcs/gcs_server ")
"""In the titles of the job's own processes, besides its driver."""

Processes = dict[int, tuple[str, float]]
"""A process's number → its title, and the CPU seconds that it has used."""


@dataclass(frozen=True)
class Bare:
    """CPU seconds of one process, an image."""

    forward_s: float
    decode_s: float


@dataclass(frozen=True)
class Embedded:
    """One job on a Ray of its own."""

    cpu_s: float
    """An image, from the first file that was written to the last: of the job's own processes."""
    services_cpu_s: float
    """An image: of the others."""
    start_cpu_s: float
    images_per_s: float
    """Between the same moments."""


def embed(folder: Path, *, rounds: int = ROUNDS) -> Figures:
    """The ratio of every round, the median of which counts, and all that it is made of."""
    publish(Store(folder))
    found = []
    for number in range(rounds):
        peer, job = bare(folder), embedded(folder, f"round{number}")
        log.info("%s %s: %.3f", peer, job, ratio(peer, job))
        found.append((peer, job))
    ratios = [ratio(*both) for both in found]
    return {
        "forward_ratio": round(median(ratios), 3),
        "forward_ratio_least": round(min(ratios), 3),
        "forward_ratio_most": round(max(ratios), 3),
        "forward_ratio_with_services": round(median(ratio(*both, True) for both in found), 3),
        "forward_cpu_ms": round(1_000 * median(peer.forward_s for peer, _ in found), 1),
        "decode_cpu_ms": round(1_000 * median(peer.decode_s for peer, _ in found), 2),
        "job_cpu_ms": round(1_000 * median(job.cpu_s for _, job in found), 1),
        "services_cpu_ms": round(1_000 * median(job.services_cpu_s for _, job in found), 1),
        "start_cpu_s": round(median(job.start_cpu_s for _, job in found), 1),
        "images_per_s": round(median(job.images_per_s for _, job in found), 2),
        "images": float((NUM_FILES - 1) * PAIRS_PER_FILE),
    }


def ratio(peer: Bare, job: Embedded, with_services: bool = False) -> float:
    services_s = job.services_cpu_s if with_services else 0.0
    return peer.forward_s / (job.cpu_s + services_s - peer.decode_s)


def publish(store: Store) -> None:
    """Pairs of drawn photographs, stored as ingestion stores them, and an encoder of random
    weights."""
    drawn = [drawn_photograph(seed) for seed in range(NUM_PICTURES)]
    pictures = [store_image(data, longest_side=STORED_SIDE).data for data in drawn]
    captions = [caption(number) for number in range(NUM_FILES * PAIRS_PER_FILE)]
    empty = dict.fromkeys(PAIR_SCHEMA.names)
    with store.publishing("pairs", VERSION, config={}) as publication:
        folder = Path(publication.folder.path, "train")
        folder.mkdir(parents=True)
        for file in range(NUM_FILES):
            numbers = range(file * PAIRS_PER_FILE, (file + 1) * PAIRS_PER_FILE)
            rows = [
                empty
                | {"pair_id": f"{n:05d}", "caption": captions[n], "split": "train"}
                | {"image": pictures[n % NUM_PICTURES]}
                for n in numbers
            ]
            pq.write_table(pa.Table.from_pylist(rows, PAIR_SCHEMA), folder / f"{file:05d}.parquet")
    torch.manual_seed(0)
    with store.publishing("encoder", VERSION, config={}) as publication:
        save_weights(publication.folder, Clip(MODEL), MODEL)
        tokenizer = train_wordpiece(captions, vocab_size=MODEL.text.vocab_size)
        tokenizer.save(publication.folder)
        PixelConfig(size=MODEL.vision.image_size).save(publication.folder)


def caption(number: int) -> str:
    random = np.random.default_rng(number)
    num_words = int(random.lognormal(np.log(MEAN_WORDS), SPREAD)) + 3
    return f"Figure {number}. {' '.join(random.choice(WORDS, size=num_words))}."


def bare(folder: Path) -> Bare:
    """By the account of its own process."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.benchmarks.bare", str(folder), str(PRESETS["cpu"].batch_size)],
        stdout=subprocess.PIPE,
        text=True,
        env=one_thread(),
        check=False,
    )
    if done.returncode:
        raise UsageError(f"the bare side of the benchmark ended with exit code {done.returncode}")
    return Bare(**json.loads(done.stdout.splitlines()[-1]))


def embedded(folder: Path, version: str) -> Embedded:
    """By watching the job from outside."""
    words = ["cpu", "--pairs", VERSION, "--encoder", VERSION, "--version", version]
    command = [sys.executable, "-m", "jobs.embed", *words, "--store", str(folder)]
    process = subprocess.Popen(command, env=one_thread())
    try:
        with Family(process.pid, every_s=2.0) as family:
            written = folder / "embeddings" / version / "train"
            begun = when_written(process, written, 1)
            before = by_number(family)
            ended = when_written(process, written, NUM_FILES)
            after = by_number(family)
            process.wait()
    finally:
        process.terminate()
        process.wait()
    return reckoned(before, after, driver=process.pid, seconds=ended - begun)


def reckoned(before: Processes, after: Processes, *, driver: int, seconds: float) -> Embedded:
    """By what each process had used at both moments."""
    spent = {
        number: cpu_s - (before[number][1] if number in before else 0.0)
        for number, (_, cpu_s) in after.items()
    }
    for number, cpu_s in sorted(spent.items(), key=lambda item: -item[1])[:MOST_NAMED]:
        log.info("%6.2f CPU s: %s", cpu_s, after[number][0][-TITLE_CHARS:])
    own = sum(
        cpu_s
        for number, cpu_s in spent.items()
        if number == driver or any(word in after[number][0] for word in OWN)
    )
    num_images = (NUM_FILES - 1) * PAIRS_PER_FILE
    started = sum(cpu_s for _, cpu_s in before.values())
    return Embedded(
        cpu_s=own / num_images,
        services_cpu_s=(sum(spent.values()) - own) / num_images,
        start_cpu_s=started - own / num_images * PAIRS_PER_FILE,
        images_per_s=num_images / seconds,
    )


def when_written(process: subprocess.Popen[bytes], folder: Path, num_files: int) -> float:
    """The clock's seconds when there are so many files."""
    while len([*folder.glob("[0-9]*.parquet")]) < num_files:
        if process.poll() is not None:
            raise UsageError(f"jobs.embed ended early, with exit code {process.returncode}")
        time.sleep(LOOK_EVERY_S)
    return time.monotonic()


def by_number(family: Family) -> Processes:
    """Titles change, numbers do not."""
    spent = family.cpu_s_by_process()
    return {int(title.rpartition(" ")[2]): (title, seconds) for title, seconds in spent.items()}


def one_thread() -> dict[str, str]:
    """CPU seconds of one thread: several would count their waiting for one another."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}
