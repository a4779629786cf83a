"""A bucket of articles that nobody would write, and what reading them takes of a worker's memory.

The files are small where they can be (one colour compresses well), and one file lies under many
names: what counts is what a worker holds when it reads them.
"""

import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from figclip.corpus.rules import CorpusConfig
from figclip.schema import MAX_PIXELS
from figclip.sources.miniature import BUCKET
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.overhead import TASKS, WORKER
from jobs.benchmarks.sides import ray_job

log = logging.getLogger(__name__)

CONFIG = CorpusConfig(licenses=None, articles_per_shard=8)

BOUND_SIDE = int(MAX_PIXELS**0.5)
"""Of a square picture, just below the number of pixels that is still decoded."""

NUM_PHOTOGRAPHS = 200
PHOTOGRAPH = (4000, 3000)

NUM_FIGURES = 20_000
XML_BYTES = 60 * 2**20

Media = Mapping[str, Path]
"""Name in the article → the file."""


def memory(folder: Path) -> Figures:
    """Ingest the bucket, pictures shrunk and as they are; the most that any worker held."""
    bucket = folder / BUCKET
    write_bucket(bucket)
    figures: Figures = {}
    for name, longest_side in (("shrunk", CONFIG.longest_side), ("untouched", None)):
        config = CONFIG.with_overrides({"longest_side": longest_side})
        with ray_job(folder / f"store-{name}") as job:
            found = job.ingest(str(bucket), "hostile", config, tasks=TASKS)
            job.family.sample()
            rss = job.family.peak_rss_of(WORKER)
        log.info("%s: %s in %.0f s", name, found["counts"], found["wall_s"])
        figures[f"worker_rss_mb_{name}"] = round(rss / 2**20, 1)
        figures[f"hostile_pairs_{name}"] = found["counts"]["num_pairs"]
    figures["worker_rss_mb_hostile"] = max(
        value for name, value in figures.items() if value and name.startswith("worker_rss_mb")
    )
    return figures


def write_bucket(bucket: Path) -> None:
    """One article a kind of malice, in the layout of the PMC Cloud Service."""
    files = bucket.parent / "files"
    files.mkdir(parents=True)
    photograph = _kept(files / "photograph.jpg", _photograph())
    extremes = {
        f"bound.{name}": _kept(files / f"bound.{name}", data) for name, data in _at_the_bound()
    }
    small = _kept(files / "small.png", _small())
    photographs = {f"p{n:05d}.jpg": photograph for n in range(NUM_PHOTOGRAPHS)}
    drawings = {f"d{n:05d}.png": small for n in range(NUM_FIGURES)}
    _write_article(bucket, 1, _xml(1, _figures(photographs)), photographs)
    # A dozen such articles side by side: of some of them a worker reads ahead.
    few = dict(list(photographs.items())[:16])
    for number in range(2, 14):
        _write_article(bucket, number, _xml(number, _figures(few)), few)
    # Side by side with each other too.
    for number in range(14, 18):
        _write_article(bucket, number, _xml(number, _figures(extremes)), extremes)
    _write_article(bucket, 18, _xml(18, _figures({"p.jpg": photograph}) + _filler()), few)
    _write_article(bucket, 19, _xml(19, _figures(drawings)), drawings)


def _kept(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _photograph() -> bytes:
    """A noisy picture: some megabytes, and still fetched ahead."""
    width, height = PHOTOGRAPH
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    image = Image.fromarray(noise).resize(PHOTOGRAPH, Image.Resampling.BICUBIC)
    return _encoded(image, "JPEG", quality=78)


def _at_the_bound() -> Iterator[tuple[str, bytes]]:
    size = (BOUND_SIDE, BOUND_SIDE)
    yield "rgba.png", _encoded(Image.new("RGBA", size, (90, 20, 30, 128)), "PNG")
    grey = Image.fromarray(np.full((BOUND_SIDE, BOUND_SIDE), 1_000, np.uint16))
    yield "grey.png", _encoded(grey, "PNG")
    cmyk = Image.new("CMYK", size, (10, 20, 30, 40))
    yield "cmyk.tif", _encoded(cmyk, "TIFF", compression="tiff_adobe_deflate")
    yield "cmyk.jpg", _encoded(cmyk, "JPEG")
    yield "progressive.jpg", _encoded(Image.new("RGB", size), "JPEG", progressive=True)


def _small() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    return _encoded(Image.fromarray(noise), "PNG")


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _figures(media: Media) -> str:
    """A figure for each file, and a paragraph that names them all."""
    figures = "".join(
        f'<fig id="f{n}"><label>Figure {n}</label><caption><p>The picture {name}.</p></caption>'
        f'<graphic xlink:href="{name}"/></fig>'
        for n, name in enumerate(media)
    )
    named = "".join(f'<xref ref-type="fig" rid="f{n}">{n}</xref> ' for n in range(len(media)))
    return f"<p>As seen in {named}</p>{figures}"


def _filler() -> str:
    """A table without end, as the largest real articles have them."""
    row = f"<tr>{'<td>3.1416 &#x00B1; 0.0001</td>' * 20}</tr>"
    rows = row * (XML_BYTES // len(row))
    return f"<table-wrap><table><tbody>{rows}</tbody></table></table-wrap>"


def _xml(number: int, body: str) -> bytes:
    return (
        '<?xml version="1.0"?><article xmlns:xlink="http://www.w3.org/1999/xlink" '
        'article-type="research-article"><front><article-meta>'
        f'<article-id pub-id-type="pmcid">PMC{number}</article-id>'
        "<title-group><article-title>A hostile article</article-title></title-group>"
        "<pub-date><year>2026</year></pub-date></article-meta></front>"
        f"<body>{body}</body></article>"
    ).encode()


def _write_article(bucket: Path, number: int, xml: bytes, media: Media) -> None:
    name = f"PMC{number}.1"
    folder = bucket / name
    folder.mkdir(parents=True)
    (folder / f"{name}.xml").write_bytes(xml)
    digests = {path: hashlib.md5(path.read_bytes()).hexdigest() for path in set(media.values())}
    for key, path in media.items():
        os.link(path, folder / key)
    where = f"s3://{BUCKET}/{name}"
    stated = {
        "pmcid": f"PMC{number}",
        "version": 1,
        "license_code": "CC BY",
        "is_pmc_openaccess": True,
        "is_manuscript": False,
        "is_historical_ocr": False,
        "is_retracted": False,
        "xml_url": f"{where}/{name}.xml?md5={hashlib.md5(xml).hexdigest()}",
        "media_urls": [f"{where}/{key}?md5={digests[path]}" for key, path in media.items()],
    }
    (bucket / "metadata").mkdir(exist_ok=True)
    (bucket / "metadata" / f"{name}.json").write_text(json.dumps(stated))
