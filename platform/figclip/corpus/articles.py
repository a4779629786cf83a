"""Articles of a source → their pairs and their entries of the ledger, fetched ahead.

One bad file costs no other: what is wrong with an article, a figure or a graphic becomes an entry.
Only faults of the source itself travel up.
"""

import logging
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any

from figclip.config import UsageError
from figclip.corpus.ahead import Call, Work, in_order
from figclip.corpus.pairs import Candidate, candidates, entry, objection, pair, published
from figclip.corpus.plan import split_version_id
from figclip.corpus.rules import CorpusConfig
from figclip.corpus.spill import Pairs
from figclip.jats.article import JatsError, parse_article
from figclip.pictures.images import StoredImage, store_image
from figclip.pictures.opening import ImageError
from figclip.schema import LEDGER_SCHEMA, Article, Entry, State, table_of
from figclip.sources.objects import (
    CorruptObject,
    HugeObject,
    LargeObject,
    MissingObject,
    Refused,
    Unreachable,
)
from figclip.sources.pmc_cloud import BadMetadata, VersionMetadata, choose_version
from figclip.sources.source import Source

log = logging.getLogger(__name__)

UNUSABLE = frozenset({"license_not_allowed", "other_article"})
"""Objections to a parsed version for which another version of the article may do better."""

LARGE_BYTES = 4 * 2**20
"""A larger file is not fetched ahead but when its turn comes, so that few are in memory at once."""

MEDIA_AHEAD = 8
"""Files of one article that are fetched together."""

ARTICLES_AHEAD = 8

UNKNOWN_VERSION = 0
"""As which a source lists an article that was asked for and is not there."""

MOST_UNREACHABLE = 3
"""Articles in a row of which something could not be reached, or that gave nothing because something
was refused: then it is the source that is down, or that wants to know who asks."""

MAY_PASS = (Unreachable, Refused)
"""Faults after which another try, or another right, may read the very same version."""

FAULTS: tuple[tuple[type[Exception], State, str], ...] = (
    (Unreachable, "failed", "unreachable"),
    (Refused, "failed", "refused"),
    (MissingObject, "failed", "lost"),
    (CorruptObject, "failed", "corrupt"),
    (HugeObject, "rejected", "huge"),
)
"""What can be wrong with a file that the source lists; the word is followed by what the file is."""


class _OutOfMemory(Exception):
    """What an article itself asks of memory: with its buffers gone the others may well be read."""


@dataclass
class ReadArticle:
    """What an article gave: its pairs, and an entry for each of its versions and graphics."""

    pmcid: str
    pairs: Pairs = field(default_factory=Pairs)
    entries: list[Entry] = field(default_factory=list)

    @property
    def out_of_reach(self) -> Exception | None:
        """The fault by which the source itself may be out of reach."""
        for word, kind in (("unreachable_", Unreachable), ("refused_", UsageError)):
            details = [e.detail for e in self.entries if e.reason.startswith(word)]
            if details and (kind is Unreachable or not self.pairs):
                return kind(details[0])
        return None


def read_articles(
    source: Source, version_ids: Sequence[str], config: CorpusConfig, *, num_threads: int
) -> Iterator[ReadArticle]:
    """Read articles, given by all their versions, in the order of the ids.

    Files are fetched by `num_threads` threads for a few articles ahead; parsing and decoding is
    done in the caller's thread. `Unreachable` where several articles in a row cannot be had,
    another `UsageError` where they are refused.
    """
    works = (
        read_article(source, list(ids), config)
        for _, ids in groupby(version_ids, key=lambda v: split_version_id(v)[0])
    )
    in_a_row = 0
    for article in in_order(works, num_threads=num_threads, num_ahead=ARTICLES_AHEAD):
        fault = article.out_of_reach
        in_a_row = in_a_row + 1 if fault else 0
        if fault and in_a_row >= MOST_UNREACHABLE:
            what = (
                "cannot be reached" if isinstance(fault, Unreachable) else "refuses what it lists"
            )
            raise type(fault)(f"{source} {what}: {fault}")
        yield article


def read_article(source: Source, version_ids: list[str], config: CorpusConfig) -> Work[ReadArticle]:
    """Read the best version; where that cannot be used, the next best, and so on."""
    found = ReadArticle(split_version_id(version_ids[0])[0])
    for version_id in version_ids:
        if split_version_id(version_id)[1] == UNKNOWN_VERSION:
            detail = "it was asked for by name, and the source does not list it"
            found.entries.append(_version_entry(version_id, "unknown_article", detail))
            return found
    left = yield from _metadata(source, version_ids, found)
    # Where the JSON states no licence the XML may: the parsed article is judged by what it says.
    allowed = config.allowed_licenses
    licenses = None if allowed is None else {*allowed, None}
    while left:
        metadata, passed_over = choose_version(left, licenses)
        left = []
        if metadata is not None:
            is_usable = yield from _read_version(source, metadata, config, found)
            if not is_usable:
                left = [other for other, reason in passed_over if reason == "other_version"]
        found.entries += [
            entry(other, f"{reason}: {_facts(other)}")
            for other, reason in passed_over
            if other not in left
        ]
    return found


