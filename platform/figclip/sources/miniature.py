"""A miniature PubMed Central: invented articles in a bucket of exactly the cloud layout.

The same seed and number of articles give the same bytes, on any number of processes. Beside the
objects stand `truth.jsonl` (one line a figure: panels, labels, sub-captions, attributes) and
`truth.json` (one entry an article version: what ingestion must find). There a version is eligible
if it is the chosen one of an open, valid article under one of `ELIGIBLE_LICENSES`.
"""

import gzip
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from figclip.config import Config, UsageError
from figclip.log import with_progress
from figclip.sources.synthetic.publications import invent_article
from figclip.store import clear_disk_errors

log = logging.getLogger(__name__)

BUCKET = "pmc-oa-opendata"
INVENTORY = f"inventory-reports/{BUCKET}/metadata"
DAY = "2026-11-18T01-00Z"
ELIGIBLE_LICENSES = ("CC BY", "CC0")
REVISION = 1
"""To be raised whenever the same config gives other bytes."""


class MiniatureConfig(Config):
    """What decides every byte of a miniature."""

    num_articles: PositiveInt
    """Articles (PMCIDs); a few have two versions. From 40 on every oddity occurs."""
    seed: NonNegativeInt = 0
    """Another seed gives other articles."""


Written = dict[str, Any]
"""What the objects of one article are: inventory rows, truth and summaries."""
Mapped = Callable[[Callable[[int], Written], Iterable[int]], Iterable[Written]]
"""Like `map`: the function's values for each item, in order, wherever they are computed."""


def write_miniature(
    folder: Path, config: MiniatureConfig, *, mapped: Mapped = map
) -> dict[str, int]:
    """Write a bucket to `folder`, whole or not at all, and return its counts.

    `mapped` runs the articles: here one after another, or on the processes of the caller's choice.
    A folder that holds this very miniature is left as it is; `UsageError` where it holds
    anything else.
    """
    counts = _counts_of(folder, config)
    if counts is not None:
        log.info("%s holds this miniature already: kept", folder)
        return counts
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with clear_disk_errors(str(folder)):
            part.mkdir(parents=True)
            written = _write_articles(part, config, mapped)
            counts = _write_truth(part, config, written)
            if folder.is_dir():
                folder.rmdir()
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    log.info("wrote a miniature to %s: %s", folder, counts)
    return counts


def _counts_of(folder: Path, config: MiniatureConfig) -> dict[str, int] | None:
    """The counts of a miniature of this config that stands there; None where nothing does."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    about = folder / "miniature.json"
    if about.is_file():
        found = json.loads(about.read_bytes())
        if found["config"] == config.model_dump() and found["revision"] == REVISION:
            return found["counts"]
    raise UsageError(
        f"{folder} exists and holds something else; delete it, or choose another folder "
        f"for the miniature"
    )


def _write_articles(folder: Path, config: MiniatureConfig, mapped: Mapped) -> list[Written]:
    """Write every article's objects; what each wrote, in the order of the articles."""
    written = mapped(partial(write_article, folder, config.seed), range(config.num_articles))
    what = "articles of the miniature"
    return list(with_progress(written, what=what, total=config.num_articles))


def write_article(folder: Path, seed: int, index: int) -> Written:
    """Write the objects of one article; returns its inventory rows, truth and summaries."""
    rows, truth, summaries = [], [], []
    for version in invent_article(seed, index):
        name = version.version_id
        urls = {
            "xml_url": _put(folder, f"{name}/{name}.xml", version.xml),
            "text_url": _put(folder, f"{name}/{name}.txt", version.text),
        }
        media = [_put(folder, f"{name}/{key}", data) for key, data in sorted(version.media.items())]
        metadata = version.metadata | urls | ({"media_urls": media} if media else {})
        data = json.dumps(metadata, indent=1, ensure_ascii=False).encode()
        _put(folder, f"{name}/{name}.json", data)
        rows.append((_put(folder, f"metadata/{name}.json", data)).removeprefix(f"s3://{BUCKET}/"))
        truth += version.truth
        summaries.append(version.summary)
    return {"rows": rows, "truth": truth, "summaries": summaries}


def _put(folder: Path, key: str, data: bytes) -> str:
    """Write an object; returns its URL with the md5 of its bytes, as the metadata carry it."""
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"s3://{BUCKET}/{key}?md5={hashlib.md5(data).hexdigest()}"


def _write_truth(
    folder: Path, config: MiniatureConfig, written: list[dict[str, Any]]
) -> dict[str, int]:
    rows = [row for article in written for row in article["rows"]]
    truth = [line for article in written for line in article["truth"]]
    summaries = [summary for article in written for summary in article["summaries"]]
    _write_inventory(folder, rows)
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in truth]
    (folder / "truth.jsonl").write_text("".join(lines), encoding="utf-8")
    _write_json(folder / "truth.json", summaries)
    eligible = [summary for summary in summaries if summary["is_eligible"]]
    counts = {
        "num_articles": config.num_articles,
        "num_versions": len(summaries),
        "num_figures": len(truth),
        "num_eligible_versions": len(eligible),
        "num_eligible_figures": sum(summary["num_figs"] for summary in eligible),
        "num_pairs": sum(summary["num_pairs"] for summary in eligible),
    }
    about = {"revision": REVISION, "config": config.model_dump(), "counts": counts}
    _write_json(folder / "miniature.json", about)
    return counts


def _write_inventory(folder: Path, rows: list[str]) -> None:
    """The daily S3 inventory of `metadata/`: a gzipped CSV, then the manifest that names it."""
    lines = []
    for row in sorted(rows):
        key, _, etag = row.partition("?md5=")
        lines.append(f'"{BUCKET}","{key}","2026-11-17T00:00:00.000Z","{etag}"\n')
    data = gzip.compress("".join(lines).encode(), mtime=0)
    key = f"{INVENTORY}/data/0b6b9d0c-0000-4000-8000-000000000001.csv.gz"
    _put(folder, key, data)
    part = {"key": key, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
    manifest = {
        "sourceBucket": BUCKET,
        "destinationBucket": f"arn:aws:s3:::{BUCKET}",
        "version": "2016-11-30",
        "creationTimestamp": "1794963600000",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, LastModifiedDate, ETag",
        "files": [part],
    }
    (folder / INVENTORY / DAY).mkdir(parents=True)
    _write_json(folder / INVENTORY / DAY / "manifest.json", manifest)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
