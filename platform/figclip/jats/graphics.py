"""The pictures of a figure: every graphic's href, alternatives collapsed to the best one."""

import re

from lxml import etree

from figclip.jats.document import local_name
from figclip.jats.licenses import href_of

FORMATS = ("jpg", "jpeg", "png", "webp", "tif", "tiff", "gif")
"""Picture formats by their names' endings, the preferred first: photographs at full size come as
JPEG, originals as TIFF that is slow to read, thumbnails of old articles as GIF."""

_OTHERS = """
    fig fig-group table-wrap chem-struct-wrap boxed-text disp-formula inline-formula
    supplementary-material inline-supplementary-material table
"""
OTHER_HOLDERS = frozenset(_OTHERS.split())
"""What a figure may hold whose pictures are not the figure's: figures, formulas, supplements,
signs in the cells of a table."""

PICTURES = ("{*}graphic", "{*}media")

THUMBNAIL = re.compile(r"thumb|scielo-\d+x\d+", re.IGNORECASE)
LESSER = re.compile(r"print|black|grayscale", re.IGNORECASE)
"""A variant for paper, beside which stands one for the screen."""


def picture_format(name: str) -> str:
    """`jpg`, `png`, ... by the name's ending; empty where it is none of a picture's."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    return ending if ending in FORMATS else ""


def graphics_of(holder: etree._Element) -> tuple[str, ...]:
    """The hrefs of a holder's own pictures, as written, in document order.

    A scheme inside a `<fig>` is the figure's picture; a table as image inside it is not.
    """
    name = local_name(holder)
    if name == "chem-struct-wrap" and next(holder.iterancestors("{*}fig"), None) is not None:
        return ()
    hrefs: list[str] = []
    _collect(holder, hrefs, is_fig=name == "fig")
    return tuple(dict.fromkeys(hrefs))


def _collect(element: etree._Element, hrefs: list[str], *, is_fig: bool) -> None:
    for child in element:
        name = local_name(child)
        if name == "alternatives":
            hrefs += _best(child)
        elif _is_picture(child):
            hrefs.append(href_of(child))
        elif name == "caption" and next(child.iterdescendants(*PICTURES), None) is None:
            pass  # long and, nearly always, words alone
        elif name not in OTHER_HOLDERS or (name == "chem-struct-wrap" and is_fig):
            _collect(child, hrefs, is_fig=is_fig)


def _is_picture(element: etree._Element) -> bool:
    name = local_name(element)
    if name == "graphic":
        return href_of(element) != ""
    return name == "media" and href_of(element) != "" and _is_image_media(element)


def _is_image_media(media: etree._Element) -> bool:
    return media.get("mimetype") == "image" or picture_format(href_of(media)) != ""


def _best(alternatives: etree._Element) -> list[str]:
    """The best picture; beside a `<table>`, its pages: the best of each file stem."""
    pictures = [child for child in alternatives.iterchildren("{*}*") if _is_picture(child)]
    pages: dict[str, list[etree._Element]] = {}
    one_of_many = alternatives.find("{*}table") is None
    for picture in pictures:
        stem = "" if one_of_many else href_of(picture).rpartition(".")[0]
        pages.setdefault(stem, []).append(picture)
    full = [min(variants, key=_rank) for variants in pages.values()]
    return [href_of(picture) for picture in full]


def _rank(picture: etree._Element) -> tuple[bool, bool, int]:
    href = href_of(picture)
    said = " ".join((picture.get("specific-use", ""), picture.get("content-type", "")))
    form = picture_format(href)
    return (
        bool(THUMBNAIL.search(f"{href} {said}")),
        bool(LESSER.search(said)),
        FORMATS.index(form) if form else len(FORMATS),
    )
