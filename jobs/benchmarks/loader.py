"""Images read for training per second of CPU time, beside open_clip's WebDataset loader.

Both sides read the same JPEGs and captions, with the same transform and two workers, and the CPU
time is that of all their processes, Ray's too, between two batches of a stream that goes on.
"""

import io
import json
import sys
import tarfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from figclip.inputs.pixels import PixelConfig, crop_box, decode, train_crop
from figclip.inputs.tokens import train_wordpiece
from figclip.pictures.images import store_image
from figclip.schema import PAIR_SCHEMA
from figclip.store import Store
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.images import psnr
from jobs.benchmarks.processes import Family
from jobs.benchmarks.sides import python

NUM_PICTURES, NUM_PAIRS, PAIRS_PER_SHARD, ROWS_PER_GROUP = 24, 384, 96, 32
SIZE, TARGET_BYTES, STORED_SIDE = (1_500, 1_000), 250_000, 512
ROUNDS = 3
STEP_S = 2.0
"""Of a trainer that two feeders keep up with."""
SAMPLE_EVERY_S = 2.0


def loader(folder: Path, *, rounds: int = ROUNDS) -> Figures:
    """Ratios on large pictures and on stored ones, likeness, and how long a trainer waits."""
    large = [drawn_photograph(seed) for seed in range(NUM_PICTURES)]
    stored = [store_image(data, longest_side=STORED_SIDE).data for data in large]
    found: Figures = {
        "psnr_db": min(map(likeness_db, large)),
        "stored_psnr_db": min(map(likeness_db, stored)),
        "mean_kb": mean(map(len, large)) / 1_000,
    }
    for prefix, pictures in (("", large), ("stored_", stored)):
        room = folder / (prefix + "pairs")
        publish(room, pictures)
        found |= {prefix + name: value for name, value in compared(room, rounds).items()}
    _, told = fed("ours", folder / "pairs", step_s=STEP_S)
    return found | {"wait_share": told["wait_share"]}


def compared(folder: Path, rounds: int) -> Figures:
    """Median images per CPU second of each side, taken in turn, and their ratio."""
    if find_spec("open_clip_train") is None or find_spec("webdataset") is None:
        return {"image_ratio": None, "images_per_cpu_s": per_cpu_s("ours", folder)}
    pairs = [(per_cpu_s("ours", folder), per_cpu_s("open_clip", folder)) for _ in range(rounds)]
    return {
        "image_ratio": median(mine / other for mine, other in pairs),
        "images_per_cpu_s": median(mine for mine, _ in pairs),
        "open_clip_images_per_cpu_s": median(other for _, other in pairs),
    }


def per_cpu_s(side: str, folder: Path) -> float:
    cpu_s, told = fed(side, folder, step_s=0.0)
    return float(told["num_images"] / cpu_s)


def fed(side: str, folder: Path, *, step_s: float) -> tuple[float, dict[str, Any]]:
    """CPU seconds of the batches that count, and what the side tells of them."""
    process = python("feeding", side, folder, step_s)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with Family(process.pid, every_s=SAMPLE_EVERY_S) as family:
            _told(process.stdout, "warm")
            before = family.cpu_s()
            told = _told(process.stdout, "num_images")
            cpu_s = family.cpu_s() - before
            process.communicate("\n")
    finally:
        process.terminate()
        process.wait()
    return cpu_s, told


def _told(lines: Any, key: str) -> dict[str, Any]:
    """The next line that is ours; Ray and its workers print too."""
    for line in lines:
        if line.startswith("{") and key in (facts := json.loads(line)):
            return dict(facts)
    sys.exit(f"a side of the loader's benchmark has ended before it said {key!r}")


def drawn_photograph(seed: int) -> bytes:
    """A JPEG of structures of all sizes and of about `TARGET_BYTES`."""
    random, (width, height) = np.random.default_rng(seed), SIZE
    levels = random.normal(0, 1.5, (height, width, 3))
    for octave in range(1, 9):
        coarse = (height // 2**octave + 3, width // 2**octave + 3, 3)
        noise = random.normal(size=coarse).astype(np.float32)
        levels += 1.9**octave * cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    levels = (levels - levels.min()) / np.ptp(levels) * 255
    image = Image.fromarray(levels.astype(np.uint8))
    tries = [_jpeg(image, quality) for quality in (80, 85, 90, 93, 95, 97)]
    return min(tries, key=lambda data: abs(len(data) - TARGET_BYTES))


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def likeness_db(data: bytes, *, seed: int = 1) -> float:
    """PSNR of a training crop beside the same crop by Pillow from the whole decoded picture."""
    config = PixelConfig()
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    left, top, width, height = crop_box(*whole.size, config, np.random.default_rng(seed))
    cropped = whole.crop((left, top, left + width, top + height))
    ideal = cropped.resize((config.size, config.size), Image.Resampling.BICUBIC)
    found = train_crop(decode(data), config, seed).permute(1, 2, 0).numpy()
    return psnr(found.astype(float), np.asarray(ideal, float))


def publish(folder: Path, pictures: Sequence[bytes]) -> None:
    """The same pairs as `pairs@loader` in Parquet, and as WebDataset's shards."""
    texts = [_caption(number) for number in range(NUM_PAIRS)]
    train_wordpiece(texts, vocab_size=600).save(Store(folder).folder("words", "loader"))
    data = [pictures[number % len(pictures)] for number in range(NUM_PAIRS)]
    with Store(folder).publishing("pairs", "loader", config={}) as publication:
        empty = dict.fromkeys(PAIR_SCHEMA.names)
        rows = [
            empty | {"pair_id": f"{n:05d}", "caption": text, "image": image, "split": "train"}
            for n, (text, image) in enumerate(zip(texts, data, strict=True))
        ]
        path = Path(publication.folder.path, "train", "00000.parquet")
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, PAIR_SCHEMA), path, row_group_size=ROWS_PER_GROUP)
    (folder / "shards").mkdir()
    for start in range(0, NUM_PAIRS, PAIRS_PER_SHARD):
        with tarfile.open(folder / "shards" / f"{start:05d}.tar", "w") as tar:
            for number in range(start, start + PAIRS_PER_SHARD):
                _add(tar, f"{number:05d}.jpg", data[number])
                _add(tar, f"{number:05d}.txt", texts[number].encode())


def _caption(number: int) -> str:
    words = ("axial", "section", "of", "the", "stained", "tissue", "with", "arrows", "at", "scale")
    chosen = np.random.default_rng(number).choice(words, size=60)
    return f"Figure {number}. {' '.join(chosen)}."


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
