"""XML → article: articles per CPU-second of one thread, beside pubmed_parser on the same files."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pubmed_parser

from figclip.jats.article import parse_article

ROUNDS = 5
"""Each reads every file in both ways; the best of them counts, for what disturbs only adds."""

THEIR_READINGS: tuple[Callable[[str], object], ...] = (
    pubmed_parser.parse_pubmed_caption,
    pubmed_parser.parse_pubmed_paragraph,
    pubmed_parser.parse_pubmed_xml,
)
"""Captions, paragraphs and metadata: together less than an `Article` holds."""


def xml(shared: Path | None) -> dict[str, float]:
    """Read the real articles of `shared/pmc-xml` in both ways, in turn; `{}` without them.

    Both read files from the disk's cache. What pubmed_parser raises on counts with the time up to
    there.
    """
    folder = shared / "pmc-xml" if shared is not None else None
    paths = sorted(folder.glob("*.*xml")) if folder is not None else []
    if not paths:
        print("not measured: the XML of real articles is not at hand")
        return {}
    ours, theirs = [], []
    raised: Counter[str] = Counter()
    for _ in range(ROUNDS):
        ours.append(_cpu_seconds(lambda path: parse_article(path.read_bytes()), paths))
        raised.clear()
        theirs.append(_cpu_seconds(lambda path: _their_reading(str(path), raised), paths))
    print(f"{len(paths)} articles; pubmed_parser raises: {dict(raised)}")
    return {
        "xml_articles_per_cpu_s": round(len(paths) / min(ours), 1),
        "pubmed_parser_articles_per_cpu_s": round(len(paths) / min(theirs), 1),
        "xml_ratio": round(min(theirs) / min(ours), 2),
    }


def _cpu_seconds(read: Callable[[Path], object], paths: list[Path]) -> float:
    start = time.process_time()
    for path in paths:
        read(path)
    return time.process_time() - start


def _their_reading(path: str, raised: Counter[str]) -> None:
    for reading in THEIR_READINGS:
        try:
            reading(path)
        except Exception as error:  # KeyError without a print date, UnboundLocalError, ...
            raised[f"{reading.__name__}: {type(error).__name__}"] += 1
