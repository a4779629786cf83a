"""What a figure must be to be found, and how many figures are of each kind."""

from dataclasses import dataclass
from typing import Literal, get_args

Part = Literal["figure", "panel"]
"""A whole figure, or one panel that was cut from a compound figure."""

FacetName = Literal["license", "year", "journal", "image_type", "article_type", "part"]
"""The columns that can be filtered by and counted, in the order in which they are shown."""

FACETS: tuple[FacetName, ...] = get_args(FacetName)


@dataclass(frozen=True)
class Filters:
    """What a figure must be. Values of one field are alternatives; fields must all hold.

    An empty tuple and `None` ask for nothing. A value that the index does not know matches no
    figure.
    """

    licenses: tuple[str, ...] = ()
    """Licence codes of the article: `CC BY`, `CC0`, ...; the empty text is an unknown licence."""
    first_year: int | None = None
    """Of publication, inclusive. A figure without a year is in no range."""
    last_year: int | None = None
    """Inclusive."""
    journals: tuple[str, ...] = ()
    image_types: tuple[str, ...] = ()
    """Names of `figclip.embedding.taxonomy`, where the index knows types."""
    article_types: tuple[str, ...] = ()
    """As JATS has them: `research-article`, `case-report`, ..."""
    parts: tuple[Part, ...] = ()

    @classmethod
    def only(cls, name: FacetName, value: str) -> "Filters":
        """One value of one column; a year is in digits."""
        match name:
            case "license":
                return cls(licenses=(value,))
            case "journal":
                return cls(journals=(value,))
            case "image_type":
                return cls(image_types=(value,))
            case "article_type":
                return cls(article_types=(value,))
            case "part":
                return cls(parts=("panel" if value == "panel" else "figure",))
            case "year":
                return cls(first_year=int(value), last_year=int(value))

    def admits(self, name: FacetName, value: str) -> bool:
        """Whether figures of this value pass the filter of this column; a year is in digits."""
        if name == "year":
            return self._admits_year(value)
        wanted = self._wanted(name)
        return not wanted or value in wanted

    def chooses(self, name: FacetName, value: str) -> bool:
        """Whether the value was asked for, rather than let through because none was."""
        return name in self.columns() and self.admits(name, value)

    def columns(self) -> tuple[FacetName, ...]:
        """The columns that are filtered by."""
        has_years = self.first_year is not None or self.last_year is not None
        return tuple(
            name for name in FACETS if (has_years if name == "year" else self._wanted(name))
        )

    def _wanted(self, name: FacetName) -> tuple[str, ...]:
        match name:
            case "license":
                return self.licenses
            case "journal":
                return self.journals
            case "image_type":
                return self.image_types
            case "article_type":
                return self.article_types
            case "part":
                return self.parts
            case "year":
                return ()

    def _admits_year(self, value: str) -> bool:
        if self.first_year is None and self.last_year is None:
            return True
        if not value:
            return False
        year = int(value)
        return (self.first_year is None or year >= self.first_year) and (
            self.last_year is None or year <= self.last_year
        )

    def sql(self) -> str | None:
        """The same condition in the index's filter language; `None` where nothing is asked."""
        terms = [
            f"{name} IN ({', '.join(map(sql_text, wanted))})"
            for name in FACETS
            if (wanted := self._wanted(name))
        ]
        if self.first_year is not None:
            terms.append(f"year >= {_as_year(self.first_year)}")
        if self.last_year is not None:
            terms.append(f"year <= {_as_year(self.last_year)}")
        return " AND ".join(terms) or None


EVERYTHING = Filters()


@dataclass(frozen=True)
class FacetValue:
    value: str
    """What a filter takes (a year in digits); empty where the figure states none."""
    count: int
    """Figures with this value that pass all filters but those of this facet, so that a person sees
    what choosing it as well would bring."""
    is_chosen: bool = False
    """Whether the query's filters name it."""


@dataclass(frozen=True)
class Facet:
    name: FacetName
    values: tuple[FacetValue, ...]
    """The most frequent first, years the latest first; chosen ones are always among them."""
    num_more: int = 0
    """Values that were left out, because there are too many to show."""


def sql_text(text: str) -> str:
    """A text as a literal of the filter language."""
    return "'" + text.replace("'", "''") + "'"


def _as_year(year: int) -> int:
    """Within what the column can hold; no article is of a year beyond."""
    return max(-9_999, min(year, 9_999))
