"""One article while it is read: its words, sections and parts, each found once."""

from collections import Counter
from collections.abc import Iterator

from lxml import etree

from figclip.jats.document import JatsError, local_name
from figclip.jats.text import NOTHING, read, tags_in

HEADED = ("{*}sec", "{*}app", "{*}abstract", "{*}ack")
"""Elements whose title is a section title."""

PARTS = ("{*}sub-article", "{*}response")
"""Articles within the article: letters of referees, answers, translations."""

MOST_CHARACTERS = 60_000_000
"""What may be read of one article, all readings together; a long article has a million."""
COST_OF_ELEMENT = 100
"""What reading an element costs, in characters."""


class Reading:
    """Reads one article, and stops where its parts repeat one another for ever.

    A paragraph in a paragraph is read with each of the two: 200 of them around a book make 200
    books. `JatsError` (`huge_xml`) once `MOST_CHARACTERS` are spent.
    """

    def __init__(self, article: etree._Element) -> None:
        self.left = MOST_CHARACTERS
        self.sections: dict[etree._Element, tuple[str, ...]] = {}
        self.owners = _owners(article)

    def spend(self, characters: int) -> None:
        self.left -= characters
        if self.left < 0:
            raise JatsError("huge_xml", f"its parts repeat to over {MOST_CHARACTERS} characters")

    def text_of(
        self, element: etree._Element | None, *, leave_out: frozenset[str] = NOTHING
    ) -> str:
        """As the function `text_of`."""
        if element is None:
            return ""
        tags = tags_in(element)
        self.spend(COST_OF_ELEMENT * len(tags))
        text = read(element, tags, leave_out)
        self.spend(len(text))
        return text

    def section_path(self, element: etree._Element) -> tuple[str, ...]:
        """Titles of the sections around an element, the outermost first; untitled ones left out."""
        section = next(element.iterancestors(*HEADED), None)
        if section is None:
            return ()
        if section not in self.sections:
            title = self.text_of(next(section.iterchildren("{*}title"), None))
            path = self.section_path(section)
            self.spend(len(path))
            self.sections[section] = (*path, title) if title else path
        return self.sections[section]

    def owner_of(self, element: etree._Element) -> str:
        """Id of the innermost sub-article or response around an element; empty in the article
        itself. One without id goes by its name and its place among its siblings."""
        if not self.owners:
            return ""
        return _innermost(element, self.owners)


def _owners(article: etree._Element) -> dict[etree._Element, str]:
    """Every part of the article → its id."""
    names: dict[etree._Element, str] = {}
    places: Counter[tuple[etree._Element | None, str]] = Counter()
    for part in _parts_within(article):
        parent, kind = part.getparent(), local_name(part)
        places[parent, kind] += 1
        outer = _innermost(part, names)
        name = f"{outer}/{kind}" if outer else kind
        names[part] = part.get("id") or f"{name}-{places[parent, kind]}"
    return names


def _parts_within(article: etree._Element) -> Iterator[etree._Element]:
    """In document order. They stand below an article, its body or one another: no need to see all
    of its elements."""
    for child in article.iterchildren(*PARTS, "{*}body"):
        if local_name(child) == "body":
            yield from _parts_within(child)
        else:
            yield child
            yield from _parts_within(child)


def _innermost(element: etree._Element, names: dict[etree._Element, str]) -> str:
    """The name of the innermost part around an element; one around the article itself has none."""
    parts = element.iterancestors(*PARTS)
    return next((names[part] for part in parts if part in names), "")
