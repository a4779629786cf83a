"""Where an article speaks of its figures: the paragraphs that link to them, or name them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree

from figclip.jats.document import local_name
from figclip.jats.figure_words import ReferenceKind, hints_of
from figclip.jats.reading import Reading
from figclip.jats.references import LONGEST_RANGE, Reference, figure_references
from figclip.jats.text import FLOATS
from figclip.schema import Mention

COST_OF_MENTION = 500
"""What keeping a mention costs, in characters read."""

CHEAPER = 8
"""Times that a look through an element's characters costs less than reading them."""

SHORT = 2_000
"""Characters up to which looking through costs nothing to speak of."""

INNER = FLOATS | {"p"}
"""What a paragraph may hold that speaks for itself."""

SPEAKERS = ("{*}p", "{*}title", "{*}nomenclature")
"""Elements whose own words can name a figure, beside the cells of tables."""

SILENT = ("{*}caption", "{*}ref-list", "{*}ack", "{*}fn-group", "{*}author-notes")
"""Elements whose words are no running text."""

LIST = re.compile(
    r"""[a-z]{0,6}+ \.?+ \s*+ \(?+ (?P<list> (?=[SsAE]?-?\d) (?: [SsAE]?-?\d{1,3}[A-Za-z]{0,3}(?!\w)
    | [A-Za-z]{1,2}(?!\w) | and\b | [\s,;&/+()]
    | (?:[-–—‐‑−]|to\b|or\b|through\b)(?!\s?[a-z]{3}) )*+ )?+
    (?P<more> \d | [SsAE]-?\d | [IVX]{1,5}(?!\w) | [-–—‐‑−(（]\s?[\dA-Z] )?+""",
    re.VERBOSE,
)
"""Behind a piece of a word for figures: their numbers; `more` is what else could be one."""

ENTRY = re.compile(r"([SsAE]?)-?(\d{1,3})(?:[A-Za-z]{0,3}\s?(?:[-–—‐‑−]|to|through)\s?(\d{1,3}))?")

APART: frozenset[ReferenceKind] = frozenset({"table", "scheme", "plate", "chart", "box"})

NOBODY: frozenset[int] = frozenset()

Links = dict[etree._Element, list[tuple[etree._Element, list[int]]]]
"""A paragraph → its links to figures, each with the numbers of those that it may mean."""


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
    if not figures:
        return []
    links = _links(article, figures, reading)
    texts: dict[etree._Element, str] = {}
    named = _named(article, figures, links, reading, texts)
    mentions: list[dict[Mention, None]] = [{} for _ in figures]
    for paragraph in _in_order(article, links, named):
        text = texts.get(paragraph) or reading.text_of(paragraph, leave_out=FLOATS)
        section, owner = reading.section_path(paragraph), reading.owner_of(paragraph)
        linked: set[int] = set()
        for link, targets in links.get(paragraph, ()):
            anchor = reading.text_of(link)
            for n in _near(targets, owner, figures):
                mentions[n][Mention(text, section, anchor)] = None
                linked.add(n)
        for anchor, targets in named.get(paragraph, ()):
            for n in _near(targets, owner, figures):
                if n not in linked:
                    mentions[n][Mention(text, section, anchor)] = None
    return [tuple(said) for said in mentions]


def _in_order(
    article: etree._Element, links: Iterable[etree._Element], named: Iterable[etree._Element]
) -> Iterable[etree._Element]:
    """The paragraphs of both as they stand in the document; links alone are in order."""
    both = {**dict.fromkeys(links), **dict.fromkeys(named)}
    if len(both) == len(dict.fromkeys(links)):
        return both
    tags = {element.tag for element in both}
    return [element for element in article.iter(*tags) if element in both]


def _links(article: etree._Element, figures: Sequence[Mentioned], reading: Reading) -> Links:
    """Paragraphs, in document order → their links to figures, and the figures they may mean."""
    places = _places(figures, reading)
    found: Links = {}
    for link in article.iter("{*}xref") if places else ():
        rid = link.get("rid")
        if rid in places:  # most links mean a reference, and none
            targets = list(places[rid])
        elif rid is None or " " not in rid or not (targets := _targets(rid, places)):
            continue
        if not _is_in_caption(link):
            reading.spend(COST_OF_MENTION * len(targets))
            found.setdefault(_paragraph(link), []).append((link, targets))
    return found


def _places(figures: Sequence[Mentioned], reading: Reading) -> dict[str, dict[int, None]]:
    """Id → the figures, by number, that it may mean."""
    places: dict[str, dict[int, None]] = {}
    for n, figure in enumerate(figures):
        reading.spend(COST_OF_MENTION * len(figure.names))
        for name in figure.names:
            places.setdefault(name, {})[n] = None
    return places


def _targets(rids: str, places: dict[str, dict[int, None]]) -> list[int]:
    """The figures that a link of several ids means."""
    found = [n for name in dict.fromkeys(rids.split()) for n in places.get(name, ())]
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
        for reference in _of_label(figure.label):
            known = numbers.setdefault((reference.kind, reference.figure), [])
            known.append((n, reference.panels))
    return numbers


