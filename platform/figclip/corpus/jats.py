"""An article's XML → `Article`: its metadata, figures, captions, and what is said of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from figclip.corpus.document import JatsError, local_name, parse_document
from figclip.corpus.graphics import graphics_of
from figclip.corpus.licenses import stated_rights
from figclip.corpus.mentions import mentions_of, section_path
from figclip.corpus.metadata import article_metadata
from figclip.corpus.text import FIGURES, text_of
from figclip.schema import Article, Figure, Kind, Mention

__all__ = ["JatsError", "parse_article"]

HOLDERS: dict[str, Kind] = {
    "fig": "fig",
    "fig-group": "fig",
    "chem-struct-wrap": "scheme",
    "table-wrap": "table",
    "boxed-text": "boxed",
}
"""Elements that can hold a graphic and a caption → what such a figure is called."""

NOT_OWN = frozenset(HOLDERS) | {"caption", "table"}


@dataclass
class _Found:
    """A holder of the document on its way to a `Figure`."""

    element: etree._Element
    kind: Kind
    graphics: tuple[str, ...]
    owner: str
    figure_id: str = ""
    names: list[str] = field(default_factory=list)
    """Ids that a cross-reference may use: the figure's own, and its group's."""


def parse_article(xml: bytes) -> Article:
    """Parse one article in any form of JATS; figures stand in document order.

    Every `<fig>` is a figure, with or without caption and graphic, wherever it stands. A scheme, a
    table or a box is one where it holds a picture that belongs to no figure inside it, and so is a
    `<fig-group>` with pictures of its own. `JatsError` where there is no article to parse.
    """
    article = parse_document(xml)
    metadata = article_metadata(article)
    found = _with_ids(list(_holders(article)))
    mentions = mentions_of(article, [(item.names, item.owner) for item in found], owner_of)
    figures = tuple(
        _figure(item, mentions=said) for item, said in zip(found, mentions, strict=True)
    )
    return Article(**vars(metadata), figures=figures)


def _holders(article: etree._Element) -> Iterator[_Found]:
    for element in article.iter([f"{{*}}{name}" for name in HOLDERS]):
        name = local_name(element)
        graphics = graphics_of(element)
        if name == "fig" or graphics:
            yield _Found(element, HOLDERS[name], graphics, owner_of(element))


def _with_ids(found: list[_Found]) -> list[_Found]:
    """Give every figure an id of its own, so that its pairs have one too."""
    taken: set[str] = set()
    for n, item in enumerate(found, start=1):
        stated = item.element.get("id", "").strip()
        item.figure_id = stated if stated and stated not in taken else _free_id(stated, n, taken)
        taken.add(item.figure_id)
        groups = [group.get("id", "") for group in _groups(item.element)]
        item.names = [name for name in (stated, *groups) if name]
    return found


def _free_id(stated: str, n: int, taken: set[str]) -> str:
    name = f"{stated}-{n}" if stated else f"fig-{n}"
    while name in taken:
        name += "-again"
    return name


def _figure(found: _Found, *, mentions: tuple[Mention, ...]) -> Figure:
    element = found.element
    return Figure(
        figure_id=found.figure_id,
        kind=found.kind,
        label=text_of(element.find("{*}label")),
        caption=_caption(element),
        group_caption=" ".join(filter(None, map(_caption, reversed(_groups(element))))),
        graphics=found.graphics,
        alt_text=_alt_text(element),
        license=_rights(element),
        attribution="",
        owner=found.owner,
        section=section_path(element),
        mentions=mentions,
    )


def _caption(element: etree._Element) -> str:
    """The element's own caption; never that of a figure inside it or around it."""
    captions = element.iterchildren("{*}caption")
    return " ".join(filter(None, (text_of(caption, leave_out=FIGURES) for caption in captions)))


def _groups(element: etree._Element) -> list[etree._Element]:
    """The `<fig-group>`s around an element, the innermost first."""
    return list(element.iterancestors("{*}fig-group"))


def _own_parts(element: etree._Element) -> Iterator[etree._Element]:
    """The element and what it holds, without captions, cells, and the figures inside it."""
    yield element
    for child in element.iterchildren("{*}*"):
        if local_name(child) not in NOT_OWN:
            yield from _own_parts(child)


def _alt_text(element: etree._Element) -> str:
    spoken = [
        text_of(part)
        for part in _own_parts(element)
        if local_name(part) in ("alt-text", "long-desc")
    ]
    return " ".join(dict.fromkeys(filter(None, spoken)))


def _rights(element: etree._Element) -> str:
    stated = [stated_rights(part) for part in _own_parts(element)]
    return "; ".join(dict.fromkeys(filter(None, stated)))


def owner_of(element: etree._Element) -> str:
    """Id of the innermost sub-article or response around an element; empty in the article itself.

    One without id goes by its name and its place among its siblings.
    """
    owner = next(element.iterancestors("{*}sub-article", "{*}response"), None)
    if owner is None:
        return ""
    place = 1 + sum(1 for _ in owner.itersiblings(owner.tag, preceding=True))
    return owner.get("id") or f"{local_name(owner)}-{place}"
