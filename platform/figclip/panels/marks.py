"""The grammar of panel labels in a caption: `(A)`, `A–C.`, `(a, left)`, `Panel B:`, `A(i)`.

Candidates only: whether `(B)` is a panel or a kind of hepatitis, the run of labels decides.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Style = Literal["bracket", "half", "open"]
"""`(A)` · `A)` · `A.`, `A:`, `A,` or `A` at the beginning of a sentence."""
Alphabet = Literal["upper", "lower", "digit", "roman_upper", "roman_lower"]

ALPHABETS: tuple[Alphabet, ...] = ("upper", "lower", "digit", "roman_upper", "roman_lower")

MOST_LABELS = 60
"""Labels that one figure may have, and so the longest range."""

_NESTED = r"(?: \d{1,2} | [ivx]{1,4} | ['′’″]{1,2} | \([ivx]{1,4}\) )"
ATOM = (
    rf"(?: [A-Za-z]{_NESTED}? | AA|BB|CC|DD|EE|FF|GG|HH | [IVX]{{2,5}} | [ivx]{{2,5}} | \d{{1,2}} )"
    r"(?!\w)"
)
RANGE = r"(?: \s*[-–—‐‑−~～]+\s* | \s+(?:to|through|bis)\s+ )"
LIST = r"(?: \s*[,;&/+、，]\s*(?:and\s+|&\s*)? | \s+(?:and|or|und|et|y|e)\s+ )"
GROUP = rf"{ATOM}(?:(?:{RANGE}|{LIST}){ATOM})*+"
PANEL = r"(?i:(?:sub-?)?(?:panels?|parts?)\s+)?"
POSITION = r"(?i:left|right|top|bottom|upper|lower|middle|cent(?:er|re)|inset|panels?|rows?|columns?)"
NOTE = rf"(?: (?:\s*[,;:]|\s+(?={POSITION}\b)) [^()\[\]（）]{{0,60}}+ )"

BRACKET = re.compile(
    rf"(?P<word>\b(?i:(?:sub)?panels?)\s+)? [(\[（] \s* {PANEL} (?P<group>{GROUP}) \.? \s* (?P<note>{NOTE})?"
    r" [)\]）]",
    re.VERBOSE,
)
BRACKET_BEHIND = re.compile(
    rf"[(（] (?P<note>(?:(?:upper|lower|top|bottom|left|right|middle)[\s,]+(?:panels?[\s,]+)?){{1,2}}+)"
    rf"(?P<group>{GROUP}) \s* [)）]",
    re.VERBOSE,
)
HALF = re.compile(rf"(?<![\w(\[（'’.-]) (?P<group>{GROUP}) \s? \)", re.VERBOSE)
GLUED_HALF = re.compile(rf"(?<=[\w)\]][.;]) (?P<group>{GROUP}) \)", re.VERBOSE)
OPEN = re.compile(
    rf"(?P<word>{PANEL}) (?P<group>{GROUP}) (?P<stop>\s*[.:：,、|]+|\s*[-–—](?=\s)|) (?P<gap>\s*)",
    re.VERBOSE,
)
WORDS = re.compile(r"(?:(?<=\s)|(?<=[(.;:,!?。；：！？)])|\A)(?=[A-Za-z\d])|(?<=[a-z])(?=\d\. [A-Z])")
BETWEEN = re.compile(rf"\s* (?: (?P<range>{RANGE}) | {LIST} )? \s* \)?", re.VERBOSE)
PIECES = re.compile(rf"(?<!\w)(?P<atom>{ATOM}) | (?P<range>{RANGE})", re.VERBOSE)

ROMAN = {
    "".join(("", "X", "XX", "XXX")[n // 10 : n // 10 + 1])
    + ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[n % 10]: n
    for n in range(1, 40)
}


@dataclass(frozen=True)
class Atom:
    """One printed label in one alphabet: `B`, or `Bii` with its parent's place."""

    text: str
    place: int
    """Of the label, or of its parent, in the alphabet, from 1."""


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


def atom_in(raw: str, alphabet: Alphabet) -> Atom | None:
    """A printed atom read in one alphabet; nothing where it cannot be."""
    text = re.sub(r"[()]", "", raw).replace("’", "′").replace("'", "′")
    match alphabet:
        case "digit":
            place = int(text) if text.isascii() and text.isdigit() else 0
        case "roman_upper":
            place = ROMAN.get(text, 0)
        case "roman_lower":
            place = ROMAN.get(text.upper(), 0) if text.islower() else 0
        case _:
            place = _letter(text, "A" if alphabet == "upper" else "a")
    return Atom(text, place) if 0 < place <= MOST_LABELS else None


def _letter(text: str, first: str) -> int:
    place = ord(text[0]) - ord(first) + 1
    if not 1 <= place <= 26:
        return 0
    if len(text) == 2 and text[0] == text[1] and text.isupper():  # AA follows Z
        return place + 26
    return place


