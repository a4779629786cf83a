"""The grammar of panel labels in a caption: `(A)`, `A–C.`, `(a, left)`, `Panel B:`, `A(i)`.

Candidates only: whether `(B)` is a panel or a kind of hepatitis, the run of labels decides.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from figclip.panels.words.alphabets import (
    ALPHABETS,
    GROUP,
    LIST,
    RANGE,
    Alphabet,
    Atom,
    between,
    expand,
)

Style = Literal["bracket", "half", "open"]
"""`(A)` · `A)` · `A.`, `A:`, `A,` or `A` at the beginning of a sentence."""
PANEL = r"(?i:(?:sub-?)?(?:panels?|parts?|maps?|plots?|graphs?|images?)\s+)?"
POSITION = (
    r"(?i:left|right|top|bottom|upper|lower|middle|cent(?:er|re)|inset|panels?|rows?|columns?)"
)
NOTE = rf"(?: (?:\s*[,;:]|\s+(?={POSITION}\b)) [^()\[\]（）]{{0,60}}+ )"

BRACKET = re.compile(
    rf"(?P<word>\b(?i:(?:sub)?panels?)\s+)? [(\[（] \s* {PANEL} (?P<group>{GROUP})"
    rf" \.? \s* (?P<note>{NOTE})? [)\]）]",
    re.VERBOSE,
)
BRACKET_BEHIND = re.compile(
    rf"[(（] (?P<note>[^()（）\[\]]{{1,40}}?[,;]) \s* {PANEL} (?P<group>{GROUP}) \s* [)）]",
    re.VERBOSE,
)
HALF = re.compile(rf"(?<![\w(\[（'’.-]) (?P<group>{GROUP}) \s? \)", re.VERBOSE)
GLUED_HALF = re.compile(rf"(?<=[\w)\]][.;]) (?P<group>{GROUP}) \)", re.VERBOSE)
OPEN = re.compile(
    rf"(?P<word>{PANEL}) (?P<group>{GROUP}) (?P<stop>\s*[.:：,、|]+|\s*[-–—](?=\s)|) (?P<gap>\s*)",
    re.VERBOSE,
)
WORDS = re.compile(
    r"(?:(?<=\s)|(?<=[(.;:,!?。；：！？)])|\A)(?=[A-Za-z\d])|(?<=[a-z])(?=\d\. [A-Z])"
)
BETWEEN = re.compile(rf"\s* (?: (?P<range>{RANGE}) | {LIST} )? \s* \)?", re.VERBOSE)


@dataclass(frozen=True)
class Mark:
    """A candidate: where something like a label stands, and what it may name."""

    start: int
    end: int
    style: Style
    labels: dict[Alphabet, tuple[Atom, ...]]
    """What it names in each alphabet that it can be read in."""
    is_noted: bool = False
    """`(A, left)`: there is more than labels between the brackets."""
    stop: str = ""
    """What ends an open label: `.`, `:`, `,` or nothing."""
    is_worded: bool = False
    """`Panel A`: a word says that it is one."""


def _readings(group: str) -> dict[Alphabet, tuple[Atom, ...]]:
    readings = {alphabet: expand(group, alphabet) for alphabet in ALPHABETS}
    return {alphabet: atoms for alphabet, atoms in readings.items() if atoms}


def find_marks(caption: str) -> list[Mark]:
    """All candidates of a caption, of every style, in order of their beginnings."""
    brackets = _brackets(caption)
    inside = {n for mark in brackets for n in range(mark.start, mark.end)}
    others = [*_halves(caption), *_open(caption)]
    marks = [*brackets, *(mark for mark in others if mark.start not in inside)]
    return sorted(marks, key=lambda mark: (mark.start, mark.end))


def _brackets(caption: str) -> list[Mark]:
    found = [*BRACKET.finditer(caption), *BRACKET_BEHIND.finditer(caption)]
    marks: list[Mark] = []
    for match in sorted(found, key=lambda match: match.start()):
        if marks and match.start() < marks[-1].end:
            continue
        readings = _readings(match["group"])
        if not readings:
            continue
        mark = Mark(match.start(), match.end(), "bracket", readings, bool(match["note"]))
        joined = _joined(caption, marks[-1], mark) if marks else None
        if joined is not None:
            marks[-1] = joined
        else:
            marks.append(mark)
    return marks


def _joined(caption: str, one: Mark, other: Mark) -> Mark | None:
    """`(A), (B)`, `(a)(c)` and `(D)—(H)` name several labels at one place."""
    gap = caption[one.end : other.start]
    joint = BETWEEN.fullmatch(gap) if len(gap) < 12 else None
    if joint is None or one.is_noted or other.is_noted:
        return None
    labels: dict[Alphabet, tuple[Atom, ...]] = {}
    for alphabet in one.labels.keys() & other.labels.keys():
        first, second = one.labels[alphabet], other.labels[alphabet]
        filled = between(first[-1], second[0], alphabet) if joint["range"] else []
        atoms = {atom.text: atom for atom in (*first, *filled, *second)}
        places = [atom.place for atom in atoms.values()]
        if len(atoms) == len(first) + len(filled) + len(second) and places == sorted(places):
            labels[alphabet] = tuple(atoms.values())
    if not labels:
        return None
    return Mark(one.start, other.end, "bracket", labels)


def _halves(caption: str) -> Iterator[Mark]:
    """`A)`, where no bracket is open."""
    found = [*HALF.finditer(caption), *GLUED_HALF.finditer(caption)]
    opened, place = -1, 0
    for match in sorted(found, key=lambda match: match.start()):
        for n in range(place, match.start()):
            if caption[n] in "([（":
                opened = n
            elif caption[n] in ")]）":
                opened = -1
        place = match.start()
        readings = _readings(match["group"])
        # A bracket that was never closed must not hide the rest of the caption.
        if readings and (opened < 0 or match.start() - opened > 200):
            yield Mark(match.start(), match.end(), "half", readings)


def _open(caption: str) -> Iterator[Mark]:
    last = 0
    for word in WORDS.finditer(caption):
        if word.start() < last:
            continue
        match = OPEN.match(caption, word.start())
        if match is None or match.end() >= len(caption):
            continue
        readings = _readings(match["group"])
        if readings and _opens(caption, match):
            last = match.end("stop")
            stop, is_worded = match["stop"].strip(), bool(match["word"])
            yield Mark(match.start(), last, "open", readings, stop=stop, is_worded=is_worded)


def _opens(caption: str, match: re.Match[str]) -> bool:
    """Whether a label without brackets can begin a sub-caption here; behind `panel` it does."""
    stop, following = match["stop"].strip(), caption[match.end()]
    if match["word"]:
        return True
    if match["group"][0].isdigit() and caption[match.start() - 1 : match.start()] in (".", ","):
        return False  # the end of a number
    if following in ").,;:)]" or (not match["gap"] and stop not in (".", ":", "：", "、", "|")):
        return False
    if stop or len(match["group"]) > 2:
        return True
    if match["group"] in ("A", "I"):
        return following.isupper() or following.isdigit() or not following.isascii()
    if match["group"] == "a" and following.islower():  # an article begins no sentence in lower case
        return caption[max(0, match.start() - 9) : match.start()].rstrip()[-1:] in ("", *".;:!?(")
    return True