def _metadata(
    source: Source, version_ids: Sequence[str], found: ReadArticle
) -> Generator[list[Call], list[Future[Any]], list[VersionMetadata]]:
    futures = yield [partial(source.metadata, version_id) for version_id in version_ids]
    known = []
    missed = ""
    for version_id, future in zip(version_ids, futures, strict=True):
        try:
            known.append(future.result())
        except BadMetadata as error:
            found.entries.append(_version_entry(version_id, error.reason, error.detail))
        except tuple(kind for kind, _, _ in FAULTS) as error:
            state, reason = _fault(error, "metadata")
            missed = reason if isinstance(error, MAY_PASS) else missed
            found.entries.append(_version_entry(version_id, reason, str(error), state=state))
    if not missed:
        return known
    # Which version is the best cannot be told; another try may tell it.
    reason = f"{missed}: those of another version"
    found.entries += [entry(metadata, reason, state="failed") for metadata in known]
    return []


def _version_entry(
    version_id: str, reason: str, detail: str, *, state: State = "rejected"
) -> Entry:
    pmcid, version = split_version_id(version_id)
    readable = detail.encode("utf-8", "backslashreplace").decode()
    return Entry(pmcid, version, "", "", state, reason, readable)


def _fault(error: Exception, what: str) -> tuple[State, str]:
    """State and word for a file that could not be had: `lost_media`, `corrupt_xml`, ..."""
    for kind, state, word in FAULTS:
        if isinstance(error, kind):
            return state, f"{word}_{what}"
    raise error


def _facts(metadata: VersionMetadata) -> str:
    kind = "manuscript" if metadata.is_manuscript else "published version"
    return f"{kind}, licence {metadata.license_code}, {len(metadata.media)} media files"


def _read_version(
    source: Source, metadata: VersionMetadata, config: CorpusConfig, found: ReadArticle
) -> Generator[Sequence[Call], Sequence[Future[Any]], bool]:
    """Add what a version gives to `found`; whether it speaks for its article, be it without pairs.

    No fault of its files, however odd, reaches the caller.
    """
    pairs = Pairs()
    entries: list[Entry] = []
    try:
        (future,) = yield [partial(source.xml, metadata)]
        data = future.result()
        with _memory_of_the_article():
            article = parse_article(data)
        yield from _pair_up(source, article, metadata, config, pairs, entries)
        # What no column can hold would otherwise end the whole shard.
        pairs.settle()
        table_of(entries, LEDGER_SCHEMA)
    except tuple(kind for kind, _, _ in FAULTS) as error:
        state, reason = _fault(error, "xml")
        found.entries.append(entry(metadata, f"{reason}: {error}", state=state))
        return isinstance(error, MAY_PASS)
    except _OutOfMemory as error:
        found.entries.append(entry(metadata, f"out_of_memory: {error}", state="failed"))
        return True  # another try, on another machine, may read this very version
    except (UsageError, OSError, MemoryError):
        raise  # the source's or the machine's
    except (JatsError, BadMetadata) as error:
        found.entries.append(entry(metadata, f"{error.reason}: {error.detail}"))
        return False
    except Exception as error:
        log.warning("%s: unexpected error", metadata.version_id, exc_info=True)
        reason = f"unexpected_error: {type(error).__name__}: {error}"
        found.entries.append(entry(metadata, reason, state="failed"))
        return False
    found.pairs = pairs
    found.entries += entries
    return entries[0].reason not in UNUSABLE


@contextmanager
def _memory_of_the_article() -> Iterator[None]:
    """Tell what an article's own work lacks from what fetching and writing do."""
    try:
        yield
    except MemoryError as error:
        raise _OutOfMemory(str(error) or "while it was parsed or decoded") from error


def _pair_up(
    source: Source,
    article: Article,
    metadata: VersionMetadata,
    config: CorpusConfig,
    pairs: Pairs,
    entries: list[Entry],
) -> Generator[Sequence[Call], Sequence[Future[Any]], None]:
    """Add a parsed version's pairs and entries, its own entry the first."""
    reason = objection(article, metadata, config)
    with _memory_of_the_article():
        found = [] if reason else list(candidates(article, metadata, config))
    for start in range(0, len(found), MEDIA_AHEAD):
        some = found[start : start + MEDIA_AHEAD]
        names = [item.graphic for item in some if isinstance(item, Candidate)]
        futures = yield [partial(source.media, metadata, n, at_most=LARGE_BYTES) for n in names]
        waiting = iter(futures)
        for item in some:
            if isinstance(item, Entry):
                entries.append(item)
                continue
            image = _image(source, metadata, item.graphic, next(waiting), config.longest_side)
            if isinstance(image, Entry):
                entries.append(replace(image, figure_id=item.figure.figure_id))
            else:
                entries.append(published(metadata, item, image))
                pairs.add(pair(article, metadata, item, image, config))
    if pairs:
        own = entry(metadata, "", state="published")
    else:
        own = entry(metadata, reason or "no_pairs: none of its figures gave one")
    figures = [figure for figure in article.figures if figure.kind == "fig"]
    num_with_caption = sum(bool((f.caption or f.group_caption).strip()) for f in figures)
    entries.insert(
        0, replace(own, num_figures=len(figures), num_figures_with_caption=num_with_caption)
    )


def _image(
    source: Source,
    metadata: VersionMetadata,
    name: str,
    future: Future[bytes],
    longest_side: int | None,
) -> StoredImage | Entry:
    """The picture of a media file, or the entry that says why there is none."""
    try:
        try:
            data = future.result()
        except LargeObject:
            data = source.media(metadata, name)
        with _memory_of_the_article():
            return store_image(data, longest_side=longest_side)
    except tuple(kind for kind, _, _ in FAULTS) as error:
        state, reason = _fault(error, "media")
        return entry(metadata, f"{reason}: {error}", state=state, graphic=name)
    except ImageError as error:
        return entry(metadata, f"{error.reason}: {error.detail}", graphic=name)
