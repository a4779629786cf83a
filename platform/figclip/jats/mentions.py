"""Where an article speaks of its figures: the paragraphs that link to them."""

from collections.abc import Sequence

from lxml import etree

from figclip.jats.document import local_name
from figclip.jats.reading import Reading
from figclip.jats.text import FLOATS
from figclip.schema import Mention

COST_OF_MENTION = 500
"""What keeping a mention costs, in characters read."""


def mentions_of(
    article: etree._Element, figures: Sequence[tuple[Sequence[str], str]], reading: Reading
) -> list[tuple[Mention, ...]]:
    """For each figure, given as `(ids, owner)`, the mentions of it in document order.

    A link is any `<xref>` whose `rid` holds one of the figure's ids, or its group's. Where an
    article and its sub-articles use one id twice, a link means the figure of its own part. Captions
    do not count: they describe figures, and are no running text.
    """
    places = _places(figures, reading)
    mentions: list[dict[Mention, None]] = [{} for _ in figures]
    paragraphs: dict[etree._Element, tuple[str, tuple[str, ...], str]] = {}
    for link in article.iter("{*}xref") if places else ():
        targets = _targets(link.get("rid", ""), places)
        if not targets or _is_in_caption(link):
            continue
        reading.spend(COST_OF_MENTION * len(targets))
        paragraph = _paragraph(link)
        if paragraph not in paragraphs:
            text = reading.text_of(paragraph, leave_out=FLOATS)
            section, owner = reading.section_path(paragraph), reading.owner_of(link)
            paragraphs[paragraph] = text, section, owner
        text, section, owner = paragraphs[paragraph]
        mention = Mention(text=text, section=section, anchor=reading.text_of(link))
        near = [n for n in targets if figures[n][1] == owner]
        for n in near or targets:
            mentions[n][mention] = None
    return [tuple(said) for said in mentions]


def _places(
    figures: Sequence[tuple[Sequence[str], str]], reading: Reading
) -> dict[str, dict[int, None]]:
    """Id → the figures, by number, that it may mean."""
    places: dict[str, dict[int, None]] = {}
    for n, (names, _) in enumerate(figures):
        reading.spend(COST_OF_MENTION * len(names))
        for name in names:
            places.setdefault(name, {})[n] = None
    return places


def _targets(rid: str, places: dict[str, dict[int, None]]) -> list[int]:
    """The figures that a link means; most links mean a reference, and none."""
    if rid in places:
        return list(places[rid])
    if " " not in rid:
        return []
    found = [n for name in dict.fromkeys(rid.split()) for n in places.get(name, ())]
    return list(dict.fromkeys(found))


def _paragraph(link: etree._Element) -> etree._Element:
    """The innermost paragraph around a link, else what holds the link."""
    paragraph = next(link.iterancestors("{*}p"), None)
    return link.getparent() if paragraph is None else paragraph


def _is_in_caption(link: etree._Element) -> bool:
    """In the caption of a float; a box's caption can be running text, and counts."""
    caption = next(link.iterancestors("{*}caption"), None)
    return caption is not None and local_name(caption.getparent()) != "boxed-text"
