"""What real articles take and weigh: the figures that `jobs.ingest --plan` reckons with."""

from pathlib import Path
from statistics import mean

from figclip.corpus.rules import CorpusConfig
from figclip.sources.miniature import BUCKET
from jobs.benchmarks.figures import Figures
from jobs.benchmarks.sides import plain, served

CONFIG = CorpusConfig(licenses=None)


def rates(shared: Path | None, folder: Path) -> Figures:
    """CPU time of the plain loop over HTTP, and mean sizes, on the real articles of `shared`."""
    bucket = None if shared is None else shared / "pmc-oa-opendata"
    if bucket is None or not bucket.is_dir():
        return dict.fromkeys(RATES)
    with served(bucket) as endpoint:
        source = f"s3://{BUCKET}"
        plain(source, folder / "warm", CONFIG, endpoint=endpoint)
        _, (work,) = plain(source, folder / "measured", CONFIG, endpoint=endpoint)
    stated = [path.stat().st_size for path in (bucket / "metadata").glob("*.json")]
    found = (
        work.num_articles / (work.cpu_s - work.images_cpu_s),
        work.num_media / work.images_cpu_s,
        work.media_bytes / work.num_media,
        work.xml_bytes / work.num_articles,
        mean(stated),
        work.stored_bytes / work.num_pairs,
    )
    return {name: round(value, 1) for name, value in zip(RATES, found, strict=True)}


RATES = (
    "articles_per_cpu_s",
    "images_per_cpu_s",
    "media_bytes",
    "xml_bytes",
    "metadata_bytes",
    "stored_bytes",
)
