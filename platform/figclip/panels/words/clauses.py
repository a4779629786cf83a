"""Inside a sentence of a caption: which clause speaks of which panel."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from figclip.panels.words.alphabets import GROUP, expand
from figclip.panels.words.runs import Named, Run
from figclip.panels.words.worths import is_abbreviation

_FUNCTION_WORDS = """
    a after and are as at before by during either for from in is of on or over showing shows the
    to under using versus vs was were while with within without
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Behind them a label begins what it names: `trained on (A) the full set`."""

NEXT_WORD = re.compile(r"\s(?!(?:and|or)\b)[^\W_]")
CONNECTIVE = re.compile(r"[\s,;，；、]*(?:\b(?:and|or|und|et|y|e)\b)?[\s,，、]*\Z")
LEADING = re.compile(r"[\s,;，；、]*(?:(?:and|or|while|whereas)\b\s*)?")
MENTION = re.compile(
    rf"""[(\[] (?:[Pp]anels?\s+)? (?P<bracketed>{GROUP}) (?: [,;] [^()\[\]]{{0,60}}+ )? [)\]]
    | (?: \b(?P<panel>[Pp]anels?) | \b(?:[Ii]n|of|[Ff]or|from|to|on|at|by|[Bb]oth) ) \s+
    (?P<group>{GROUP}) (?=[\s.,;:)]|\Z)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Piece:
    """A stretch of a caption that speaks of some panels."""

    start: int
    end: int
    labels: tuple[str, ...]


def is_prefix(caption: str, start: int, item: Named) -> bool:
    """Whether a label begins a clause, and words follow it."""
    before = caption[start : item.mark.start].rstrip()
    following = caption[item.mark.end : item.mark.end + 3].lstrip()
    return (not before or before[-1] in ",;:") and following[:1].isalnum()


def begins(caption: str, cuts: Sequence[Named]) -> bool:
    """Whether the labels of a sentence stand before what they name, rather than behind it."""
    votes = 0
    for item in cuts:
        before = caption[max(0, item.mark.start - 30) : item.mark.start].split()
        word = before[-1] if before else ""
        is_free = word[-1:] in ",;:" or word.lower() in FUNCTION_WORDS
        goes_on = NEXT_WORD.match(caption, item.mark.end) is not None
        votes += (1 if is_free else -1) + (1 if goes_on else -1)
    return votes > 0


def prefixed(caption: str, end: int, cuts: Sequence[Named]) -> list[Piece]:
    begins = [cuts[0].mark.start]
    for one, other in pairwise(cuts):
        begins.append(_phrase(caption, one.mark.end, other.mark.start))
    pieces = []
    for item, begin, stop in zip(cuts, begins, [*begins[1:], end], strict=True):
        stop = _trimmed(caption, item.mark.end, stop) if stop < end else stop
        pieces.append(Piece(begin, stop, item.labels))
    return pieces


def _phrase(caption: str, start: int, place: int) -> int:
    """Where the piece of a label at `place` begins: `, and for (B)` has words before it."""
    words = caption[start:place].split()
    if not words or words[-1].lower() not in FUNCTION_WORDS:
        return place
    comma = max(caption.rfind(sign, start, place) for sign in ",;")
    leading = LEADING.match(caption, comma) if comma >= 0 else None
    return leading.end() if leading else place


def grouped(caption: str, start: int, end: int, group: Named, run: Run) -> list[Piece]:
    """`A, B. Lungs, from the left (A); from the right (B).`: each clause names labels again."""
    for signs, least in ((";", 2), (",;", 3)):
        clauses = _clauses(caption, group.mark.end, end, signs)
        named = [_inner(caption[a:b], group.labels, run) for a, b in clauses]
        first = next((n for n, labels in enumerate(named) if labels), 0)
        own = named[first:]
        names = [label for labels in own for label in labels]
        if len(own) < least or not all(own) or sorted(names) != sorted(group.labels):
            continue
        if signs == ",;" and caption[end - 3 : end].rstrip(" .;")[-1:] not in ")]":
            continue
        place = clauses[first][0]
        if signs == ",;":
            mark = MENTION.search(caption, place)
            place = _behind_function_word(caption, place, mark.start() if mark else place)
        lead = [Piece(start, place, group.labels)] if place > group.mark.end else []
        begins = [place if lead else start, *(a for a, _ in clauses[first + 1 :])]
        ends = [b for _, b in clauses[first:]]
        return lead + [
            Piece(a, b, tuple(labels)) for a, b, labels in zip(begins, ends, own, strict=True)
        ]
    return [Piece(start, end, group.labels)]


