"""What the page was asked: its address (or form) read, and written again with something changed.

    ?q=words&like=PAIR_ID&mix=30&by=pictures&license=CC+BY&first_year=2015&last_year=2020&journal=...
    &image_type=...&article_type=...&part=panel&page=2

Names that `/api/search` has as well mean the same there.

A picture is in no address: a form carries its vector and a small preview from answer to answer.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from figclip.serving.protocol import ApiError
from figclip.serving.search.queries import FacetName, Filters, Part, Query, Weights

CHOICES: dict[str, tuple[FacetName, str]] = {
    "license": ("license", "licenses"),
    "image_type": ("image_type", "image_types"),
    "journal": ("journal", "journals"),
    "article_type": ("article_type", "article_types"),
    "part": ("part", "parts"),
}
"""Name in the address → the facet, and the field of `Filters`; the years are two
names of their own."""

PICTURES = "pictures"
"""`by=pictures`: by what pictures show alone, not by the words of captions as well."""
EVEN_MIX = 50
MOST_PAIRS = 400
"""Of names and values in an address."""
PREVIEW = re.compile(r"/9j/[A-Za-z0-9+/]{1,200000}={0,2}")
"""A small JPEG in base64."""
VECTOR = re.compile(r"[A-Za-z0-9+/]{4,87384}={0,2}")


@dataclass(frozen=True)
class Asked:
    """A question to the page."""

    text: str = ""
    figure: str = ""
    """`pair_id` of a figure of the index."""
    vector: str = field(default="", repr=False)
    """An uploaded picture's, little-endian float32 in base64; only in forms."""
    preview: str = field(default="", repr=False)
    """A small JPEG of that picture, in base64; only in forms."""
    mix: int = EVEN_MIX
    """How much the words count beside the picture or figure, in per cent."""
    by_words: bool = True
    """Captions that hold the words count as well."""
    filters: Filters = field(default_factory=Filters)
    page: int = 1

    @property
    def is_empty(self) -> bool:
        return not (self.text or self.has_subject)

    @property
    def has_subject(self) -> bool:
        """Whether a picture or figure is asked for, with words or without."""
        return bool(self.figure or self.vector)


def asked_of(pairs: Iterable[tuple[str, str]]) -> Asked:
    """Of names and values, as in an address; a 400 `ApiError` where one cannot be meant.

    Unknown names are passed over: links get strange tails on their way.
    """
    given: dict[str, list[str]] = {}
    for number, (name, value) in enumerate(pairs):
        if number >= MOST_PAIRS:
            raise ApiError(400, f"the address names more than {MOST_PAIRS} things", code="too_many")
        given.setdefault(name, []).append(value)
    last = {name: values[-1] for name, values in given.items()}
    chosen: dict[str, Any] = {
        kept: tuple(dict.fromkeys(given.get(name, ()))) for name, (_, kept) in CHOICES.items()
    }
    unknown = set(chosen["parts"]) - set(get_args(Part))
    if unknown:
        raise ApiError(400, "part: there are figures and panels", param="part", code="invalid_part")
    chosen |= {name: _year(last, name) for name in ("first_year", "last_year")}
    return Asked(
        text=last.get("q", "").strip(),
        figure=last.get("like", ""),
        vector=_matching(last, "vector", VECTOR),
        preview=_matching(last, "preview", PREVIEW),
        mix=_number(last, "mix", default=EVEN_MIX, least=0, most=100),
        by_words=last.get("by") != PICTURES,
        filters=_without(Filters(**chosen), last.get("drop", "")),
        page=_number(last, "page", default=1, least=1, most=99_999),
    )


def _matching(last: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str:
    """So a form that was tampered with puts nothing strange into a page."""
    value = last.get(name, "")
    if value and not pattern.fullmatch(value):
        raise ApiError(
            400, f"{name}: the form was damaged: choose the picture again", param=name, code="form"
        )
    return value


def _number(last: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    text = last.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most):
        raise ApiError(
            400,
            f"{name}: must be a number from {least} to {most:,}",
            param=name,
            code=f"invalid_{name}",
        )
    return int(text)


def _year(last: Mapping[str, str], name: str) -> int | None:
    return _number(last, name, default=0, least=1, most=9999) or None


def _without(filters: Filters, dropped: str) -> Filters:
    """Without the value that a form's button takes away: `NAME=VALUE`, or `all`."""
    name, _, value = dropped.partition("=")
    if dropped == "all":
        return Filters()
    if name == "years":
        return replace(filters, first_year=None, last_year=None)
    if name not in CHOICES:
        return filters
    kept = CHOICES[name][1]
    left = tuple(one for one in getattr(filters, kept) if one != value)
    changed: dict[str, Any] = {kept: left}
    return replace(filters, **changed)


def pairs_of(asked: Asked) -> list[tuple[str, str]]:
    """The address's names and values, without what says nothing; no picture is among them."""
    pairs = [("q", asked.text)] if asked.text else []
    if asked.figure:
        pairs.append(("like", asked.figure))
    if asked.mix != EVEN_MIX and asked.text and asked.has_subject:
        pairs.append(("mix", str(asked.mix)))
    if not asked.by_words:
        pairs.append(("by", PICTURES))
    pairs += filter_pairs(asked.filters)
    return pairs + ([("page", str(asked.page))] if asked.page > 1 else [])


def filter_pairs(filters: Filters) -> list[tuple[str, str]]:
    """Of the filters alone, a pair for each value."""
    pairs = []
    for name, (_, kept) in CHOICES.items():
        pairs += [(name, value) for value in getattr(filters, kept)]
    years = (("first_year", filters.first_year), ("last_year", filters.last_year))
    return pairs + [(name, str(year)) for name, year in years if year is not None]


def address(asked: Asked, **changes: Any) -> str:
    """`?q=...` of the question with some fields changed, on its first page unless `page` is one."""
    return "?" + urlencode(pairs_of(replace(asked, **{"page": 1, **changes})))


def dropped(asked: Asked, name: str, value: str = "") -> Asked:
    """The question without a value of a filter."""
    return replace(asked, filters=_without(asked.filters, f"{name}={value}"), page=1)


def query_of(asked: Asked, *, size: int) -> Query:
    """The question as the search takes it; a 400 `ApiError` where the form's vector is none."""
    mix = asked.mix / 100
    is_mixed = bool(asked.text) and asked.has_subject
    return Query(
        text=asked.text,
        figure=asked.figure,
        vector=vector_of(asked.vector) if asked.vector else None,
        weights=Weights(text=mix, figure=1 - mix, vector=1 - mix) if is_mixed else Weights(),
        hybrid=asked.by_words and bool(asked.text),
        filters=asked.filters,
        page=asked.page,
        size=size,
    )


def vector_text(vector: NDArray[np.float32]) -> str:
    """A vector as a form carries it."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def vector_of(text: str) -> NDArray[np.float32]:
    try:
        vector = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    except ValueError:
        vector = np.zeros(0, np.float32)
    if not vector.size or not np.isfinite(vector).all() or not vector.any():
        raise ApiError(
            400,
            "vector: the form was damaged: choose the picture again",
            param="vector",
            code="form",
        )
    return vector
