"""Where the sentences of scientific prose begin and end."""

import re

END = re.compile(
    r"""(?: [.!?]+ ["'”’»)\]]{0,3} (?= \s+ | [([{]? [A-Za-z] [)\]}] )  # `End. Next`, `end.(A) Next`
    | [。！？]+ ["'”’»）」』]{0,3} ) \s*""",
    re.VERBOSE,
)
OPENING = "[({（\"'“‘«*†‡§¶#"

WORD_BEFORE = re.compile(r"[^\s([{\"'“‘]*\Z")
REACH = 24
"""Characters before a full stop that may hold the word which it shortens."""

_SHORTENED = """
    fig figs figure ref refs eq eqs eqn eqns tab tabs no nos vol suppl supp sup supplementary ext
    al e.g eg i.e ie vs cf ca approx resp viz incl excl sp spp subsp ssp var dr prof mr mrs ms st
    abb bzw z.b ed eds p pp sec sect ch chap schem def sc nr núm
"""
SHORTENED = frozenset(_SHORTENED.split())
"""Words that a full stop shortens; it ends no sentence."""
AT_END_TOO = frozenset({"al", "sp", "spp", "resp", "no", "var", "st", "ed", "sc", "def", "p", "ms"})
"""Those which a sentence may end with, too: before a capital and a small letter it does."""
INITIAL = re.compile(r"(?:[^\W\d_]\.-?)*[^\W\d_]")


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans `(start, end)` of the sentences; in order and concatenated they are the text.

    White space belongs to the sentence before it. A full stop behind `Fig`, `et al`, `e.g`, an
    initial or a panel's letter ends none, and neither does one before a small letter.
    """
    starts = [0]
    for end in END.finditer(text):
        if end.end() < len(text) and _ends(text, end):
            starts.append(end.end())
    return [
        (start, stop)
        for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)
        if start < stop
    ]


def _ends(text: str, end: re.Match[str]) -> bool:
    """Whether what looks like an end of a sentence is one."""
    if end[0][0] in "。！？":
        return True
    following = text[end.end() : end.end() + 12].lstrip(OPENING)[:2]
    if following[:1].islower() and not (len(following) == 1 or following[1] in ")]"):
        # `a` and its like may be the label of a panel; a word does not begin so.
        return following[1] in " ,.:–-" and following[0] in "abcdefghijklmnop"
    if end[0][0] != ".":
        return True
    before = WORD_BEFORE.search(text[max(0, end.start() - REACH) : end.start()])
    word = before[0] if before else ""
    if word.lower() in SHORTENED:
        return word.lower() in AT_END_TOO and following[:1].isupper() and following[1:].islower()
    if INITIAL.fullmatch(word):
        return _closes(text, end.start() - len(word), word)
    return True


def _closes(text: str, start: int, word: str) -> bool:
    """Whether a letter with a full stop, as in `shown in B.`, stands behind a small word."""
    before = text[max(0, start - REACH) : start].split()
    return (
        len(word) == 1
        and start > 0
        and bool(before)
        and before[-1].islower()
        and before[-1].isalpha()
    )
