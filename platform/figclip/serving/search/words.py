"""The words of a query: which are looked for in captions, and where a caption has them."""

import re
from collections.abc import Sequence

MOST_WORDS = 32
"""Of a query; a pasted page would have the index look up every word of the language."""

WORD = re.compile(r"[^\W_]+")
_STOPPED = (
    "a an and are as at be by for from has have in into is it its no not of on or over such that "
    "the their then there these this to was were which with without within between under after "
    "before during figure fig image images picture showing shows show"
)
STOP_WORDS = frozenset(_STOPPED.split(" "))
"""Say nothing about what a figure shows."""


def query_words(text: str) -> tuple[str, ...]:
    """The words that tell something, in lower case, each once, the first `MOST_WORDS`."""
    words = (word.lower() for word in WORD.findall(text))
    told = dict.fromkeys(word for word in words if word not in STOP_WORDS)
    return tuple(told)[:MOST_WORDS]


def marks(caption: str, words: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Where the caption has one of the words or its plural, as `(start, end)` in characters."""
    wanted = {singular(word) for word in words}
    return tuple(
        match.span() for match in WORD.finditer(caption) if singular(match[0].lower()) in wanted
    )


def singular(word: str) -> str:
    """The word without the ending of a plural.

    Harman's "S" stemmer ("How effective is suffixing?", JASIS 42, 1991): the first of its three
    rules that fits.
    """
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return f"{word[:-3]}y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")):
        return word[:-1]
    return word
