"""A caption → its spans: what it says of which panel, and what it says of the whole figure."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from figclip.jats.sentences import sentences
from figclip.panels.parts import Span
from figclip.panels.words.clauses import (
    Piece,
    begins,
    clause_by_clause,
    grouped,
    is_prefix,
    mentions,
    prefixed,
    suffixed,
)
from figclip.panels.words.marks import find_marks
from figclip.panels.words.positions import positions_run
from figclip.panels.words.runs import Named, Run, best_run
from figclip.panels.words.worths import BARE, BEFORE_LABEL

LEGEND = re.compile(
    r"""[^\w“"‘']*(?: (?i: (?:scale\s)?bars?\b | scales?\b | (?:original\s)?magnifications?
    | n\s?[=>≥]
    | abbreviations? | (?:data|values|results)\b (?!\sof) | p\s?[<=≤] | p[-\s]values?
    | for\sclarity | additional | the\sraw\sdata )
    | [“"‘'][^“”"‘’']{1,20}["”’']\s
    | [A-Z][\w/+-]*\s?[,:=]\s[^.;]*;\s
    | [\w/+-]{1,8}\s?[,:=]\s[^.;,]{1,60};\s[\w/+-]{1,8}\s?[,:=]\s )""",
    re.VERBOSE,
)
"""How a sentence begins that explains the whole figure, once every panel had its own."""

WHOLE = re.compile(
    r"\b(?:each|all|every|both|these|the\s(?:two|three|four))\s(?:the\s)?"
    r"(?:panels?|graphs?|plots?|figures?|images?)\b",
    re.IGNORECASE,
)
"""Words for the figure as a whole."""
ABOUT = re.compile(r"\s*[(\[]?(?:In|Panels?)\b")
"""How a sentence begins that is about the panels it names."""
CIRCUMSTANCE = re.compile(r"\s*(?:In|During|For|At|On|After)\s([^,.;]{4,60}),")
WORD = re.compile(r"[\w-]{5,}")
NO_WORDS = re.compile(r"[\W_]*(?:and|or)?[\W_]*")

Sentence = tuple[int, int, list[Named]]
"""Its start, its end, and the labels of the run that are named in it."""


def split_caption(caption: str) -> tuple[Span, ...]:
    """Spans of a caption, own and shared; concatenated they are the caption.

    One span `shared` where it has no labels; none where it is empty.
    """
    run = best_run(caption, find_marks(caption)) or positions_run(caption)
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


def _filled(caption: str, pieces: Sequence[Piece]) -> Iterator[Span]:
    """The pieces as spans, neighbours of the same labels as one, and the rest shared."""
    place = 0
    labels: tuple[str, ...] = ()
    start = 0
    for piece in (*pieces, Piece(len(caption), len(caption), ())):
        for end, following in ((piece.start, ()), (piece.end, piece.labels)):
            if end <= place:
                continue
            if following != labels and start < place:
                yield Span(start, place, "own" if labels else "shared", labels)
                start = place
            labels, place = following, end
    if start < place:
        yield Span(start, place, "own" if labels else "shared", labels)


def _pieces(caption: str, run: Run) -> Iterator[Piece]:
    """What belongs to labels, sentence by sentence."""
    told = _Told(caption, run)
    for sentence in _by_sentence(caption, run):
        if any(item.is_defining for item in sentence[2]):
            yield from told.define(sentence)
        elif told.labels:
            yield from told.go_on(sentence)


def _by_sentence(caption: str, run: Run) -> Iterator[tuple[int, int, list[Named]]]:
    """Sentences with the labels that are named in them; a label at a full stop begins one."""
    starts = {start for start, _ in sentences(caption)}
    for item in run.named:
        before = caption[max(0, item.mark.start - 9) : item.mark.start].rstrip(BEFORE_LABEL)
        if before[-1:] in (".", "。") and item.is_defining:
            starts.add(item.mark.start)
    for item in run.named:  # no sentence begins in a label, or right behind it
        if not item.is_defining:
            continue
        behind = caption[item.mark.end : item.mark.end + 9]
        gap = len(behind) - len(behind.lstrip())
        starts -= set(range(item.mark.start + 1, item.mark.end + gap + 1))
    ordered = sorted(starts)
    place = 0
    for start, end in zip(ordered, [*ordered[1:], len(caption)], strict=True):
        named = []
        while place < len(run.named) and run.named[place].mark.start < end:
            named.append(run.named[place])
            place += 1
        yield start, end, named


class _Told:
    """What a caption has told so far, while it is read."""

    def __init__(self, caption: str, run: Run) -> None:
        self.caption, self.run = caption, run
        self.labels: set[str] = set()
        """Those that were brought in."""
        self.open: tuple[str, ...] = ()
        """Those that a sentence without labels belongs to."""
        self.extras: list[int] = []
        """How many such sentences followed each one that brought in labels."""
        self.owners: dict[str, set[tuple[str, ...]]] = {}
        """Word → the labels in whose pieces it stands."""

    @property
    def is_over(self) -> bool:
        """All labels had their words; a legend may follow."""
        return len(self.labels) == len(self.run.labels)

    def define(self, sentence: Sentence) -> list[Piece]:
        """Pieces of a sentence that brings in labels."""
        pieces, self.open = _defined(self.caption, sentence, self.run)
        self.labels.update(label for item in sentence[2] for label in item.labels)
        self.extras.append(0)
        for piece in pieces:
            for word in WORD.findall(self.caption[piece.start : piece.end]):
                self.owners.setdefault(word.lower(), set()).add(piece.labels)
        return pieces

    def go_on(self, sentence: Sentence) -> list[Piece]:
        """Pieces of one that brings in none; none where it speaks of the whole figure."""
        start, end, named = sentence
        text = self.caption[start:end]
        if self.is_over and len(self.extras) > 3 and not any(self.extras[:-1]):
            self.open = ()  # every panel has one sentence, and so has the last
        self.extras[-1] += 1
        groups = mentions(text, self.run)
        is_legend = self.is_over and LEGEND.match(text) is not None
        if is_legend and (not groups or len(groups) > 2):
            self.open = ()
            return []
        if not groups:
            return self._unnamed(start, end, text)
        own = [item for item in named if item.worth > BARE or item.mark.style != "open"]
        named_here = {label for group in groups for label in group}
        is_about = ABOUT.match(text) or (own and own[0].mark.start - start < 2)
        if not (self.is_over or is_about or not self.open or named_here <= set(self.open)):
            return [Piece(start, end, self.open)]  # it compares: `as in A`
        if is_legend:
            self.open = ()
        labels = tuple(label for label in self.run.labels if label in named_here)
        return _told_apart(self.caption, start, end, own, labels)

    def _unnamed(self, start: int, end: int, text: str) -> list[Piece]:
        if self.is_over and WHOLE.search(text):
            self.open = ()
        elif not self.open:
            self.open = self._recalled(text)
        return [Piece(start, end, self.open)] if self.open else []

    def _recalled(self, sentence: str) -> tuple[str, ...]:
        """`In the heatmap, ...`: the labels to which alone a heatmap was ascribed before."""
        opening = CIRCUMSTANCE.match(sentence)
        words = WORD.findall(opening[1].lower()) if opening else []
        owners = [self.owners[word] for word in words if word in self.owners]
        sure = {labels for owner in owners if len(owner) == 1 for labels in owner}
        return sure.pop() if len(sure) == 1 else ()


def _defined(caption: str, sentence: Sentence, run: Run) -> tuple[list[Piece], tuple[str, ...]]:
    """Pieces of a sentence that brings in labels, and the labels which what follows belongs to."""
    start, end, named = sentence
    cuts = [item for item in named if item.is_defining or is_prefix(caption, start, item)]
    first, others = cuts[0], cuts[1:]
    if not caption[start : first.mark.start].strip(BEFORE_LABEL):
        again = {label for item in others for label in item.labels}
        if again <= set(first.labels) and not (others and begins(caption, others)):
            return grouped(caption, start, end, first, run), first.labels
        return prefixed(caption, end, cuts), ()
    if not others:
        following = caption[first.mark.end : first.mark.end + 3].lstrip()[:1]
        begin = first.mark.start if run.is_leading and following.isupper() else start
        return [Piece(begin, end, first.labels)], first.labels
    if first.mark.style == "open" or (run.alphabet != "position" and begins(caption, cuts)):
        return prefixed(caption, end, cuts), ()
    return suffixed(caption, start, end, cuts), ()


def _told_apart(
    caption: str, start: int, end: int, own: Sequence[Named], labels: tuple[str, ...]
) -> list[Piece]:
    """The labels of a sentence that names them again, clause by clause where each has its own."""
    gaps = [caption[one.mark.end : other.mark.start].strip()[:1] for one, other in pairwise(own)]
    is_one_each = sum(len(item.labels) for item in own) == len(labels)
    if not (gaps and is_one_each and all(gap in (",", ";") for gap in gaps)):
        return [Piece(start, end, labels)]
    pieces = clause_by_clause(caption, start, own)
    return [*pieces[:-1], Piece(pieces[-1].start, end, pieces[-1].labels)]
