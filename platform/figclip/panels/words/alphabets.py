"""The alphabets of panel labels: letters, numbers, Roman numerals, nested labels, and ranges."""

import re
from dataclasses import dataclass
from typing import Literal

Alphabet = Literal["upper", "lower", "digit", "roman_upper", "roman_lower", "position"]

ALPHABETS: tuple[Alphabet, ...] = ("upper", "lower", "digit", "roman_upper", "roman_lower")

MOST_LABELS = 60
"""Labels that one figure may have, and so the longest range."""

_NESTED = r"(?: \d{1,2} | [ivx]{1,4} | ['′’″]{1,2} | \([ivx]{1,4}\) )"
ATOM = (
    rf"(?: [A-Z][-‐‑][ivx]{{1,4}} | [A-Za-z]{_NESTED}? | AA|BB|CC|DD|EE|FF|GG|HH"
    r" | [IVX]{2,5} | [ivx]{2,5} | \d{1,2} )"
    r"(?!\w|[-‐‑](?![A-Za-z]?[ivxIVX]+\b)[A-Za-z]{2})"
)
"""A label, not followed by more of a word: the X of `X-ray` is none. `B-ii` is nested in B, as no
range runs from a capital to a small letter."""
RANGE = r"(?: \s*[-–—‐‑−~～]+\s* | \s+(?:to|through|bis)\s+ )"
LIST = r"(?: \s*[,;&/+、，]\s*(?:and\s+|&\s*)? | \s+(?:and|or|und|et|y|e)\s+ )"
GROUP = rf"{ATOM}(?:(?:{RANGE}|{LIST}){ATOM}){{0,60}}+"
PIECES = re.compile(rf"(?<!\w)(?P<atom>{ATOM}) | (?P<range>{RANGE})", re.VERBOSE)

ROMAN = {
    "".join(("", "X", "XX", "XXX")[n // 10 : n // 10 + 1])
    + ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[n % 10]: n
    for n in range(1, 40)
}
ROMAN_NAMES = sorted(ROMAN, key=ROMAN.__getitem__)
ROMAN_LOWER = {name.lower(): n for name, n in ROMAN.items()}


@dataclass(frozen=True)
class Atom:
    """One printed label in one alphabet: `B`, or `Bii` with its parent's place."""

    text: str
    place: int
    """Of the label, or of its parent, in the alphabet, from 1."""


def atom_in(raw: str, alphabet: Alphabet) -> Atom | None:
    """A printed atom read in one alphabet; nothing where it cannot be."""
    text = re.sub(r"[()‐‑-]", "", raw).replace("’", "′").replace("'", "′")
    match alphabet:
        case "digit":
            place = int(text) if text.isascii() and text.isdigit() and text[0] != "0" else 0
        case "roman_upper":
            place = ROMAN.get(text, 0)
        case "roman_lower":
            place = ROMAN.get(text.upper(), 0) if text.islower() else 0
        case "position":
            place = 0
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
            atoms += between(atoms[-1], atom, alphabet)
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


def between(low: Atom, high: Atom, alphabet: Alphabet) -> list[Atom]:
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