def expand(group: str, alphabet: Alphabet) -> tuple[Atom, ...]:
    """The labels that a printed group names, ranges filled: `A–C, E` is A, B, C, E.

    Empty where one of them is no label of the alphabet.
    """
    atoms: list[Atom] = []
    is_range = False
    for piece in PIECES.finditer(group):
        if piece["range"]:
            is_range = bool(atoms)
            continue
        atom = _next_atom(piece["atom"], alphabet, atoms)
        if atom is None:
            return ()
        if is_range:
            atoms += _between(atoms[-1], atom, alphabet)
        atoms.append(atom)
        is_range = False
    return tuple({atom.text: atom for atom in atoms}.values())


def _next_atom(raw: str, alphabet: Alphabet, before: list[Atom]) -> Atom | None:
    """An atom, or one that leaves out its parent: the `iii` of `Ai–iii`, the `3` of `A1–3`."""
    atom = atom_in(raw, alphabet)
    if before and len(before[-1].text) > 1 and alphabet in ("upper", "lower"):
        parent, nested = before[-1].text[0], before[-1].text[1:]
        is_like = nested.isdigit() == raw.isdigit() and (raw.isdigit() or raw in ROMAN_LOWER)
        if is_like and (atom is None or raw in ROMAN_LOWER) and nested not in "′″":
            return Atom(parent + raw, before[-1].place)
    return atom


def _between(low: Atom, high: Atom, alphabet: Alphabet) -> list[Atom]:
    """The labels that a range leaves out."""
    if low.place == high.place:
        return _nested_between(low, high)
    places = range(low.place + 1, min(high.place, low.place + MOST_LABELS))
    if len(low.text) > 1 and low.text[1:] == high.text[1:] and alphabet in ("upper", "lower"):
        return [Atom(name_of(place, alphabet) + low.text[1:], place) for place in places]
    return [Atom(name_of(place, alphabet), place) for place in places]


def _nested_between(low: Atom, high: Atom) -> list[Atom]:
    one, other = low.text[1:], high.text[1:]
    if one.isdigit() and other.isdigit():
        numbers = [str(n) for n in range(int(one) + 1, min(int(other), int(one) + MOST_LABELS))]
    elif one in ROMAN_LOWER and other in ROMAN_LOWER:
        names = list(ROMAN_LOWER)
        numbers = names[ROMAN_LOWER[one] : ROMAN_LOWER[other] - 1]
    else:
        return []
    return [Atom(low.text[0] + number, low.place) for number in numbers]


def name_of(place: int, alphabet: Alphabet) -> str:
    """The label at a place of an alphabet."""
    match alphabet:
        case "digit":
            return str(place)
        case "roman_upper":
            return ROMAN_NAMES[place - 1] if place <= len(ROMAN_NAMES) else str(place)
        case "roman_lower":
            return ROMAN_NAMES[place - 1].lower() if place <= len(ROMAN_NAMES) else str(place)
        case _:
            letter = chr(ord("A" if alphabet == "upper" else "a") + (place - 1) % 26)
            return letter * (1 + (place - 1) // 26)


ROMAN_NAMES = sorted(ROMAN, key=ROMAN.__getitem__)
ROMAN_LOWER = {name.lower(): n for name, n in ROMAN.items()}


def _readings(group: str) -> dict[Alphabet, tuple[Atom, ...]]:
    readings = {alphabet: expand(group, alphabet) for alphabet in ALPHABETS}
    return {alphabet: atoms for alphabet, atoms in readings.items() if atoms}


def find_marks(caption: str) -> list[Mark]:
    """All candidates of a caption, of every style, in order of their beginnings."""
    marks = [*_brackets(caption), *_halves(caption), *_open(caption)]
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
    between = BETWEEN.fullmatch(gap) if len(gap) < 12 else None
    if between is None or one.is_noted or other.is_noted:
        return None
    labels: dict[Alphabet, tuple[Atom, ...]] = {}
    for alphabet in one.labels.keys() & other.labels.keys():
        first, second = one.labels[alphabet], other.labels[alphabet]
        filled = _between(first[-1], second[0], alphabet) if between["range"] else []
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
            stop, word = match["stop"].strip(), bool(match["word"])
            yield Mark(match.start(), last, "open", readings, stop=stop, is_worded=word)


def _opens(caption: str, match: re.Match[str]) -> bool:
    """Whether a label without brackets can begin a sub-caption here, or a word says that it does."""
    stop, following = match["stop"].strip(), caption[match.end()]
    if match["word"]:
        return True
    if following in ").,;:)]" or (not match["gap"] and stop not in (".", ":", "：", "、", "|")):
        return False
    if stop or len(match["group"]) > 2:
        return True
    if match["group"] in ("A", "I"):
        return following.isupper() or following.isdigit() or not following.isascii()
    if match["group"] == "a" and following.islower():  # an article begins no sentence in lower case
        return caption[: match.start()].rstrip()[-1:] in ("", *".;:!?(")
    return True