def _clauses(caption: str, start: int, end: int, signs: str) -> list[tuple[int, int]]:
    """Spans between these signs, outside brackets; the sign ends its clause."""
    stops, depth = [], 0
    for n in range(start, end):
        sign = caption[n]
        depth = max(0, depth + (sign in "([") - (sign in ")]"))
        if depth == 0 and sign in signs and caption[n + 1 : n + 2] == " ":
            stops.append(n + 1)
    return list(zip([start, *stops], [*stops, end], strict=True))


def _inner(clause: str, labels: Sequence[str], run: Run) -> list[str]:
    """The labels of a group that a clause names by themselves."""
    named = dict.fromkeys(label for group in mentions(clause, run) for label in group)
    return [label for label in named if label in labels]


def _trimmed(caption: str, start: int, stop: int) -> int:
    """The end of a piece without the `, and` that leads to the next one."""
    connective = CONNECTIVE.search(caption, max(start, stop - 20), stop)
    return connective.start() if connective else stop


def suffixed(caption: str, start: int, end: int, cuts: Sequence[Named]) -> list[Piece]:
    """`in red (A); in green (B)`: each label closes what it names.

    What leads to the first and what follows the last without a stop speaks of all of them:
    `Mice in dorsal (A) and ventral (B) view`.
    """
    everyone = tuple(dict.fromkeys(label for item in cuts for label in item.labels))
    between = caption[cuts[0].mark.end : cuts[-1].mark.start]
    rest = caption[cuts[-1].mark.end : end]
    goes_on = rest.lstrip()[:1].isalnum()
    if goes_on and len(rest.split()) > 2 and not any(sign in between for sign in ",;"):
        return [Piece(start, end, everyone)]
    place = start if ";" in between else _behind_function_word(caption, start, cuts[0].mark.start)
    pieces = [Piece(start, place, everyone), *clause_by_clause(caption, place, cuts)]
    tail = cuts[-1].mark.end if goes_on and ";" not in between else end
    pieces[-1] = Piece(pieces[-1].start, tail, pieces[-1].labels)
    pieces.append(Piece(tail, end, everyone))
    return [piece for piece in pieces if piece.start < piece.end]


def clause_by_clause(caption: str, start: int, cuts: Sequence[Named]) -> list[Piece]:
    pieces: list[Piece] = []
    place = start
    for item in cuts:
        leading = LEADING.match(caption, place) if pieces else None
        pieces.append(Piece(leading.end() if leading else place, item.mark.end, item.labels))
        place = item.mark.end
    return pieces


def _behind_function_word(caption: str, start: int, end: int) -> int:
    """Where the phrase begins that ends at `end`: behind its last preposition or verb."""
    words = list(re.finditer(r"\S+", caption[start:end]))
    for word in reversed(words):
        if word[0].lower() in FUNCTION_WORDS:
            return start + word.end() + 1
        if word[0][-1] in ",;:":
            return start + word.end() + 1
    return start


def mentions(text: str, run: Run) -> list[tuple[str, ...]]:
    """`in B and D`, `panel C`, `(A)`: the labels that a sentence names, place by place."""
    found = []
    for match in MENTION.finditer(text):
        group = match["group"] or match["bracketed"]
        is_word = match["group"] in ("a", "i") and not match["panel"]
        if is_word and text[match.end() : match.end() + 1] not in (".", ",", ";", ":", ")"):
            continue  # an article
        if match["bracketed"] and is_abbreviation(text, match.start(), match.end()):
            continue
        labels = tuple(atom.text for atom in expand(group, run.alphabet))
        if labels and all(label in run.labels for label in labels):
            found.append(labels)
    return found
