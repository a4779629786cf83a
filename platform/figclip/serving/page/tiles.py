"""How a found figure is shown: its name, its caption with the matched words, its rights."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from figclip.serving.search.exporting import article_url, doi_url
from figclip.serving.search.queries import Found, Span

CUT = 170
"""Characters of a caption that a tile shows at first."""
SLACK = 20
"""A caption that is longer by less is shown whole."""
BEFORE_MARK = 60
"""Characters before the first matched word, where that stands beyond the cut."""

Reuse = Literal["free", "limited", "unknown"]


@dataclass(frozen=True)
class Piece:
    """Some of a text; `is_marked` where the query asked for it."""

    text: str
    is_marked: bool = False


@dataclass(frozen=True)
class Tile:
    """A figure as the page shows it."""

    found: Found
    name: str
    """`Figure 2 of PMC3003633`, with its panel."""
    label: str
    alt: str
    reuse: Reuse
    """What the licence lets people do: anything with attribution, some of it, or not known."""
    license_words: str
    own_terms: str
    """What the figure says of its rights, where it is not the article's licence alone."""
    caption: tuple[Piece, ...]
    excerpt: tuple[Piece, ...]
    """The part that is shown first; empty where it is the whole caption."""
    citation: str
    """Title, source and licence, as Creative Commons asks for them."""
    image: str
    article_url: str
    doi_url: str
    alike: tuple[str, ...]
    """Addresses of the pictures of near-duplicates, below the application's root."""

    @property
    def score(self) -> str:
        return f"{self.found.score:.2f}"


def tile_of(found: Found) -> Tile:
    caption = found.caption
    excerpt = excerpt_span(len(caption), found.marks)
    return Tile(
        found=found,
        name=name_of(found),
        label=label_of(found),
        alt=f"{found.image_type}: {name_of(found)}" if found.image_type else name_of(found),
        reuse=reuse_of(found),
        license_words=found.license or "licence unknown",
        own_terms=". ".join(
            words.strip(" .")
            for words in (found.figure_license, found.attribution)
            if words.strip(" .")
        ),
        caption=tuple(pieces(caption, found.marks)),
        excerpt=_excerpt(caption, found.marks, excerpt) if excerpt else (),
        citation=citation_of(found),
        image=picture_path(found.pair_id),
        article_url=article_url(found),
        doi_url=doi_url(found) or "",
        alike=found.folded,
    )


def label_of(found: Found) -> str:
    label = found.label.strip().rstrip(".: ") or ("Panel" if found.part == "panel" else "Figure")
    return f"{label}, panel {found.panel_label}" if found.panel_label else label


def name_of(found: Found) -> str:
    return f"{label_of(found)} of {found.pmcid}"


def reuse_of(found: Found) -> Reuse:
    """Of the figure's own terms, where it has some; words that are no code are not judged."""
    code = (found.figure_license or found.license).upper().replace("-", " ")
    if code in ("CC0", "CC BY", "CC BY SA"):
        return "free"
    return "limited" if code.startswith("CC BY") else "unknown"


def citation_of(found: Found) -> str:
    """`“Title.” Journal (2010). Figure 2. https://doi.org/… CC BY.`"""
    parts = [f"“{found.title.strip().rstrip('.')}.”"] if found.title.strip() else []
    source = found.journal.strip()
    if found.year:
        source = f"{source} ({found.year})".strip()
    parts += [f"{words}." for words in (source, label_of(found)) if words]
    parts.append(doi_url(found) or article_url(found))
    terms = found.figure_license or found.license
    return " ".join(parts) + f" · {terms or 'licence unknown: see the article'}"


def excerpt_span(length: int, marks: Sequence[Span]) -> Span | None:
    """Where to cut a text of this length; None where it is shown whole."""
    if length <= CUT + SLACK:
        return None
    first = marks[0][0] if marks else 0
    if first < CUT - SLACK:
        return 0, CUT
    start = max(0, min(first - BEFORE_MARK, length - CUT))
    return start, min(length, start + CUT)


def _excerpt(text: str, marks: Sequence[Span], span: Span) -> tuple[Piece, ...]:
    """That span, grown inwards to whole words, with an ellipsis where something is left out."""
    start, end = span
    if start:
        gap = text.find(" ", start, end)
        start = start if gap < 0 else gap + 1
    if end < len(text):
        gap = text.rfind(" ", start, end)
        end = end if gap <= start else gap
    inside = [
        (max(a, start) - start, min(b, end) - start) for a, b in marks if a < end and b > start
    ]
    shown = pieces(text[start:end], inside)
    before = [Piece("… ")] if start else []
    after = [Piece("…")] if end < len(text) else []
    return (*before, *shown, *after)


def pieces(text: str, marks: Iterable[Span]) -> Iterator[Piece]:
    """The text in its order, divided where marked words begin and end.

    Spans that overlap, run out of the text or stand in no order mark nothing twice.
    """
    done = 0
    for start, end in marks:
        start, end = max(start, done), min(end, len(text))
        if start >= end:
            continue
        if start > done:
            yield Piece(text[done:start])
        yield Piece(text[start:end], is_marked=True)
        done = end
    if done < len(text):
        yield Piece(text[done:])


def picture_path(pair_id: str) -> str:
    """Below the application's root."""
    return f"/images/{quote(pair_id)}"
