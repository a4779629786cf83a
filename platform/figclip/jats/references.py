"""Where running text speaks of figures: `Fig. 3A–C`, `Figures 1, 2 and 4`, `Scheme 2`.

Pure text. A figure of another paper (`Fig. 2 of Smith et al.`) is none of the article's and is not
claimed; a supplementary one is told apart by its kind.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from figclip.jats.figure_words import (
    HEAD,
    HINTS,
    NUMBER,
    ReferenceKind,
    is_others,
    kind_of,
    name_of,
)


@dataclass(frozen=True)
class Reference:
    """Where running text speaks of a figure of its own article."""

    start: int
    """Of the words that name it, in the text."""
    end: int
    figure: str
    """The figure's number as in its label: `3`, `S2`, `4`; of `IV` the `4`; `1s2` is the second
    supplement of figure 1."""
    panels: tuple[str, ...]
    """Labels of the panels that are named; empty for the whole figure."""
    kind: ReferenceKind = "figure"


LONGEST_RANGE = 60
"""Figures between two ends of a range."""

SOURCE_DATA = re.compile(r"\s?[-–—‐‑]{1,3}\s?(?:[Ss]ource|[Vv]ideo|[Ff]igure)\s")
DASH = r"(?:\s?[-–—‐‑−]{1,2}\s?|\s(?:to|through|bis)\s)"
LETTER = r"(?:[A-Z](?:[ivx]{1,4}|\d|[′'])?|[a-z](?:[ivx]{1,4}|\d|[′'])?)(?![A-Za-z\d])"
FIRST_PANEL = re.compile(rf"(?:\s?\(\s?|\s?)(?P<letters>[A-H]{{2,4}}(?!\w)|{LETTER})\)?")
WORDED_PANEL = re.compile(
    rf"[,;]?\s?(?:\((?:[Pp]anels?|[Pp]arts?)\s(?P<letters>{LETTER})\)"
    rf"|(?:[Pp]anels?|[Pp]arts?)\s(?:(?P<plain>{LETTER})|\((?P<bracketed>{LETTER})\)))"
)
NEXT_PANEL = re.compile(
    rf"(?:(?P<range>{DASH}\(?)|\s?[,;&/+]\s?(?:and\s|&\s?)?\(?|\s(?:and|or|und|et|y)\s\(?)"
    rf"(?P<letters>{LETTER})\)?"
)
NEXT_NUMBER = re.compile(
    rf"(?P<range>{DASH})|\s?[,;&/]\s{{0,3}}(?:and\s|&\s?|or\s)?|\s(?:and|or|und|et|y)\s"
)
SERIES = re.compile(r"(\d+s|[A-Z]?)(\d+)")


def figure_references(text: str, hints: Sequence[str] = HINTS) -> list[Reference]:
    """The figures that a text speaks of, in order, ranges filled: `Figs. 1–3` are three.

    References to other papers' figures are left out; so are source data and videos. Only words
    that hold one of the `hints` are looked at.
    """
    found: list[Reference] = []
    end = 0
    for place in _places(text, hints):
        head = HEAD.match(text, place) if place >= end else None
        references = list(_references(text, head)) if head is not None else []
        if references:
            end = max(reference.end for reference in references)
            if not is_others(text, place, end):
                found += [_without_bracket(text, reference) for reference in references]
    return found


def _without_bracket(text: str, reference: Reference) -> Reference:
    """Without a closing bracket that was opened before it."""
    words = text[reference.start : reference.end]
    if words.endswith(")") and words.count(")") > words.count("("):
        return replace(reference, end=reference.end - 1)
    return reference


def _places(text: str, hints: Sequence[str]) -> list[int]:
    """Where words begin that hold a hint."""
    found = set()
    for hint in hints:
        place = text.find(hint)
        while place >= 0:
            start = place
            while start > 0 and place - start < 9 and _runs_on(text[start - 1 : start + 1]):
                start -= 1
            if start > 1 and text[start - 1] == "-" and text[start - 2] in "eE":
                start -= 2
            found.add(start)
            place = text.find(hint, place + 1)
    return sorted(found)


def _references(text: str, head: re.Match[str]) -> Iterator[Reference]:
    """All figures of one list: `Figures 1A, B and 2C` are two."""
    kind, is_supplementary = kind_of(text, head)
    start, place = head.start(), head.end()
    is_plural = head[0].rstrip(" (.").endswith(("s", "en"))
    last: Reference | None = None
    joint: re.Match[str] | None = None
    while (number := NUMBER.match(text, place)) is not None:
        name = name_of(number, is_supplementary)
        if name is not None and last is not None and name.isdigit():
            name = _as_before(name, last.figure, joint)
        if name is None or (joint is not None and not _continues(text, number, joint, is_plural)):
            break
        panels, end = _panels(text, number.end())
        if SOURCE_DATA.match(text, end):
            break
        if joint is not None and joint["range"] and last is not None:
            if last.figure == name and last.panels and panels:
                panels = _between(last.panels[-1], panels[0])[1:] + panels[1:]
            else:
                yield last
                yield from _filled(last, name, number.end())
                last = None
        if last is not None and last.figure == name:
            last = Reference(last.start, end, name, (*last.panels, *panels), last.kind)
        else:
            if last is not None:
                yield last
            own = "supplementary" if kind == "figure" and name[0] == "S" else kind
            last = Reference(start, end, name, panels, own)
        joint = NEXT_NUMBER.match(text, end)
        if joint is None:
            break
        start = place = joint.end()
    if last is not None:
        yield last


def _runs_on(signs: str) -> bool:
    """Whether two signs belong to one word; those of Chinese are words of their own."""
    return signs.isalpha() and ord(signs[-1]) < 0x2E80


def _as_before(name: str, before: str, joint: re.Match[str] | None) -> str:
    """`S1–3` ends with S3, and `1—figure supplement 1, 2` goes on with the second supplement."""
    figure, sign, _ = before.partition("s")
    if sign:
        return f"{figure}s{name}"
    if joint is not None and joint["range"] and not before[0].isdigit():
        return before[0] + name
    return name


def _continues(text: str, number: re.Match[str], joint: re.Match[str], is_plural: bool) -> bool:
    """Whether a number behind a comma is one more figure, and no count of something."""
    if number["roman"]:
        return False
    following = text[number.end() : number.end() + 2]
    if following[:1].isalpha():
        return True  # `2C`
    if is_plural or joint["range"]:
        return True
    return following[:1] in ("", ")", "]", ".", ",", ";", ":")


def _panels(text: str, place: int) -> tuple[tuple[str, ...], int]:
    """The panels that follow a number, and where they end."""
    first = FIRST_PANEL.match(text, place)
    if first is not None and text[place : place + 1] == " " and not _is_apart(text, first):
        first = None
    first = first or WORDED_PANEL.match(text, place)
    if first is None:
        return (), place
    letters = next(filter(None, first.groups()))
    if len(letters) > 1 and letters.isupper() and letters.isalpha():
        if list(letters) != sorted(set(letters)):
            return (), place
        return tuple(letters), first.end()
    panels = [letters]
    end = first.end()
    while (following := NEXT_PANEL.match(text, end)) is not None:
        letters = following["letters"]
        if not _may_follow(text, panels[-1], following):
            break
        if following["range"]:
            panels += _between(panels[-1], letters)[1:-1]
        panels.append(letters)
        end = following.end()
    return tuple(dict.fromkeys(panels)), end


def _is_apart(text: str, first: re.Match[str]) -> bool:
    """Whether a letter behind a space is a panel: `Fig. 2 a)`, `Fig. 3 B`; a word is none."""
    letters = first["letters"]
    if first[0].lstrip().startswith("(") or first[0].endswith(")"):
        return len(letters) == 1 or not letters.isalpha() or letters[1] in "ivx"
    following = text[first.end() : first.end() + 2]
    if letters[0].isupper() and len(letters) == 1:
        further = NEXT_PANEL.match(text, first.end())
        if further is not None and _may_follow(text, letters, further):
            return True
        return letters not in ("A", "I") or not following[1:].islower()
    return len(letters) == 1 and following[:1] in (")", ",", ";", ".", "–", "-", "")


def _may_follow(text: str, before: str, following: re.Match[str]) -> bool:
    """Panels ascend, and keep their case; `a` and `I` are words, too."""
    letters = following["letters"]
    if letters[0].isupper() != before[0].isupper() or letters <= before:
        return False
    if letters == "I" and not following["range"]:
        return not text[following.end() : following.end() + 2].strip().isalpha()
    return True


def _between(low: str, high: str) -> tuple[str, ...]:
    """Labels from `low` to `high`, both with."""
    if low[0] == high[0] or len(low) > 1 or len(high) > 1:
        return (low, high) if low != high else (low,)
    return tuple(chr(code) for code in range(ord(low), ord(high) + 1)) or (low, high)


def _filled(last: Reference, name: str, end: int) -> Iterator[Reference]:
    """The figures that a range leaves out: between `S1` and `S4` are two."""
    low, high = SERIES.match(last.figure), SERIES.match(name)
    if low is None or high is None or low[1] != high[1]:
        return
    prefix, one, other = low[1], low[2], high[2]
    if one.isdigit() and other.isdigit() and int(other) - int(one) <= LONGEST_RANGE:
        for n in range(int(one) + 1, int(other)):
            yield Reference(last.start, end, f"{prefix}{n}", (), last.kind)
