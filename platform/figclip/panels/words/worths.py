"""How much a place in a caption looks like that of a panel label."""

import re

from figclip.panels.words.marks import Mark

AT_START = 3.0
"""What a label at the beginning of a sentence is worth."""
AT_CLAUSE = 2.2
"""At the beginning of a clause, or at the end of one (`in red (A);`)."""
INSIDE = 1.2
"""Elsewhere."""
MENTIONED = 0.5
"""Where the words before it point to another place (`as in (A)`), or it is an abbreviation."""
BARE = 0.9
"""Between words, without any punctuation."""
SURE = 2.0
"""What each number of a run must be worth."""

POINTING = re.compile(
    r"\b(?:see|as\sin|than(?:\sin)?|figs?\.?|figure|tables?|hepatitis|vitamins?|influenza|refs?\.?"
    r"|equations?|eqs?\.?|n|p)\s*[=<>]?\s*\Z",
    re.IGNORECASE,
)
NUMBERED = re.compile(
    r"\b(?:types?|groups?|factors?|grades?|class(?:es)?|stages?|cases?|patients?|steps?|times?|sites?"
    r"|samples?|sections?)\s\Z",
    re.IGNORECASE,
)
"""Things that go by letters without brackets, too."""
BEFORE_LABEL = " \t\n\u00a0\u2002\u2003\u2009\u200a\u202f\"'“‘(["
"""What may stand between the end of a sentence and a label."""
JOINING = re.compile(r"\s(?:and|or)\s*\Z")
LOOKBACK = 30


def worth_of(caption: str, mark: Mark) -> float:
    """How much a place in the caption looks like that of a label."""
    before = caption[max(0, mark.start - LOOKBACK) : mark.start]
    last = JOINING.sub("", before).rstrip(BEFORE_LABEL)[-1:]
    if not before.strip():
        return AT_START
    if mark.style == "open":
        return _worth_of_open(caption, mark, before, last)
    if last in ".!?。！？":
        return AT_START
    if last in ";:；：|":
        return AT_CLAUSE + 0.3
    if POINTING.search(before):
        return MENTIONED
    following = caption[mark.end : mark.end + LOOKBACK].lstrip(" )]")[:1]
    if last in ",，、" or following in ".,;:，。；" or not following:
        return INSIDE if is_abbreviation(caption, mark.start, mark.end) else AT_CLAUSE
    if is_abbreviation(caption, mark.start, mark.end):
        return MENTIONED
    if mark.style == "bracket" and before[-1:].isalnum() and before[-1:].isascii():
        return MENTIONED  # `f(a)`
    return INSIDE


def _worth_of_open(caption: str, mark: Mark, before: str, last: str) -> float:
    is_bare = mark.stop in ("", ",", "，", "、")
    text = caption[mark.start : mark.end]
    if last in ".!?。！？":
        return AT_START - 0.2 - (0.5 if is_bare else 0)
    if last in ";；|":
        return AT_CLAUSE - (0.5 if is_bare else 0)
    if POINTING.search(before) or NUMBERED.search(before):
        return MENTIONED
    if mark.stop in (":", "："):
        return AT_CLAUSE - 0.3
    if mark.is_worded or (last in ",，:：(" and (mark.stop or text.islower())):
        return INSIDE
    if mark.stop == "." and last.islower() and text[:1].isdigit():
        return SURE
    return BARE if len(text) < 3 and not mark.stop else MENTIONED


def begins_words(caption: str, mark: Mark) -> bool:
    """Whether words follow a mark, and it could begin what they say."""
    return caption[mark.end : mark.end + LOOKBACK].lstrip(" ")[:1].isalnum()


def is_abbreviation(caption: str, start: int, end: int) -> bool:
    """`turning (T)`: the letter in brackets begins the word right before it."""
    inside = caption[start:end].strip("()[]（）")
    if len(inside) != 1 or not inside.isupper():
        return False
    words = caption[max(0, start - LOOKBACK) : start].split()
    return bool(words) and words[-1][:1].upper() == inside and words[-1][-1:] not in ".,;:"
