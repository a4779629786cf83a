"""The words by which text names figures, of which kind they are, and whose."""

import re
from typing import Literal

ReferenceKind = Literal[
    "figure",
    "supplementary",
    "extended",
    "appendix",
    "response",
    "scheme",
    "plate",
    "chart",
    "box",
    "box figure",
    "table",
]

_HINTS = """
    Fig fig FIG cheme Plate Chart Box box Image image Tab tab TAB Abb исун ис. 图 圖 図
"""
HINTS = tuple(_HINTS.split())
"""One of them stands in the words for every figure: found fast, where most text has none."""

HEAD = re.compile(
    r"""(?:
    (?P<figure> (?:e|E)?-?(?:[Ff]ig(?:ures?|s)? | FIG(?:URES?|S)?) \.?
      | Abb(?:ildung(?:en)?|\.) | [Ff]iguras? | Рис(?:унок|\.) | рис(?:унок|\.) )
    | (?P<scheme> [Ss]chemes? ) | (?P<plate> Plates? ) | (?P<chart> Charts? )
    | (?P<table> [Tt]ab(?:les?|s)?\.? | TABLES? ) | (?P<box> [Bb]ox(?:es)? )
    | (?P<response> (?<=[Rr]esponse\s)[Ii]mages? )
    | (?P<cjk> [图圖図] ) ) (?:\s*|\s*\()(?=[\dSsAEIVX（(-])""",
    re.VERBOSE,
)
_SUPPLEMENT = (
    r"\s?[-–—‐‑]{1,3}\s?(?:[Ff]igure|[Ff]ig\.?)\s[Ss]upplements?(?:\s[Ff]igures?)?\s?"
    r"(?P<supplement>\d{1,2})"
)
KINDS_BY_WORD: tuple[ReferenceKind, ...] = ("scheme", "plate", "chart", "box", "table", "response")
NUMBER = re.compile(
    rf"""(?: (?P<prefix>[SsAE])-?(?P<lettered>\d{{1,3}})
    | (?P<plain>\d{{1,3}})(?![\d.]\d)(?P<suffix>S)?
    | (?P<roman>[IVX]{{1,5}}) ) (?![\d%]) (?:{_SUPPLEMENT})?""",
    re.VERBOSE,
)
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
ROMAN = {name: n for n, name in enumerate(_ROMAN, 1)}


BEFORE = 48
"""Characters before a reference that can say whose figure it is."""
SUPPLEMENTARY = re.compile(
    r"""(?: \b(?:[Ss]uppl?(?:ement(?:ary|al))?\.? | [Ss]upporting | SUPPLEMENTARY
    | [Oo]nline | [Ww]eb | E?SI | [Aa]dditional ) [\s-]*
    (?:[Oo]nline\s|[Ii]nformation|[Mm]aterials?|[Dd]ata|[Ff]iles?)?
    [\s\d]*[,:]?\s* | \be-? )\Z""",
    re.VERBOSE,
)
EXTENDED = re.compile(r"\b[Ee]xtended\s[Dd]ata\s?\Z")
APPENDIX = re.compile(r"\b(?:[Aa]ppendix|[Aa]nnex)(?:\s[A-Z\d]{1,2})?[\s:,–—-]*\Z")
BOXED = re.compile(r"\b[Bb]ox\s(?:\d\s?[-–—]+\s?)?\Z")
RESPONSE = re.compile(r"\b(?:[Rr]eviewers?|[Rr]esponse|[Rr]ebuttal)\s\Z")
THEIRS = re.compile(
    r"""(?: \b(?:their|his|her|whose|cited)\s | \b(?:19|20)\d\d[a-z]?\s?:\s?
    | (?:et\sal\.|\b[A-Z][\w’-]+),?\s\(?(?:19|20)\d\d[a-z]?\)?[:,]\s?
      (?:their\s|see\s|in\s)?
    | \[\d+(?:[,:]\s?) | \[\d+\][,:]\s
    | \bet\sal\.(?:’s|'s)?,?\s | \b[A-Z]\w+(?:’s|'s)\s )\Z""",
    re.VERBOSE,
)
"""Before a reference: it is a figure of the paper that is named there."""
OF_OTHERS = re.compile(
    r"""\)?,?\s(?:of|in|from|by)\s (?: refs?\b\.? | [Rr]eference\b | \[\d
    | \(?[A-Z][\w’'-]+(?:\s(?:and|&)\s[A-Z][\w’'-]+)?\s(?:et\sal|\(?(?:19|20)\d\d)
    | \(?[A-Z][\w’'-]+\sand\s(?:co-?workers|colleagues)
    | (?:that|their|the\s(?:original|previous|earlier|cited|companion))
      \s(?:paper|article|study|work|report|publication)
    | [Ss]upporting\s[Ii]nformation | [Aa]dditional\s[Ff]ile
    | (?:the\s)?(?:[Oo]nline\s)?[Ss]upp )""",
    re.VERBOSE,
)
"""Behind a reference: the same, or a supplement."""


def hints_of(labels: str) -> tuple[str, ...]:
    """Of the words that name figures, pieces of those that texts beside these labels may use."""
    return tuple(hint for hint in HINTS if hint in labels or hint in ("Fig", "fig", "FIG"))


def kind_of(text: str, head: re.Match[str]) -> tuple[ReferenceKind, bool]:
    """What kind of figure the words name, and whether they say that it is supplementary."""
    for kind in KINDS_BY_WORD:
        if head[kind]:
            return kind, False
    if text[head.start() - 1 : head.start()] in ("", "(") and head[0][:1] not in "eE":
        return "figure", False  # `(Fig. 1)`, as most
    before = text[max(0, head.start() - BEFORE) : head.start()]
    if RESPONSE.search(before):
        return "response", False
    if BOXED.search(before):
        return "box figure", False
    if EXTENDED.search(before):
        return "extended", False
    if APPENDIX.search(before):
        return "appendix", False
    if head[0][:1] in "eE" or SUPPLEMENTARY.search(before):
        return "supplementary", True
    return "figure", False


def name_of(number: re.Match[str], is_supplementary: bool) -> str | None:
    """The number as figures are known by: `S2` of `2S` and of a supplementary 2."""
    if number["roman"]:
        value = ROMAN.get(number["roman"])
        name = str(value) if value is not None else None
    elif number["lettered"]:
        name = number["prefix"].upper() + str(int(number["lettered"]))
    else:
        name = str(int(number["plain"]))
        if number["suffix"]:
            name = f"S{name}"
    if name is not None and is_supplementary and name.isdigit():
        name = f"S{name}"
    if name is not None and number["supplement"]:
        name = f"{name}s{number['supplement']}"
    return name


def is_others(text: str, start: int, end: int) -> bool:
    """Whether the words around say that the figure is another paper's, or a supplement's."""
    if OF_OTHERS.match(text, end):
        return True
    if text[start - 1 : start] in ("", "("):
        return False
    return THEIRS.search(text[max(0, start - BEFORE) : start]) is not None
