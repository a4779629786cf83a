"""An article's XML → `Article`: its metadata, figures, captions, and what is said of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from figclip.jats.document import JatsError, local_name, parse_document
from figclip.jats.graphics import graphics_of
from figclip.jats.licenses import joined, stated_copyright, stated_license
from figclip.jats.mentions import Mentioned, mentions_of
from figclip.jats.metadata import article_metadata
from figclip.jats.reading import Reading
from figclip.jats.text import FIGURES, text_of
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
HOLDER_TAGS = tuple(f"{{*}}{name}" for name in HOLDERS)

MOST_HOLDERS = 50_000
"""An article with more figures and tables is none."""

NOT_OWN = frozenset(HOLDERS) | {"caption", "table"}
ASIDES = frozenset({"alt-text", "long-desc", "permissions", "attrib"})
"""What a figure says of itself beside its caption."""
ASIDE_TAGS = tuple(f"{{*}}{name}" for name in ASIDES)


@dataclass(frozen=True)
class _Asides:
    alt_text: str = ""
    license: str = ""
    attribution: str = ""


@dataclass(frozen=True)
class _Group:
    """A `<fig-group>`, the ones around it included."""

    caption: str
    names: tuple[str, ...]
    """Ids by which a link may mean each of its figures."""
    asides: _Asides


SILENT = _Asides()
ALONE = _Group("", (), SILENT)


@dataclass(frozen=True)
class _Found:
    """A holder of the document on its way to a `Figure`."""

    element: etree._Element
    kind: Kind
    graphics: tuple[str, ...]
    owner: str
    group: _Group
    label: str

    @property
    def names(self) -> tuple[str, ...]:
        """Ids that a link may use: the figure's own, and its group's."""
        own = self.element.get("id", "").strip()
        return (own, *self.group.names) if own else self.group.names


def parse_article(xml: bytes) -> Article:
    """Parse one article in any form of JATS; figures stand in document order.

    Every `<fig>` is a figure, with or without caption and graphic, wherever it stands. A scheme, a
    table or a box is one where it holds a picture that belongs to no figure inside it, and so is a
    `<fig-group>` with pictures of its own. `JatsError` where there is no article to parse.
    """
    article = parse_document(xml)
    metadata = article_metadata(article)
    reading = Reading(article)
    found = _holders(article, reading)
    mentioned = [Mentioned(item.names, item.owner, item.label) for item in found]
    mentions = mentions_of(article, mentioned, reading)
    figures = tuple(
        _figure(item, figure_id, said, reading)
        for item, figure_id, said in zip(found, _ids(found), mentions, strict=True)
    )
    return Article(**vars(metadata), figures=figures)


def _holders(article: etree._Element, reading: Reading) -> list[_Found]:
    groups: dict[etree._Element, _Group] = {}
    found = []
    for n, element in enumerate(article.iter(*HOLDER_TAGS)):
        if n == MOST_HOLDERS:
            raise JatsError("huge_xml", f"more than {MOST_HOLDERS} figures and tables")
        name = local_name(element)
        graphics = graphics_of(element)
        if name == "fig" or graphics:
            group = _group_around(element, groups, reading)
            owner = reading.owner_of(element)
            label = reading.text_of(next(element.iterchildren("{*}label"), None))
            found.append(_Found(element, HOLDERS[name], graphics, owner, group, label))
    return found


def _group_around(
    element: etree._Element, groups: dict[etree._Element, _Group], reading: Reading
) -> _Group:
    """The group that holds an element, each read once; nothing where there is none."""
    group = next(element.iterancestors("{*}fig-group"), None)
    if group is None:
        return ALONE
    if group not in groups:
        outer = _group_around(group, groups, reading)
        caption = " ".join(filter(None, (outer.caption, _caption(group, reading))))
        reading.spend(len(caption))
        names = (name, *outer.names) if (name := group.get("id", "").strip()) else outer.names
        groups[group] = _Group(caption, names, _inherited(_asides(group), outer.asides))
    return groups[group]


def _ids(found: list[_Found]) -> list[str]:
    """An id of its own for every figure, so that its pairs have one too."""
    taken: set[str] = set()
    ids = []
    for n, item in enumerate(found, start=1):
        stated = item.element.get("id", "").strip()
        ids.append(stated if stated and stated not in taken else _free_id(stated, n, taken))
        taken.add(ids[-1])
    return ids


def _free_id(stated: str, n: int, taken: set[str]) -> str:
    name = f"{stated}-{n}" if stated else f"fig-{n}"
    while name in taken:
        name += "-again"
    return name


def _figure(
    found: _Found, figure_id: str, mentions: tuple[Mention, ...], reading: Reading
) -> Figure:
    element = found.element
    asides = _inherited(_asides(element), found.group.asides)
    return Figure(
        figure_id=figure_id,
        kind=found.kind,
        label=found.label,
        caption=_caption(element, reading),
        group_caption=found.group.caption,
        graphics=found.graphics,
        alt_text=asides.alt_text,
        license=asides.license,
        attribution=asides.attribution,
        owner=found.owner,
        section=reading.section_path(element),
        mentions=mentions,
    )


def _caption(element: etree._Element, reading: Reading) -> str:
    """The element's own caption; never that of a figure inside it or around it."""
    captions = element.iterchildren("{*}caption")
    said = (reading.text_of(caption, leave_out=FIGURES) for caption in captions)
    return " ".join(filter(None, said))


def _asides(element: etree._Element) -> _Asides:
    """What an element says of its own picture and rights."""
    if next(element.iterdescendants(*ASIDE_TAGS), None) is None:
        return SILENT  # as most figures: not worth a walk
    spoken: list[str] = []
    licenses: list[str] = []
    sources: list[str] = []
    for aside in _own_asides(element):
        match local_name(aside):
            case "permissions":
                licenses.append(stated_license(aside))
                sources.append(stated_copyright(aside))
            case "attrib":
                sources.append(text_of(aside))
            case _:
                spoken.append(text_of(aside))
    alt_text = " ".join(dict.fromkeys(filter(None, spoken)))
    return _Asides(alt_text, joined(licenses), joined(sources))


def _own_asides(element: etree._Element) -> Iterator[etree._Element]:
    """Those outside captions, cells, and the figures inside it."""
    for child in element.iterchildren("{*}*"):
        name = local_name(child)
        if name in ASIDES:
            yield child
        elif name not in NOT_OWN:
            yield from _own_asides(child)


def _inherited(own: _Asides, outer: _Asides) -> _Asides:
    """A group's rights are those of its figures that state none; its picture is not theirs."""
    return _Asides(own.alt_text, own.license or outer.license, own.attribution or outer.attribution)