@lru_cache(maxsize=10_000)
def _of_label(label: str) -> tuple[Reference, ...]:
    """Labels are the same in all articles, but for a few."""
    return tuple(figure_references(label))


def _meant(reference: Reference, numbers: Numbers) -> list[int]:
    """The figures that carry the number; of `Figure 1A` and `Figure 1B`, those with the panel."""
    known = numbers.get((reference.kind, reference.figure), [])
    named = [n for n, panels in known if set(panels) & set(reference.panels)]
    return named or [n for n, _ in known]


def _named(
    article: etree._Element,
    figures: Sequence[Mentioned],
    links: Links,
    reading: Reading,
    texts: dict[etree._Element, str],
) -> dict[etree._Element, list[tuple[str, list[int]]]]:
    """Paragraphs → the words by which they name figures, and the figures they may mean.

    A paragraph's own words, not those of paragraphs inside it. Where it holds none they are all
    its words, and kept in `texts`, so that nothing is read twice.
    """
    numbers = _numbers(figures)
    if not numbers:
        return {}
    hints = hints_of(" ".join(figure.label for figure in figures))
    found = {}
    for paragraph in _hinted(article, hints, links, numbers, reading):
        text = reading.text_of(paragraph, leave_out=INNER)
        if next(paragraph.iterdescendants("{*}p"), None) is None:
            texts[paragraph] = text
        said = []
        for reference in figure_references(text, hints):
            if meant := _meant(reference, numbers):
                reading.spend(COST_OF_MENTION * len(meant))
                said.append((text[reference.start : reference.end], meant))
        if said:
            found[paragraph] = said
    return found


def _hinted(
    article: etree._Element, hints: Sequence[str], links: Links, numbers: Numbers, reading: Reading
) -> Iterator[etree._Element]:
    """Elements that may name figures which they do not link to."""
    figures, others = (_alike(numbers, of_figures=which) for which in (True, False))
    tables: list[etree._Element] = []

    def in_question(elements: Iterable[etree._Element]) -> Iterator[etree._Element]:
        for element in elements:
            plain = _plain(element)
            if len(plain) > SHORT:
                reading.spend(len(plain) // CHEAPER)
            for hint in hints:  # not `any`: this loop sees every paragraph of every article
                if hint in plain:
                    break
            else:
                continue
            if local_name(element) == "table":
                tables.append(element)
                continue
            linked = {n for _, targets in links.get(element, ()) for n in targets}
            if not _is_settled(plain, hints, linked, figures, others) and not _is_silent(element):
                yield element

    for part in _parts(article):
        yield from in_question(part.iter(*SPEAKERS, "{*}table"))
    for table in tables:
        yield from in_question(table.iterdescendants("{*}td", "{*}th"))


def _plain(element: etree._Element) -> str:
    """All text below an element, as it comes."""
    return etree.tostring(element, method="text", encoding="unicode", with_tail=False)


def _parts(article: etree._Element) -> Iterator[etree._Element]:
    """What an article consists of, but for its references, which hold many elements."""
    for part in article.iterchildren():
        if local_name(part) == "back":
            yield from part.iterchildren("{*}app-group", "{*}app", "{*}sec", "{*}notes", "{*}bio")
        else:
            yield part


Alike = Mapping[str, set[int]]
"""Numbers as a quick look sees them → the figures that may be meant."""


def _alike(numbers: Numbers, *, of_figures: bool) -> Alike:
    """By `2` those labelled `2`, `S2`, ..., by `S2` that alone; tables and schemes, or figures."""
    alike: dict[str, set[int]] = {}
    for (kind, number), known in numbers.items():
        if (kind in APART) != of_figures:
            for name in {number.upper(), "".join(filter(str.isdigit, number))}:
                alike.setdefault(name, set()).update(n for n, _ in known)
    return alike


def _is_settled(
    plain: str, hints: Sequence[str], linked: set[int], figures: Alike, others: Alike
) -> bool:
    """Whether every word for a figure names those that are linked, or none of the article's.

    A quick look: whoever is not sure reads the text.
    """
    for hint in hints:
        alike = figures if hint.lower() == "fig" else others
        place = plain.find(hint)
        while place >= 0:
            said = LIST.match(plain, place + len(hint))
            if said is None or said["more"] or not _are_linked(said["list"] or "", linked, alike):
                return False
            place = plain.find(hint, place + 1)
    return True


def _are_linked(numbers: str, linked: set[int], alike: Alike) -> bool:
    for prefix, first, last in ENTRY.findall(numbers):
        if last and (prefix or int(last) - int(first) > LONGEST_RANGE):
            return False
        names = map(str, range(int(first), int(last) + 1)) if last else [prefix.upper() + first]
        if not all(alike.get(name, NOBODY) <= linked for name in names):
            return False
    return True


def _is_silent(paragraph: etree._Element) -> bool:
    """Whether a paragraph describes a float, or is no part of what the article says."""
    return next(paragraph.iterancestors(*SILENT), None) is not None
