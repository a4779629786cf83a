"""A caption → its spans: what it says of which panel, and what it says of the whole figure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from figclip.jats.sentences import sentences
from figclip.panels.marks import GROUP, Alphabet, expand, find_marks
from figclip.panels.parts import Span
from figclip.panels.runs import BARE, Named, Run, best_run, is_abbreviation

FUNCTION_WORDS = frozenset(
    """a after and are as at before by during either for from in is of on or over showing shows the
    to under using versus vs was were while with within without""".split()
)
"""Behind them a label begins what it names: `trained on (A) the full set`."""

LEGEND = re.compile(
    r"""[^\w“"‘']*(?: (?i: (?:scale\s)?bars?\b | scales?\b | (?:original\s)?magnifications? | n\s?[=>≥]
    | abbreviations? | (?:data|values|results)\b (?!\sof) | p\s?[<=≤] | p[-\s]values?
    | for\sclarity | additional | the\sraw\sdata )
    | [“"‘'][^“”"‘’']{1,20}["”’']\s
    | [A-Z][\w/+-]*\s?[,:=]\s[^.;]*;\s
    | [\w/+-]{1,8}\s?[,:=]\s[^.;,]{1,60};\s[\w/+-]{1,8}\s?[,:=]\s )""",
    re.VERBOSE,
)
"""How a sentence begins that explains the whole figure, once every panel had its own."""

MENTION = re.compile(
    rf"""[(\[] (?:[Pp]anels?\s+)? (?P<bracketed>{GROUP}) (?: [,;] [^()\[\]]{{0,60}}+ )? [)\]]
    | (?: \b(?P<panel>[Pp]anels?) | \b(?:[Ii]n|of|[Ff]or|from|to|on|at|by|[Bb]oth) ) \s+
    (?P<group>{GROUP}) (?=[\s.,;:)]|\Z)""",
    re.VERBOSE,
)
WHOLE = re.compile(
    r"\b(?:each|all|every|both|these|the\s(?:two|three|four))\s(?:the\s)?(?:panels?|graphs?|plots?|figures?|images?)\b",
    re.IGNORECASE,
)
"""Words for the figure as a whole."""
CIRCUMSTANCE = re.compile(r"\s*(?:In|During|For|At|On|After)\s([^,.;]{4,60}),")
WORD = re.compile(r"[\w-]{5,}")
CONNECTIVE = re.compile(r"[\s,;，；、]*(?:\b(?:and|or|und|et|y|e)\b)?[\s,，、]*\Z")
LEADING = re.compile(r"[\s,;，；、]*(?:(?:and|or|while|whereas)\b\s*)?")
NO_WORDS = re.compile(r"[\W_]*(?:and|or)?[\W_]*")


@dataclass(frozen=True)
class _Piece:
    start: int
    end: int
    labels: tuple[str, ...]


def split_caption(caption: str) -> tuple[Span, ...]:
    """Spans of a caption, own and shared; concatenated they are the caption.

    One span `shared` where it has no labels; none where it is empty.
    """
    run = best_run(caption, find_marks(caption))
    pieces = list(_pieces(caption, run)) if run is not None else []
    return tuple(_filled(caption, pieces))


def sub_captions(caption: str, spans: Sequence[Span]) -> dict[str, list[str]]:
    """Label → the pieces of the caption that speak of it, in order, as they are written."""
    found: dict[str, list[str]] = {}
    for span in spans:
        for label in span.labels:
            found.setdefault(label, []).append(caption[span.start : span.end].strip())
    return found


def shared(caption: str, spans: Sequence[Span]) -> list[str]:
    """The pieces that speak of the whole figure; a mere `, and` between panels is none."""
    pieces = (caption[span.start : span.end] for span in spans if span.kind == "shared")
    return [piece.strip() for piece in pieces if not NO_WORDS.fullmatch(piece)]


def _filled(caption: str, pieces: Sequence[_Piece]) -> Iterator[Span]:
    """The pieces as spans, neighbours of the same labels as one, and the rest shared."""
    place = 0
    waiting: Span | None = None
    for piece in (*pieces, _Piece(len(caption), len(caption), ())):
        for start, end, labels in (
            (place, piece.start, ()),
            (piece.start, piece.end, piece.labels),
        ):
            if start >= end:
                continue
            kind = "own" if labels else "shared"
            span = Span(start, end, "own" if labels else "shared", labels)
            if waiting is not None and (waiting.kind, waiting.labels) == (kind, labels):
                waiting = Span(waiting.start, end, waiting.kind, labels)
            else:
                if waiting is not None:
                    yield waiting
                waiting = span
        place = piece.end
    if waiting is not None:
        yield waiting


def _pieces(caption: str, run: Run) -> Iterator[_Piece]:
    """What belongs to labels, sentence by sentence."""
    open_labels: tuple[str, ...] = ()
    missing = set(run.labels)
    lengths: list[int] = []
    own_words: dict[str, set[tuple[str, ...]]] = {}
    for start, end, named in _by_sentence(caption, run):
        defining = [item for item in named if item.is_defining]
        is_trailing = not missing
        missing -= {label for item in defining for label in item.labels}
        if defining:
            lengths.append(0)
            pieces, open_labels = _defined(caption, start, end, named, run)
            yield from pieces
            for piece in pieces:
                for word in WORD.findall(caption[piece.start : piece.end]):
                    own_words.setdefault(word.lower(), set()).add(piece.labels)
        elif len(missing) < len(run.labels):
            if is_trailing and len(lengths) > 3 and not any(lengths[:-1]):
                open_labels = ()
            lengths[-1] += 1
            labels, goes_on = _belonging(caption, start, end, named, run, open_labels, is_trailing)
            if not goes_on:
                open_labels = ()
            elif not labels and not open_labels:
                labels = open_labels = _recalled(caption[start:end], own_words)
            if isinstance(labels, list):
                yield from labels
            elif labels:
                yield _Piece(start, end, labels)


def _recalled(sentence: str, own_words: Mapping[str, set[tuple[str, ...]]]) -> tuple[str, ...]:
    """`In the heatmap, ...`: the labels to which alone a heatmap was ascribed before."""
    opening = CIRCUMSTANCE.match(sentence)
    words = WORD.findall(opening[1]) if opening else []
    owners = [own_words[word.lower()] for word in words if word.lower() in own_words]
    sure = {labels for owner in owners if len(owner) == 1 for labels in owner}
    return sure.pop() if len(sure) == 1 else ()


def _by_sentence(caption: str, run: Run) -> Iterator[tuple[int, int, list[Named]]]:
    """Sentences with the labels that are named in them; a label at a full stop begins one."""
    starts = {start for start, _ in sentences(caption)}
    for item in run.named:
        before = caption[max(0, item.mark.start - 20) : item.mark.start].rstrip(" ([“\"")
        if before[-1:] in (".", "。") and item.is_defining:
            starts.add(item.mark.start)
    for item in run.named:  # no sentence begins in a label, or right behind it
        if not item.is_defining:
            continue
        gap = len(caption[item.mark.end : item.mark.end + 20]) - len(
            caption[item.mark.end : item.mark.end + 20].lstrip()
        )
        starts -= set(range(item.mark.start + 1, item.mark.end + gap + 1))
    ordered = sorted(starts)
    place = 0
    for start, end in zip(ordered, [*ordered[1:], len(caption)], strict=True):
        named = []
        while place < len(run.named) and run.named[place].mark.start < end:
            named.append(run.named[place])
            place += 1
        yield start, end, named


def _defined(
    caption: str, start: int, end: int, named: Sequence[Named], run: Run
) -> tuple[list[_Piece], tuple[str, ...]]:
    """Pieces of a sentence that brings in labels, and the labels which what follows belongs to."""
    cuts = [item for item in named if item.is_defining or _is_prefix(caption, start, item)]
    first, others = cuts[0], cuts[1:]
    if not caption[start : first.mark.start].strip(" ([“\""):
        again = {label for item in others for label in item.labels}
        if again <= set(first.labels) and not (others and _begins(caption, others)):
            return _grouped(caption, start, end, first, run.alphabet), first.labels
        return _prefixed(caption, end, cuts), ()
    if not others:
        following = caption[first.mark.end : first.mark.end + 3].lstrip()[:1]
        begin = first.mark.start if run.is_leading and following.isupper() else start
        return [_Piece(begin, end, first.labels)], first.labels
    if first.mark.style == "open" or _begins(caption, cuts):
        return _prefixed(caption, end, cuts), ()
    return _suffixed(caption, start, end, cuts), ()


def _is_prefix(caption: str, start: int, item: Named) -> bool:
    """Whether a label begins a clause, and words follow it."""
    before = caption[start : item.mark.start].rstrip()
    following = caption[item.mark.end : item.mark.end + 3].lstrip()
    return (not before or before[-1] in ",;:") and following[:1].isalnum()


def _begins(caption: str, cuts: Sequence[Named]) -> bool:
    """Whether the labels of a sentence stand before what they name, rather than behind it."""
    votes = 0
    for item in cuts:
        before = caption[max(0, item.mark.start - 30) : item.mark.start].split()
        word = before[-1] if before else ""
        following = caption[item.mark.end : item.mark.end + 30].split()
        next_word = following[0] if following and caption[item.mark.end : item.mark.end + 1] == " " else ""
        is_free = word[-1:] in ",;:" or word.lower() in FUNCTION_WORDS
        votes += 1 if is_free else -1
        votes += 1 if next_word[:1].isalnum() and next_word not in ("and", "or") else -1
    return votes > 0


def _prefixed(caption: str, end: int, cuts: Sequence[Named]) -> list[_Piece]:
    begins = [cuts[0].mark.start]
    for one, other in zip(cuts, cuts[1:], strict=False):
        begins.append(_phrase(caption, one.mark.end, other.mark.start))
    pieces = []
    for item, begin, stop in zip(cuts, begins, [*begins[1:], end], strict=True):
        stop = _trimmed(caption, item.mark.end, stop) if stop < end else stop
        pieces.append(_Piece(begin, stop, item.labels))
    return pieces


def _phrase(caption: str, start: int, place: int) -> int:
    """Where the piece of a label at `place` begins: `, and for (B)` has words before it."""
    words = caption[start:place].split()
    if not words or words[-1].lower() not in FUNCTION_WORDS:
        return place
    comma = max(caption.rfind(sign, start, place) for sign in ",;")
    leading = LEADING.match(caption, comma) if comma >= 0 else None
    return leading.end() if leading else place


def _grouped(
    caption: str, start: int, end: int, group: Named, alphabet: Alphabet
) -> list[_Piece]:
    """`A, B. Lungs, from the left (A); from the right (B).`: each clause names labels again."""
    for signs, least in ((";", 2), (",;", 3)):
        clauses = _clauses(caption, group.mark.end, end, signs)
        named = [_inner(caption[a:b], group.labels, alphabet) for a, b in clauses]
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
        lead = [_Piece(start, place, group.labels)] if place > group.mark.end else []
        begins = [place if lead else start, *(a for a, _ in clauses[first + 1 :])]
        ends = [b for _, b in clauses[first:]]
        return lead + [
            _Piece(a, b, tuple(labels)) for a, b, labels in zip(begins, ends, own, strict=True)
        ]
    return [_Piece(start, end, group.labels)]


def _clauses(caption: str, start: int, end: int, signs: str) -> list[tuple[int, int]]:
    """Spans between these signs, outside brackets; the sign ends its clause."""
    stops, depth = [], 0
    for n in range(start, end):
        sign = caption[n]
        depth = max(0, depth + (sign in "([") - (sign in ")]"))
        if depth == 0 and sign in signs and caption[n + 1 : n + 2] == " ":
            stops.append(n + 1)
    return list(zip([start, *stops], [*stops, end], strict=True))


def _inner(clause: str, labels: Sequence[str], alphabet: Alphabet) -> list[str]:
    """The labels of a group that a clause names by themselves."""
    found: dict[str, None] = {}
    for match in MENTION.finditer(clause):
        for label in _labels_in(match["bracketed"] or match["group"], alphabet):
            if label in labels:
                found[label] = None
    return list(found)


def _trimmed(caption: str, start: int, stop: int) -> int:
    """The end of a piece without the `, and` that leads to the next one."""
    connective = CONNECTIVE.search(caption, max(start, stop - 20), stop)
    return connective.start() if connective else stop


def _suffixed(caption: str, start: int, end: int, cuts: Sequence[Named]) -> list[_Piece]:
    """`in red (A); in green (B)`: each label closes what it names.

    What leads to the first and what follows the last without a stop speaks of all of them:
    `Mice in dorsal (A) and ventral (B) view`.
    """
    everyone = tuple(dict.fromkeys(label for item in cuts for label in item.labels))
    between = caption[cuts[0].mark.end : cuts[-1].mark.start]
    rest = caption[cuts[-1].mark.end : end]
    goes_on = rest.lstrip()[:1].isalnum()
    if goes_on and len(rest.split()) > 2 and not any(sign in between for sign in ",;"):
        return [_Piece(start, end, everyone)]
    place = start if ";" in between else _behind_function_word(caption, start, cuts[0].mark.start)
    pieces = [_Piece(start, place, everyone), *_clause_by_clause(caption, place, cuts)]
    tail = cuts[-1].mark.end if goes_on and ";" not in between else end
    pieces[-1] = _Piece(pieces[-1].start, tail, pieces[-1].labels)
    pieces.append(_Piece(tail, end, everyone))
    return [piece for piece in pieces if piece.start < piece.end]


def _clause_by_clause(caption: str, start: int, cuts: Sequence[Named]) -> list[_Piece]:
    pieces = []
    place = start
    for item in cuts:
        leading = LEADING.match(caption, place) if pieces else None
        pieces.append(_Piece(leading.end() if leading else place, item.mark.end, item.labels))
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


def _told_apart(
    caption: str, start: int, end: int, own: Sequence[Named], mentioned: tuple[str, ...]
) -> tuple[str, ...] | list[_Piece]:
    """The labels of a sentence, or its pieces where each clause has its own."""
    if len(own) < 2 or sum(len(item.labels) for item in own) != len(mentioned):
        return mentioned
    gaps = [
        caption[one.mark.end : other.mark.start].strip()[:1]
        for one, other in zip(own, own[1:], strict=False)
    ]
    if all(gap in (",", ";") for gap in gaps):
        pieces = _clause_by_clause(caption, start, own)
        return [*pieces[:-1], _Piece(pieces[-1].start, end, pieces[-1].labels)]
    return mentioned


def _belonging(
    caption: str,
    start: int,
    end: int,
    named: Sequence[Named],
    run: Run,
    open_labels: tuple[str, ...],
    is_trailing: bool,
) -> tuple[tuple[str, ...] | list[_Piece], bool]:
    """Labels of a sentence that brings in none, and whether what follows goes on as before."""
    text = caption[start:end]
    groups = _mentions(text, run)
    mentioned = tuple(label for label in run.labels if any(label in labels for labels in groups))
    is_legend = is_trailing and LEGEND.match(text) is not None
    if is_legend and len(groups) > 2:
        return (), False
    if not mentioned:
        is_shared = is_legend or (is_trailing and WHOLE.search(text) is not None)
        return ((), False) if is_shared else (open_labels, True)
    own = [item for item in named if item.worth > BARE or item.mark.style != "open"]
    is_about = text.lstrip(" ([")[:2] in ("In", "Pa") or (own and own[0].mark.start - start < 2)
    if is_trailing or is_about or not open_labels:
        return _told_apart(caption, start, end, own, mentioned), not is_legend
    if set(mentioned) <= set(open_labels):
        return _told_apart(caption, start, end, own, mentioned), True
    return open_labels, True


def _mentions(text: str, run: Run) -> list[tuple[str, ...]]:
    """`in B and D`, `panel C`, `(A)`: the labels that a sentence names, place by place."""
    found = []
    for match in MENTION.finditer(text):
        group = match["group"] or match["bracketed"]
        if match["group"] in ("a", "i") and not match["panel"]:
            if text[match.end() :][:1] not in (".", ",", ";", ":", ")"):
                continue  # an article
        if match["bracketed"] and is_abbreviation(text, match.start(), match.end()):
            continue
        labels = _labels_in(group, run.alphabet)
        if labels and all(label in run.labels for label in labels):
            found.append(labels)
    return found


def _labels_in(group: str, alphabet: Alphabet) -> tuple[str, ...]:
    return tuple(atom.text for atom in expand(group, alphabet))
