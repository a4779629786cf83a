"""Where an article speaks of its figures: the paragraphs that link to them, or name them."""

from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from figclip.jats.document import local_name
from figclip.jats.reading import Reading
from figclip.jats.references import Reference, ReferenceKind, figure_references, hints_of
from figclip.jats.text import FLOATS
from figclip.schema import Mention

COST_OF_MENTION = 500
"""What keeping a mention costs, in characters read."""

INNER = FLOATS | {"p"}
"""What a paragraph may hold that speaks for itself."""

SILENT = ("{*}caption", "{*}ref-list", "{*}ack", "{*}fn-group", "{*}author-notes")
"""Elements whose paragraphs are no running text."""

SPEAKING = ("{*}p", "{*}title", "{*}td", "{*}th", "{*}nomenclature")
"""Elements whose own words can name a figure."""

PLAIN_TEXT = etree.XPath("string()")


@dataclass(frozen=True)
class Mentioned:
    """A figure as text may mean it."""

    names: Sequence[str]
    """Ids by which a link may mean it: its own, and its group's."""
    owner: str
    """Id of the sub-article that holds it; empty for the article itself."""
    label: str
    """As printed: `Figure 1`, `Figs. 2–5`."""


def mentions_of(
    article: etree._Element, figures: Sequence[Mentioned], reading: Reading
) -> list[tuple[Mention, ...]]:
    """For each figure the mentions of it in document order.

    A link is any `<xref>` whose `rid` holds one of the figure's ids. Where a paragraph has no link
    to a figure but names it (`Fig. 3A–C`, or `Figs. 1–4` of which only the ends are linked), those
    words are the mention. Where an article and its sub-articles use one id or number twice, the
    figure of their own part is meant. Captions do not count: they describe figures, and are no
    running text.
    """
    mentions: list[dict[Mention, None]] = [{} for _ in figures]
    if not figures:
        return []
    numbers = _numbers(figures)
    hints = hints_of(" ".join(figure.label for figure in figures))
    for paragraph, links in _linked(article, figures, reading).items():
        words = _references(paragraph, hints, reading) if numbers else []
        if not links and not words:
            continue
        text = reading.text_of(paragraph, leave_out=FLOATS)
        section, owner = reading.section_path(paragraph), reading.owner_of(paragraph)
        linked: set[int] = set()
        for link, targets in links:
            anchor = reading.text_of(link)
            for n in _near(targets, owner, figures):
                mentions[n][Mention(text, section, anchor)] = None
                linked.add(n)
        for reference, anchor in words:
            for n in _near(_meant(reference, numbers), owner, figures):
                if n not in linked:
                    reading.spend(COST_OF_MENTION)
                    mentions[n][Mention(text, section, anchor)] = None
    return [tuple(said) for said in mentions]


def _linked(
    article: etree._Element, figures: Sequence[Mentioned], reading: Reading
) -> dict[etree._Element, list[tuple[etree._Element, list[int]]]]:
    """Every paragraph, in document order → its links to figures, and the figures they may mean."""
    places = _places(figures, reading)
    found: dict[etree._Element, list[tuple[etree._Element, list[int]]]] = {}
    for element in article.iter(*SPEAKING, "{*}xref"):
        if local_name(element) != "xref":
            found.setdefault(element, [])
            continue
        targets = _targets(element.get("rid", ""), places)
        if targets and not _is_in_caption(element):
            reading.spend(COST_OF_MENTION * len(targets))
            found.setdefault(_paragraph(element), []).append((element, targets))
    return found


def _places(figures: Sequence[Mentioned], reading: Reading) -> dict[str, dict[int, None]]:
    """Id → the figures, by number, that it may mean."""
    places: dict[str, dict[int, None]] = {}
    for n, figure in enumerate(figures):
        reading.spend(COST_OF_MENTION * len(figure.names))
        for name in figure.names:
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


def _near(targets: Sequence[int], owner: str, figures: Sequence[Mentioned]) -> Sequence[int]:
    """Those of the targets that stand in the speaker's own part of the article, else all."""
    return [n for n in targets if figures[n].owner == owner] or targets


def _paragraph(link: etree._Element) -> etree._Element:
    """The innermost paragraph around a link, else what holds the link."""
    paragraph = next(link.iterancestors("{*}p"), None)
    return link.getparent() if paragraph is None else paragraph


def _is_in_caption(link: etree._Element) -> bool:
    """In the caption of a float; a box's caption can be running text, and counts."""
    caption = next(link.iterancestors("{*}caption"), None)
    return caption is not None and local_name(caption.getparent()) != "boxed-text"


Numbers = dict[tuple[ReferenceKind, str], list[tuple[int, tuple[str, ...]]]]
"""Kind and number → the figures that are labelled so, and the panels that their labels name."""


def _numbers(figures: Sequence[Mentioned]) -> Numbers:
    numbers: Numbers = {}
    for n, figure in enumerate(figures):
        for reference in figure_references(figure.label):
            known = numbers.setdefault((reference.kind, reference.figure), [])
            known.append((n, reference.panels))
    return numbers


def _meant(reference: Reference, numbers: Numbers) -> list[int]:
    """The figures that carry the number; of `Figure 1A` and `Figure 1B`, those with the panel."""
    known = numbers.get((reference.kind, reference.figure), [])
    named = [n for n, panels in known if set(panels) & set(reference.panels)]
    return named or [n for n, _ in known]


def _references(
    paragraph: etree._Element, hints: Sequence[str], reading: Reading
) -> list[tuple[Reference, str]]:
    """What a paragraph's own words name, not those of paragraphs inside it, with the words."""
    plain = PLAIN_TEXT(paragraph)
    if not any(hint in plain for hint in hints) or _is_silent(paragraph):
        return []
    text = reading.text_of(paragraph, leave_out=INNER)
    found = figure_references(text)
    return [(reference, text[reference.start : reference.end]) for reference in found]


def _is_silent(paragraph: etree._Element) -> bool:
    """Whether a paragraph describes a float, or is no part of what the article says."""
    return next(paragraph.iterancestors(*SILENT), None) is not None
