"""A local bucket of a few articles, written file by file, and its objects as plain values."""

import gzip
import hashlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, *, side: int = 40) -> bytes:
    levels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "JPEG")
    return stream.getvalue()


def figure_xml(name: str, caption: str, hrefs: list[str]) -> str:
    graphics = "".join(f'<graphic xlink:href="{href}"/>' for href in hrefs)
    return f'<fig id="{name}"><caption><p>{caption}</p></caption>{graphics}</fig>'


def article_xml(pmcid: str, figures: str, *, article_type: str = "research-article") -> bytes:
    return (
        f'<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="{article_type}">'
        f'<front><article-meta><article-id pub-id-type="pmcid">{pmcid}</article-id>'
        f"</article-meta></front><body>{figures}</body></article>"
    ).encode()


def write_article(
    folder: Path, version_id: str, xml: bytes, media: dict[str, bytes], **metadata: object
) -> None:
    """Write one version; `metadata` overrides what its JSON says."""
    pmcid, _, number = version_id.partition(".")
    place = folder / version_id
    place.mkdir(parents=True, exist_ok=True)
    files = {f"{version_id}.xml": xml, **media}
    for name, data in files.items():
        (place / name).write_bytes(data)
    urls = {
        name: f"s3://pmc-oa-opendata/{version_id}/{name}?md5={hashlib.md5(data).hexdigest()}"
        for name, data in files.items()
    }
    stated = {
        "pmcid": pmcid,
        "version": int(number),
        "pmid": None,
        "doi": None,
        "title": f"Article {pmcid}",
        "license_code": "CC BY",
        "is_pmc_openaccess": True,
        "is_manuscript": False,
        "is_historical_ocr": False,
        "is_retracted": False,
        "xml_url": urls.pop(f"{version_id}.xml"),
        "media_urls": list(urls.values()),
    }
    (folder / "metadata").mkdir(exist_ok=True)
    text = json.dumps({**stated, **metadata})
    (folder / "metadata" / f"{version_id}.json").write_text(text)


def write_bucket(folder: Path, *, num_articles: int, side: int = 40) -> None:
    """Articles of one to three figures; every third has an older version, every fifth no figure."""
    for n in range(1, num_articles + 1):
        pmcid = f"PMC{n}"
        names = [f"{pmcid}-{k}.jpg" for k in range(0 if n % 5 == 0 else 1 + n % 3)]
        figures = "".join(
            figure_xml(f"F{k}", f"Figure {k} of {pmcid}.", [name]) for k, name in enumerate(names)
        )
        media = {name: picture(n * 10 + k, side=side) for k, name in enumerate(names)}
        version = 2 if n % 3 == 0 else 1
        write_article(folder, f"{pmcid}.{version}", article_xml(pmcid, figures), media)
        if version == 2:
            write_article(folder, f"{pmcid}.1", article_xml(pmcid, ""), {})


def write_inventory(folder: Path, day: str) -> Path:
    """The inventory of a day (`2026-11-21`): what `metadata/` holds now. Its manifest's path."""
    rows = "".join(
        f'"pmc-oa-opendata","metadata/{path.name}","{hashlib.md5(path.read_bytes()).hexdigest()}"\n'
        for path in sorted((folder / "metadata").iterdir())
    )
    reports = "inventory-reports/pmc-oa-opendata/metadata"
    key, data = f"{reports}/data/{day}.csv.gz", gzip.compress(rows.encode(), mtime=0)
    (folder / reports / "data").mkdir(parents=True, exist_ok=True)
    (folder / key).write_bytes(data)
    part = {"key": key, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
    manifest = {"fileFormat": "CSV", "fileSchema": "Bucket, Key, ETag", "files": [part]}
    path = folder / reports / f"{day}T01-00Z" / "manifest.json"
    path.parent.mkdir()
    path.write_text(json.dumps(manifest))
    return path
