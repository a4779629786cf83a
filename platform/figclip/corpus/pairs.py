"""One article and its media → pairs, and an entry of the ledger for all that gives none."""

from collections.abc import Iterator
from dataclasses import dataclass

from figclip.corpus.media import resolve_media
from figclip.corpus.rules import (
    CorpusConfig,
    article_objection,
    caption_of,
    figure_objection,
)
from figclip.corpus.splits import split_of
from figclip.pictures.images import StoredImage
from figclip.schema import Article, Entry, Figure, Pair, State
from figclip.sources.pmc_cloud import VersionMetadata


@dataclass(frozen=True)
class Candidate:
    """A graphic that becomes a pair if its picture can be had."""

    figure: Figure
    graphic: str
    """Name of its media file."""


def entry(
    metadata: VersionMetadata,
    reason: str,
    *,
    state: State = "rejected",
    figure_id: str = "",
    graphic: str = "",
) -> Entry:
    """An entry by a rule's words, `reason: detail`."""
    word, _, detail = reason.partition(": ")
    # An exception may quote what UTF-8 cannot write.
    readable = detail.encode("utf-8", "backslashreplace").decode()
    return Entry(metadata.pmcid, metadata.version, figure_id, graphic, state, word, readable)


def objection(article: Article, metadata: VersionMetadata, config: CorpusConfig) -> str | None:
    """Why a parsed version gives no pair at all, or `None`."""
    if article.pmcid and article.pmcid != metadata.pmcid:
        return f"other_article: the XML is that of {article.pmcid}"
    if reason := article_objection(article, license_of(article, metadata), config):
        return reason
    return None if article.figures else "no_figures: nothing with a picture and a caption"


def license_of(article: Article, metadata: VersionMetadata) -> str:
    return metadata.license_code or article.license


def candidates(
    article: Article, metadata: VersionMetadata, config: CorpusConfig
) -> Iterator[Candidate | Entry]:
    """In document order: every graphic that names a media file, and why each other one does not."""
    for figure in article.figures:
        if reason := figure_objection(figure, config):
            yield entry(metadata, reason, figure_id=figure.figure_id)
        elif not figure.graphics:
            yield entry(metadata, "no_graphic: it names no picture", figure_id=figure.figure_id)
        else:
            yield from _graphics(figure, metadata)


def _graphics(figure: Figure, metadata: VersionMetadata) -> Iterator[Candidate | Entry]:
    seen: set[str] = set()
    for href in dict.fromkeys(figure.graphics):
        name = resolve_media(href, metadata.media)
        if name is None:
            reason = f"missing_media: none of the {len(metadata.media)} media files is {href!r}"
            yield entry(metadata, reason, figure_id=figure.figure_id, graphic=href)
        elif name not in seen:
            seen.add(name)
            yield Candidate(figure, name)
        elif name != href:  # which the candidate's own line names
            reason = f"repeated_graphic: {name} stands in this figure already"
            yield entry(metadata, reason, figure_id=figure.figure_id, graphic=href)


def published(metadata: VersionMetadata, found: Candidate, image: StoredImage) -> Entry:
    return Entry(
        metadata.pmcid,
        metadata.version,
        found.figure.figure_id,
        found.graphic,
        "published",
        "",
        "",
        image_sha256=image.sha256,
        image_fingerprint=image.fingerprint,
    )


def pair_id(version_id: str, figure_id: str, graphic: str) -> str:
    return f"{version_id}/{figure_id}/{graphic}"


def pair(
    article: Article,
    metadata: VersionMetadata,
    found: Candidate,
    image: StoredImage,
    config: CorpusConfig,
) -> Pair:
    """The row of a candidate whose picture was had."""
    figure = found.figure
    return Pair(
        pair_id=pair_id(metadata.version_id, figure.figure_id, found.graphic),
        pmcid=metadata.pmcid,
        version=metadata.version,
        pmid=metadata.pmid or article.pmid,
        doi=metadata.doi or article.doi,
        title=article.title or metadata.title or "",
        journal=article.journal,
        date=article.date,
        year=int(article.date[:4]) if article.date else None,
        license=license_of(article, metadata),
        figure_license=figure.license,
        figure_attribution=figure.attribution,
        article_type=article.article_type,
        figure_id=figure.figure_id,
        owner=figure.owner,
        graphic=found.graphic,
        label=figure.label,
        section=list(figure.section),
        caption=caption_of(figure),
        group_caption=figure.group_caption,
        alt_text=figure.alt_text,
        mentions=list(dict.fromkeys(mention.text for mention in figure.mentions)),
        image=image.data,
        width=image.width,
        height=image.height,
        original_width=image.original_width,
        original_height=image.original_height,
        image_sha256=image.sha256,
        image_fingerprint=image.fingerprint,
        split=split_of(
            metadata.pmcid,
            seed=config.split_seed,
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
        ),
    )
