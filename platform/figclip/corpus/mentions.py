"""Where an article speaks of its figures: the paragraphs that link to them."""

from collections.abc import Callable, Sequence

from lxml import etree

from figclip.corpus.document import local_name
from figclip.corpus.text import FLOATS, text_of
from figclip.schema import Mention

HEADED = ("{*}sec", "{*}app", "{*}abstract", "{*}ack")
"""Elements whose title is a section title."""


def section_path(element: etree._Element) -> tuple[str, ...]:
    """Titles of the sections around an element, the outermost first; untitled ones left out."""
    sections = reversed(list(element.iterancestors(*HEADED)))
    return tuple(title for section in sections if (title := text_of(section.find("{*}title"))))


def mentions_of(
    article: etree._Element,
    figures: Sequence[tuple[Sequence[str], str]],
    owner_of: Callable[[etree._Element], str],
) -> list[tuple[Mention, ...]]:
    """For each figure, given as `(ids, owner)`, the mentions of it in document order.

    A link is any `<xref>` whose `rid` holds one of the figure's ids, or its group's. Where an
    article and its sub-articles use one id twice, a link means the figure of its own part. Captions
    do not count: they describe figures, and are no running text.
    """
    places: dict[str, list[int]] = {}
    for n, (names, _) in enumerate(figures):
        for name in dict.fromkeys(names):
            places.setdefault(name, []).append(n)
    mentions: list[list[Mention]] = [[] for _ in figures]
    texts: dict[etree._Element, tuple[str, tuple[str, ...]]] = {}
    for link in article.iter("{*}xref"):
        targets = [n for rid in link.get("rid", "").split() for n in places.get(rid, [])]
        if not targets or _is_in_caption(link):
            continue
        paragraph = _paragraph(link)
        if paragraph not in texts:
            texts[paragraph] = (text_of(paragraph, leave_out=FLOATS), section_path(paragraph))
        text, section = texts[paragraph]
        mention = Mention(text=text, section=section, anchor=text_of(link))
        owner = owner_of(link)
        near = [n for n in targets if figures[n][1] == owner]
        for n in dict.fromkeys(near or targets):
            if mention not in mentions[n]:
                mentions[n].append(mention)
    return [tuple(said) for said in mentions]


def _paragraph(link: etree._Element) -> etree._Element:
    """The innermost paragraph around a link, else what holds the link."""
    paragraph = next(link.iterancestors("{*}p"), None)
    return link.getparent() if paragraph is None else paragraph


def _is_in_caption(link: etree._Element) -> bool:
    """In the caption of a float; a box's caption can be running text, and counts."""
    caption = next(link.iterancestors("{*}caption"), None)
    return caption is not None and local_name(caption.getparent()) != "boxed-text"
