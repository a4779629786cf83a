"""Panels that a caption names by their place: `Left: lung. Right: heart.`, `lung (left)`."""

import re

from figclip.panels.words.marks import Mark
from figclip.panels.words.runs import Named, Run
from figclip.panels.words.worths import AT_CLAUSE, AT_START

_ROW = r"top|bottom|upper|lower|middle|cent(?:er|re|ral)"
_SIDE = r"left|right"
PLACE = rf"(?i:(?P<row>{_ROW})?[\s-]?(?P<side>{_SIDE}|(?<=[\s-])middle)?)"
THING = r"(?:\s(?:panels?|images?|rows?|columns?|plots?|graphs?))?"
LEADING = re.compile(
    rf"(?:\A|(?<=[.;:!?]\s)|(?<=[.;:!?]\s[(])) \(?(?P<words>{PLACE}{THING})\)?\s?[:,]\s",
    re.VERBOSE,
)
LEADING_PANEL = re.compile(
    rf"(?:\A|(?<=[.;]\s)) (?:The\s|the\s)?(?P<words>{PLACE}\s(?:panels?|images?|rows?))\b",
    re.VERBOSE,
)
CLOSING = re.compile(rf"[(\[](?:the\s|on\sthe\s)?(?P<words>{PLACE}{THING})[)\]]", re.VERBOSE)

BESIDE = re.compile(rf"\b(?:{_ROW}|{_SIDE})\s\Z", re.IGNORECASE)
"""`the left (right) eye` speaks of eyes."""

COUNTERPARTS = (
    {"left", "right"},
    {"top", "bottom"},
    {"upper", "lower"},
    {"top left", "top right"},
    {"upper left", "upper right"},
    {"bottom left", "bottom right"},
    {"lower left", "lower right"},
)
"""Of which both must be named: a legend at the right has none at the left."""


def positions_run(caption: str) -> Run | None:
    """The places that a caption names panels by; none unless two are counterparts.

    A label is the words for the place, in lower case: `left`, `top right`.
    """
    for pattern, worth in ((LEADING, AT_START), (LEADING_PANEL, AT_START), (CLOSING, AT_CLAUSE)):
        named: list[Named] = []
        seen: set[str] = set()
        for match in pattern.finditer(caption):
            label = _label(match)
            if label and not BESIDE.search(caption, max(0, match.start() - 9), match.start()):
                is_new = label not in seen
                seen.add(label)
                is_closing = pattern is CLOSING
                end = match.end() if is_closing else match.end("words")
                mark = Mark(match.start(), end, "bracket" if is_closing else "open", {})
                named.append(Named(mark, (label,), is_new, worth))
        if any(both <= seen for both in COUNTERPARTS):
            return Run("position", tuple(named), tuple(dict.fromkeys(_labels(named))), worth)
    return None


def _labels(named: list[Named]) -> list[str]:
    return [label for item in named for label in item.labels]


def _label(match: re.Match[str]) -> str:
    words = (match["row"], match["side"])
    return " ".join(word.lower() for word in words if word)
