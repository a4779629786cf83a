"""The filters as the page shows them: checkboxes with counts, a range of years, what is chosen."""

from collections.abc import Iterable
from dataclasses import dataclass

from figclip.serving.page.asked import CHOICES, Asked, address, dropped
from figclip.serving.search.queries import Facet, FacetName, Filters

FEW = 6
"""Values of a facet that are shown at first; the others unfold."""
TITLES: dict[FacetName, str] = {
    "license": "Licence",
    "year": "Year",
    "image_type": "Image type",
    "journal": "Journal",
    "article_type": "Article type",
    "part": "Figure or panel",
}
NAMES: dict[FacetName, str] = {facet: name for name, (facet, _) in CHOICES.items()}
WORDS = {("part", "figure"): "whole figures", ("part", "panel"): "panels"}
BAR_HEIGHT = 36
BAR_WIDTH = 8
MOST_BARS = 60


@dataclass(frozen=True)
class Choice:
    """A checkbox."""

    value: str
    words: str
    count: int
    is_chosen: bool


@dataclass(frozen=True)
class Group:
    """The checkboxes of a facet."""

    name: str
    """In the address."""
    title: str
    first: tuple[Choice, ...]
    others: tuple[Choice, ...]
    """Unfolded on demand."""
    num_more: int
    """Values that are not even among them."""


@dataclass(frozen=True)
class Bar:
    """A year of the small picture above the range."""

    year: int
    count: int
    x: int
    y: int
    height: int
    is_inside: bool
    """Of the range that is chosen."""


@dataclass(frozen=True)
class Years:
    """The range of years, and a picture of how many figures each has."""

    bars: tuple[Bar, ...]
    width: int
    first: int
    last: int

    @property
    def words(self) -> str:
        """What the picture shows."""
        most = max(self.bars, key=lambda bar: bar.count)
        span = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        return f"Figures by year, {span}; most in {most.year} ({most.count:,})"


@dataclass(frozen=True)
class Chip:
    """A filter that is chosen, and the way to a page without it."""

    words: str
    without: str
    """Address, where the question can stand in one."""
    drop: str
    """What a form's button says, where it cannot."""


def groups_of(facets: Iterable[Facet]) -> list[Group]:
    """One for each facet but the years, chosen values among the first."""
    return [_group(facet) for facet in facets if facet.name != "year" and facet.values]


def _group(facet: Facet) -> Group:
    choices = [
        Choice(one.value, words_of(facet.name, one.value), one.count, one.is_chosen)
        for one in facet.values
    ]
    first = [one for n, one in enumerate(choices) if n < FEW or one.is_chosen]
    others = [one for one in choices if one not in first]
    if len(others) == 1:  # unfolding it would take as much room
        first, others = choices, []
    return Group(
        name=NAMES[facet.name],
        title=TITLES[facet.name],
        first=tuple(first),
        others=tuple(others),
        num_more=facet.num_more,
    )


def words_of(facet: FacetName, value: str) -> str:
    """A value as people say it."""
    if not value:
        return "not stated"
    told = value.replace("-", " ") if facet == "article_type" else value
    return WORDS.get((facet, value), told)


def years_of(facets: Iterable[Facet], filters: Filters) -> Years | None:
    """None where the index knows no years."""
    counts: dict[int, int] = {}
    for facet in facets:
        if facet.name == "year":
            counts = {int(one.value): one.count for one in facet.values if one.value.isdecimal()}
    if not counts:
        return None
    last = max(counts)
    first = max(min(counts), last - MOST_BARS + 1)
    most = max(counts.values()) or 1
    bars = []
    for year in range(first, last + 1):
        count = counts.get(year, 0)
        height = max(round(BAR_HEIGHT * count / most), 2 if count else 0)
        inside = (filters.first_year or year) <= year <= (filters.last_year or year)
        x = BAR_WIDTH * (year - first)
        bars.append(Bar(year, count, x, BAR_HEIGHT - height, height, inside))
    return Years(tuple(bars), BAR_WIDTH * len(bars), min(counts), last)


def chips_of(asked: Asked) -> list[Chip]:
    """A chip for each chosen value, and one for the years."""
    chips = []
    for name, (facet, kept) in CHOICES.items():
        for value in getattr(asked.filters, kept):
            without = address(dropped(asked, name, value))
            chips.append(Chip(words_of(facet, value), without, f"{name}={value}"))
    first, last = asked.filters.first_year, asked.filters.last_year
    if first is not None or last is not None:
        words = f"{first or '…'} – {last or '…'}"
        chips.append(Chip(words, address(dropped(asked, "years")), "years"))
    return chips
