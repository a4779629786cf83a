"""One article and its media → pairs, and a reason for every figure and graphic that gives none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from figclip.corpus.images import ImageError, StoredImage, store_image
from figclip.corpus.media import resolve_media
from figclip.corpus.rules import (
    CorpusConfig,
    article_objection,
    caption_of,
    figure_objection,
    split_of,
)
from figclip.schema import Article, Figure, Pair, Rejection
from figclip.sources.pmc_cloud import CorruptObject, MissingObject, VersionMetadata


@dataclass(frozen=True)
class ArticleCounts:
    """Of the figures proper (`<fig>`), as the XML states them."""

    num_figures: int
    num_figures_with_caption: int


def pairs_of(
    article: Article,
    metadata: VersionMetadata,
    fetch: Callable[[str], bytes],
    config: CorpusConfig,
) -> tuple[list[Pair], list[Rejection], ArticleCounts]:
    """Pair every graphic that resolves with its figure's caption, in document order.

    `fetch` gives the bytes of a media file by name. One bad graphic costs no other: each leaves a
    rejection of its own, and so does an article without pairs. What `fetch` raises beyond
    `MissingObject` and `CorruptObject` travels up.
    """
    figures = [figure for figure in article.figures if figure.kind == "fig"]
    counts = ArticleCounts(len(figures), sum(bool(caption_of(f).strip()) for f in figures))

    def reject(reason: str, figure_id: str = "", graphic: str = "") -> Rejection:
        word, _, detail = reason.partition(": ")
        return Rejection(metadata.pmcid, metadata.version, figure_id, graphic, word, detail)

    license = metadata.license_code or article.license
    if article.pmcid and article.pmcid != metadata.pmcid:
        return [], [reject(f"other_article: the XML is that of {article.pmcid}")], counts
    if objection := article_objection(article, license, config):
        return [], [reject(objection)], counts
    if not article.figures:
        return [], [reject("no_figures: nothing with a picture and a caption")], counts

    pairs: list[Pair] = []
    rejections: list[Rejection] = []
    for figure in article.figures:
        if objection := figure_objection(figure, config):
            rejections.append(reject(objection, figure.figure_id))
            continue
        if not figure.graphics:
            rejections.append(reject("no_graphic: it names no picture", figure.figure_id))
        for graphic, image in _images(figure, metadata, fetch, config.longest_side):
            if isinstance(image, str):
                rejections.append(reject(image, figure.figure_id, graphic))
            else:
                pairs.append(_pair(article, metadata, figure, graphic, image, license, config))
    return pairs, rejections, counts


def _images(
    figure: Figure,
    metadata: VersionMetadata,
    fetch: Callable[[str], bytes],
    longest_side: int | None,
) -> Iterator[tuple[str, StoredImage | str]]:
    """Media name and picture, or href or name and objection, of each of a figure's graphics."""
    seen: set[str] = set()
    for href in figure.graphics:
        name = resolve_media(href, metadata.media)
        if name is None:
            yield href, f"missing_media: none of the {len(metadata.media)} media files is {href!r}"
        elif name not in seen:
            seen.add(name)
            yield name, _image(name, fetch, longest_side)


def _image(name: str, fetch: Callable[[str], bytes], longest_side: int | None) -> StoredImage | str:
    try:
        return store_image(fetch(name), longest_side=longest_side)
    except MissingObject as error:
        return f"missing_media: {error}"
    except CorruptObject as error:
        return f"corrupt_media: {error}"
    except ImageError as error:
        return f"{error.reason}: {error.detail}"


def _pair(
    article: Article,
    metadata: VersionMetadata,
    figure: Figure,
    graphic: str,
    image: StoredImage,
    license: str,
    config: CorpusConfig,
) -> Pair:
    return Pair(
        pair_id=f"{metadata.version_id}/{figure.figure_id}/{graphic}",
        pmcid=metadata.pmcid,
        version=metadata.version,
        pmid=metadata.pmid or article.pmid,
        doi=metadata.doi or article.doi,
        title=article.title or metadata.title or "",
        journal=article.journal,
        year=article.year,
        license=license,
        figure_license=figure.license,
        article_type=article.article_type,
        figure_id=figure.figure_id,
        owner=figure.owner,
        graphic=graphic,
        label=figure.label,
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
        split=split_of(
            metadata.pmcid,
            seed=config.split_seed,
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
        ),
    )
