"""When an article came out: the earliest date that its `<pub-date>`s state."""

import re
from collections.abc import Iterator
from datetime import date
from itertools import islice

from lxml import etree

from figclip.jats.text import text_of

YEAR = re.compile(r"\b(1[5-9]|2[0-9])[0-9]{2}\b")
ISO = re.compile(r"((?:1[5-9]|2[0-9])[0-9]{2})(?:-([0-9]{2})(?:-([0-9]{2}))?)?(?![0-9])")
WORD = re.compile(r"[^\W\d_]+|[0-9]+")

_MONTHS = """
    january february march april may june july august september october november december
"""
MONTHS = _MONTHS.split()

LONGEST_DATE = 100
"""Characters; what is longer is no date."""
MOST_DATES = 1000
"""A real article has up to ten."""

NOT_PUBLICATION = re.compile(
    r"submi|receiv|accept|created|archiv|retract|withdraw|corrected|rev-", re.I
)
"""In the type of a `<pub-date>`: what is no publication, such as the day a manuscript was handed
in (`nihms-submitted`) or a platform's own record was made (`hwp-created`)."""


def earliest_date(article_meta: etree._Element) -> str:
    """ISO 8601 as precise as stated (`2010-11-17`, `2010-11`, `2010`); empty where none is.

    A month or a year counts as its last day: beside `2010`, `2010-11-17` says more, and is it.
    """
    stated = [
        said
        for element in islice(article_meta.iterchildren("{*}pub-date"), MOST_DATES)
        if not NOT_PUBLICATION.search(f"{element.get('pub-type')} {element.get('date-type')}")
        for said in _readings(element)
    ]
    return min(stated, key=lambda said: said + "-99-99"[len(said) - 4 :], default="")


def _readings(element: etree._Element) -> Iterator[str]:
    """A date as its parts say it, as its attribute does, and, where both are silent, its words."""
    parts = {name: _part(element, name) for name in ("year", "month", "day")}
    year = YEAR.search(parts["year"])
    iso = ISO.match(element.get("iso-8601-date", "").strip())
    if year:
        yield _iso(year[0], _month(parts["month"]), parts["day"])
    if iso:
        yield _iso(iso[1], _month(iso[2] or ""), iso[3] or "")
    if not (year or iso or parts["month"] or parts["day"]):
        yield from _in_words(text_of(element)[:LONGEST_DATE])


def _part(element: etree._Element, name: str) -> str:
    return text_of(next(element.iterdescendants(f"{{*}}{name}"), None))[:LONGEST_DATE]


def _in_words(text: str) -> Iterator[str]:
    """`17 November 2010`; the month's name tells the day from the month."""
    year = YEAR.search(text)
    if year:
        words = WORD.findall(text.replace(year[0], " "))
        months = [month for word in words if not word.isdigit() and (month := _month(word))]
        days = [word for word in words if word.isdigit()]
        day = days[0] if len(days) == 1 else ""
        yield _iso(year[0], months[0] if len(months) == 1 else 0, day)


def _month(words: str) -> int:
    """1 to 12 by number or English name, short or long; 0 for all else, two months among it."""
    word = words.strip(" .").lower()
    if re.fullmatch("0*([1-9]|1[0-2])", word, re.ASCII):
        return int(word)
    names = [n for n, name in enumerate(MONTHS, 1) if len(word) >= 3 and name.startswith(word)]
    return names[0] if len(names) == 1 else 0


def _iso(year: str, month: int, day: str) -> str:
    """What of it is a date of the calendar."""
    if not month:
        return year
    try:
        return date(int(year), month, int(day[:3])).isoformat()
    except ValueError:  # no day, or none of this month
        return f"{year}-{month:02}"
